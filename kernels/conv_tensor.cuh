// The convolutions on tensor cores: forward and input gradient, weight gradient; what the units multiply is M, of the kernel file.
//
//   conv_gather_tensor   out[n, o, k] = act(bias[k] + sum over t, c of in[n, i in_step + d_t, c] w[k, r_t, c])   phases, taps: conv.cuh
//   conv_weight_tensor   parts[p, k, t, c] = sum over the share p of n, o of dy[n, o, k] x[n, o in_step + d_t, c], and that of the bias
//
// Channels last and padded (conv_pack.cu), everything moves in chunks of 16 bytes, and a sum runs over chunks (tap, channels of the
// tap): few channels waste no more than the padding. Tiles come with cp.async, four stages deep; the chunks of a row are swizzled, so
// that no access meets a bank twice. Fixed order of sums.
//
// M::T            the elements
// M::multiply     sum += a b, from the fragments of two chunks of the sum: a (MI 16, 2 chunks), b (2 chunks, NI 8)
// M::across       the place of a chunk in a tile whose rows are positions, of 64 elements
// M::rows         the fragment of a of 16 rows from such a tile, from row m on, for two chunks of the sum, from position k on
// M::columns      that of b, of 16 columns
#pragma once

#include "conv.cuh"
#include "ptx.cuh"

using ptx::u32;

template <class T>
constexpr int CHUNK = 16 / sizeof(T);  // elements of 16 bytes
constexpr int CHUNKS = 4;              // of the sum in a stage
constexpr int STAGES = 4;

// The kernels ask for one block an SM, because without a word ptxas spills on some GPUs to get more.

// The place of a chunk in a tile whose rows are 4 chunks: two rows share a line of 128 bytes, and eight lines the order of chunks.
__device__ __forceinline__ int swizzled(int row, int chunk) {
    const int line = row / 2;
    return line * 8 + ((row % 2 * 4 + chunk) ^ (line % 8));
}

// Two tiles of chunks: of BM and BN rows of four, or of positions.
template <class T, int BM, int BN>
struct Stage {
    Vector<T, CHUNK<T>> a[BM * CHUNKS], b[BN * CHUNKS];
};

template <class T, int BM, int BN>
union Room {
    Stage<T, BM, BN> stage[STAGES];
    float tile[BN * (BM + 4)];
};

// The sums of a warp of WM x WN on their way to the tile (BN, BM + 4) in shared memory.
template <int BM, int MI, int NI>
__device__ __forceinline__ void put(float* tile, const float (&sum)[MI][NI][4], int m0, int n0) {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < MI; ++i)
#pragma unroll
        for (int j = 0; j < NI; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int m = m0 + i * 16 + lane / 4 + e / 2 * 8, n = n0 + j * 8 + lane % 4 * 2 + e % 2;
                tile[n * (BM + 4) + m] = sum[i][j][e];
            }
}

// channels of the arguments: chunks of a group; weight (outputs, taps, chunks): weight_channel is CHUNK, and strides as ever.
template <class M, int BM, int BN, int WM, int WN, class T = typename M::T>
__global__ void __launch_bounds__(THREADS, 1) conv_gather_tensor(const __grid_constant__ GatherArguments<T> a) {
    constexpr int MI = WM / 16, NI = WN / 8, ROWS = THREADS / CHUNKS;
    static_assert(BM / WM * (BN / WN) * 32 == THREADS && BM % ROWS == 0 && NI % 2 == 0, "a tile for 4 warps");
    extern __shared__ __align__(128) unsigned char memory[];
    auto& room = *reinterpret_cast<Room<T, BM, BN>*>(memory);
    auto& taps = *reinterpret_cast<Taps*>(memory + sizeof room);
    auto* rows = reinterpret_cast<long long*>(memory + sizeof room + sizeof taps);  // (BM): where they go, -1 for none

    const Work work = work_of<BM, BN>(a);
    const long long m0 = work.m0;
    const int n0 = work.columns.n0, thread = int(threadIdx.x);
    const Phase phase = phase_of(a, int(blockIdx.z));
    if (m0 >= a.batch * phase.all_places()) return;
    if (thread < BM) {
        const Row row = Position(phase, m0 + thread).row(a, phase);
        rows[thread] = row.valid ? row.out : -1;
    }
    fill(taps, a, phase);

    // This thread's rows of a, and its chunk of each row.
    constexpr int OWN = BM / ROWS;
    const int chunk = thread % CHUNKS, first = thread / CHUNKS;
    const T* from[OWN];
    int at[OWN][AXES];
    const T* in = a.in + (long long)blockIdx.y * a.channels * a.in_channel;
#pragma unroll
    for (int i = 0; i < OWN; ++i) {
        const Row row = Position(phase, m0 + first + i * ROWS).row(a, phase);
        from[i] = in + row.in;
#pragma unroll
        for (int x = 0; x < AXES; ++x) at[i][x] = row.valid ? row.at[x] : -(1 << 30);  // never inside
    }
    const T* weight = a.weight + (long long)blockIdx.y * a.weight_group + (long long)n0 * a.weight_output;
    const Steps own_steps((phase.all_taps() * a.channels + CHUNKS - 1) / CHUNKS, work.share, a.shares);
    const int steps = own_steps.count, start = own_steps.begin * CHUNKS + chunk;
    int tap = start / a.channels, channel = start % a.channels;
    __syncthreads();

    const auto fetch = [&](Stage<T, BM, BN>& s) {
        const bool some = tap < phase.all_taps();
        const int4 place = taps.place[some ? tap : 0];
        const int offset = place.w + channel * a.in_channel;
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            const bool valid = some && inside(a, at[i], place);
            ptx::copy_async<16>(&s.a[swizzled(first + i * ROWS, chunk)], valid ? from[i] + offset : in, valid);
        }
        const int own = (some ? taps.weight[tap] : 0) + channel * a.weight_channel;
#pragma unroll
        for (int n = first; n < BN; n += ROWS) {
            const bool valid = some && n0 + n < a.outputs;
            ptx::copy_async<16>(&s.b[swizzled(n, chunk)], weight + (valid ? (long long)n * a.weight_output + own : 0), valid);
        }
        channel += CHUNKS;
        while (channel >= a.channels) {
            channel -= a.channels;
            ++tap;
        }
    };

    float sum[MI][NI][4] = {};
    const int lane = thread % 32, warp = thread / 32, wm = warp % (BM / WM) * WM, wn = warp / (BM / WM) * WN;
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) fetch(room.stage[s]);
        ptx::copy_async_commit();
    }
    for (int s = 0; s < steps; ++s) {
        ptx::copy_async_wait<STAGES - 2>();
        __syncthreads();
        if (s + STAGES - 1 < steps) fetch(room.stage[(s + STAGES - 1) % STAGES]);
        ptx::copy_async_commit();
        const Stage<T, BM, BN>& now = room.stage[s % STAGES];
#pragma unroll
        for (int k = 0; k < CHUNKS / 2; ++k) {
            u32 fa[MI][4], fb[NI / 2][4];
#pragma unroll
            for (int i = 0; i < MI; ++i) ptx::ldmatrix_x4(fa[i], &now.a[swizzled(wm + i * 16 + lane % 16, 2 * k + lane / 16)]);
#pragma unroll
            for (int j = 0; j < NI / 2; ++j)
                ptx::ldmatrix_x4(fb[j], &now.b[swizzled(wn + j * 16 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2)]);
            M::multiply(sum, fa, fb);
        }
    }
    __syncthreads();
    put<BM, MI, NI>(room.tile, sum, wm, wn);
    if (a.shares > 1 && !adds_up<BM, BN, THREADS>(a, room.tile, work)) return;
    if (a.moments != nullptr) take_moments<T, BM, BN, THREADS>(a, room.tile, rows, work);
    finish<T, BM, BN, THREADS, CHUNK<T>>(a, room.tile, rows, work.columns);
}

// x and dy packed; channels and outputs are those of a group, counted in elements with the padding of x and without that of dy.
// parts (gridDim.z, groups * outputs, taps * channels + 1), whose last column is that of the bias.
template <class T>
struct PackedWeightArguments {
    float* parts;
    const T* x;
    const T* dy;
    long long batch, in_image, out_image, chunk;  // chunk: positions of a share
    int groups, channels, outputs;
    int dy_group;  // elements of a group in a row of dy
    int source[AXES], target[AXES], kernel[AXES];
    int out_step[AXES], in_step[AXES], shift[AXES], dilation[AXES], divisor[AXES], tap_step[AXES], inverse[AXES], shift_step[AXES];
    int in_stride[AXES], out_stride[AXES];
};

template <class M, class T = typename M::T>
__global__ void __launch_bounds__(THREADS, 1) conv_weight_tensor(const __grid_constant__ PackedWeightArguments<T> a) {
    constexpr int B = 64, ACROSS = B / CHUNK<T>, ROWS = THREADS / ACROSS, BK = CHUNKS * CHUNK<T>, OWN = BK / ROWS;
    __shared__ __align__(128) Stage<T, B, B> stage[STAGES];
    const int thread = int(threadIdx.x), chunk = thread % ACROSS, first = thread / ACROSS;
    const Phase phase = phase_of(a, 0);
    const int all_taps = phase.all_taps(), all_columns = a.channels * all_taps, tiles = (all_columns - 1) / B + 1;
    const int m0 = int(blockIdx.x) / tiles * B, n0 = int(blockIdx.x) % tiles * B;

    // The tap and the channels of this thread's chunk of columns stay the same.
    const int column = n0 + chunk * CHUNK<T>, channel = column % a.channels;
    int rest = column / a.channels, shift[AXES];
#pragma unroll
    for (int x = AXES - 1; x >= 0; --x) {
        shift[x] = phase.first_shift[x] + a.shift_step[x] * (rest % phase.taps[x]);
        rest /= phase.taps[x];
    }
    const int offset = shift[0] * a.in_stride[0] + shift[1] * a.in_stride[1] + shift[2] * a.in_stride[2] + channel;
    const int4 tap = make_int4(shift[0], shift[1], shift[2], offset);
    const bool has_column = column < all_columns, has_row = m0 + chunk * CHUNK<T> < a.dy_group;
    const T* x = a.x + (long long)blockIdx.y * a.channels;
    const T* dy = a.dy + (long long)blockIdx.y * a.dy_group + m0 + chunk * CHUNK<T>;

    const long long all = a.batch * phase.all_places(), start = blockIdx.z * a.chunk;
    const int count = int(min(a.chunk, all - start)), steps = (count + BK - 1) / BK;
    Position position(phase, start + first);
    int left = count - first;
    const auto fetch = [&](Stage<T, B, B>& s) {
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            const Row row = position.row(a, phase);
            const bool m = left > 0 && has_row, n = left > 0 && has_column && inside(a, row.at, tap);
            ptx::copy_async<16>(&s.a[M::across(first + i * ROWS, chunk)], m ? dy + row.out : a.dy, m);
            ptx::copy_async<16>(&s.b[M::across(first + i * ROWS, chunk)], n ? x + row.in + tap.w : a.x, n);
            position.advance(phase, ROWS);
            left -= ROWS;
        }
    };

    // Four warps of 32 x 32.
    float sum[2][4][4] = {}, bias = 0.0f;
    const int lane = thread % 32, warp = thread / 32, wm = warp % 2 * 32, wn = warp / 2 * 32;
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) fetch(stage[s]);
        ptx::copy_async_commit();
    }
    for (int s = 0; s < steps; ++s) {
        ptx::copy_async_wait<STAGES - 2>();
        __syncthreads();
        if (s + STAGES - 1 < steps) fetch(stage[(s + STAGES - 1) % STAGES]);
        ptx::copy_async_commit();
        const Stage<T, B, B>& now = stage[s % STAGES];
#pragma unroll
        for (int k = 0; k < BK; k += 2 * CHUNK<T>) {
            u32 fa[2][4], fb[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) M::rows(fa[i], now.a, k, wm + i * 16);
#pragma unroll
            for (int j = 0; j < 2; ++j) M::columns(fb[j], now.b, k, wn + j * 16);
            M::multiply(sum, fa, fb);
        }
        if (n0 == 0 && thread < B) {
            for (int i = 0; i < BK; ++i) bias += to_float(now.a[M::across(i, thread / CHUNK<T>)].item[thread % CHUNK<T>]);
        }
    }

    const long long pitch = all_columns + 1, filters = (long long)a.groups * a.outputs;
    float* out = a.parts + (blockIdx.z * filters + (long long)blockIdx.y * a.outputs + m0) * pitch;
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) {
                const int m = wm + i * 16 + lane / 4 + e / 2 * 8, n = n0 + wn + j * 8 + lane % 4 * 2 + e % 2;
                if (m0 + m < a.outputs && n < all_columns) out[m * pitch + n] = sum[i][j][e];
            }
    if (n0 == 0 && thread < B && m0 + thread < a.outputs) out[thread * pitch + all_columns] = bias;
}
