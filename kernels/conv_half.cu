// conv_half: convolution in float16 and bfloat16 on tensor cores, summed in float32: forward, input gradient, weight gradient.
//
//   conv_pack          an array in any layout -> (a, b, group, channel): the channels of a group last, zeros up to a multiple of 8
//   conv_gather_half   out[n, o, k] = act(bias[k] + sum over t, c of in[n, i in_step + d_t, c] w[k, r_t, c])   phases, taps: conv.cuh
//   conv_weight_half   parts[p, k, t, c] = sum over the share p of n, o of dy[n, o, k] x[n, o in_step + d_t, c], and that of the bias
//
// Channels last and padded, everything moves in chunks of 8 elements, 16 bytes, and a sum runs over chunks (tap, channels of the tap):
// few channels waste no more than the padding. Arrays that lie like that are read as they are, others are packed first.
// Tiles come with cp.async, four stages deep; the chunks of a row are swizzled, so that neither cp.async nor ldmatrix meets a bank twice.
// Fixed order of sums. bfloat16 on a GPU without such tensor cores (sm_75) is multiplied by the other units.

#include "conv.cuh"
#include "ptx.cuh"

using ptx::u32;

constexpr int CHUNK = 8;  // elements of 16 bytes
constexpr int STAGES = 4;
constexpr int BK = 32;    // elements of the sum in a stage

__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], __half) {
    ptx::mma_m16n8k16_f16(c, a, b);
}

// The element of a register of two: 0 the low half.
__device__ __forceinline__ float bfloat16_at(u32 r, int i) { return __uint_as_float(i ? r & 0xffff0000u : r << 16); }

__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], __nv_bfloat16) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    ptx::mma_m16n8k16_bf16(c, a, b);
#else
    // Lane (g, t) gathers row g and g + 8 of a from the lanes of its g, columns 2t and 2t + 1 of b from those of theirs.
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll 1
    for (int s = 0; s < 4; ++s) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32 low = __shfl_sync(0xffffffffu, a[2 * half], 4 * g + s);
            const u32 high = __shfl_sync(0xffffffffu, a[2 * half + 1], 4 * g + s);
            const u32 left = __shfl_sync(0xffffffffu, b[half], 8 * t + s);
            const u32 right = __shfl_sync(0xffffffffu, b[half], 8 * t + 4 + s);
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                c[0] = fmaf(bfloat16_at(low, i), bfloat16_at(left, i), c[0]);
                c[1] = fmaf(bfloat16_at(low, i), bfloat16_at(right, i), c[1]);
                c[2] = fmaf(bfloat16_at(high, i), bfloat16_at(left, i), c[2]);
                c[3] = fmaf(bfloat16_at(high, i), bfloat16_at(right, i), c[3]);
            }
        }
    }
#endif
}

// Up to three arrays to pack in one launch, one for each blockIdx.y: to (a, b, group, padded) from
// a a_stride + b b_stride + group group_stride + channel channel_stride.
template <class T>
struct PackArguments {
    T *to0, *to1, *to2;
    const T *from0, *from1, *from2;
    long long a[3], b[3], a_stride[3], b_stride[3], group_stride[3], channel_stride[3];
    int groups[3], channels[3];
};

// A thread makes one chunk; neighbouring threads take neighbouring b, which lie side by side in what is to be packed.
template <class T>
__global__ void __launch_bounds__(256) conv_pack(const __grid_constant__ PackArguments<T> p) {
    const int job = int(blockIdx.y);
    T* to = job == 0 ? p.to0 : job == 1 ? p.to1 : p.to2;
    const T* from = job == 0 ? p.from0 : job == 1 ? p.from1 : p.from2;
    const int channels = p.channels[job], chunks = (channels + CHUNK - 1) / CHUNK, inner = p.groups[job] * chunks;
    const long long e = (long long)blockIdx.x * 256 + threadIdx.x, b = e % p.b[job], rest = e / p.b[job];
    const long long a = rest / inner;
    if (a >= p.a[job]) return;
    const int gc = int(rest - a * inner), g = gc / chunks, c0 = (gc - g * chunks) * CHUNK;
    from += a * p.a_stride[job] + b * p.b_stride[job] + g * p.group_stride[job];
    Vector<T, CHUNK> v;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
        if (c0 + i < channels) {
            v.item[i] = from[(c0 + i) * p.channel_stride[job]];
        } else {
            store_float(&v.item[i], 0.0f);
        }
    }
    store<T, CHUNK>(to + ((a * p.b[job] + b) * inner + gc) * CHUNK, v);
}

// The place of a chunk in a tile whose rows are 4 chunks: two rows share a line of 128 bytes, and eight lines the order of chunks.
__device__ __forceinline__ int swizzled(int row, int chunk) {
    const int line = row / 2;
    return (line * 8 + ((row % 2 * 4 + chunk) ^ (line % 8))) * CHUNK;
}

// Two tiles of rows of BK elements each.
template <class T, int BM, int BN>
struct Stage {
    T a[BM * BK], b[BN * BK];
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

// channels of the arguments: chunks of 8 a group; weight (outputs, taps, chunks): weight_channel is 8, and strides as ever.
// One block an SM is asked for, because without a word ptxas spills on sm_75 to get more.
template <class T, int BM, int BN, int WM, int WN>
__global__ void __launch_bounds__(THREADS, 1) conv_gather_half(const __grid_constant__ GatherArguments<T> a) {
    constexpr int MI = WM / 16, NI = WN / 8, CHUNKS = BK / CHUNK, ROWS = THREADS / CHUNKS;
    static_assert(BM / WM * (BN / WN) * 32 == THREADS && BM % ROWS == 0 && NI % 2 == 0, "a tile for 4 warps");
    extern __shared__ __align__(128) unsigned char memory[];
    auto& room = *reinterpret_cast<Room<T, BM, BN>*>(memory);
    auto& taps = *reinterpret_cast<Taps*>(memory + sizeof room);
    auto* rows = reinterpret_cast<long long*>(memory + sizeof room + sizeof taps);  // (BM): where they go, -1 for none

    const int tiles = (a.outputs - 1) / BN + 1, thread = int(threadIdx.x);
    const long long m0 = (long long)(int(blockIdx.x) / tiles) * BM;
    const int n0 = int(blockIdx.x) % tiles * BN;
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
    const int all = phase.all_taps() * a.channels, steps = (all + CHUNKS - 1) / CHUNKS;
    int tap = chunk / a.channels, channel = chunk % a.channels;
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
        for (int k = 0; k < BK / 16; ++k) {
            u32 fa[MI][4], fb[NI / 2][4];
#pragma unroll
            for (int i = 0; i < MI; ++i) ptx::ldmatrix_x4(fa[i], &now.a[swizzled(wm + i * 16 + lane % 16, 2 * k + lane / 16)]);
#pragma unroll
            for (int j = 0; j < NI / 2; ++j)
                ptx::ldmatrix_x4(fb[j], &now.b[swizzled(wn + j * 16 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2)]);
#pragma unroll
            for (int i = 0; i < MI; ++i)
#pragma unroll
                for (int j = 0; j < NI; ++j) {
                    const u32 b[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
                    multiply(sum[i][j], fa[i], b, T());
                }
        }
    }
    __syncthreads();
    put<BM, MI, NI>(room.tile, sum, wm, wn);
    __syncthreads();
    if (a.vector) {
        write_out<T, BM, BN, CHUNK>(a, room.tile, rows, n0);
    } else {
        write_out<T, BM, BN, 1>(a, room.tile, rows, n0);
    }
}

// x and dy packed; channels and outputs are those of a group, counted in elements with the padding of x and without that of dy.
// parts (gridDim.z, groups * outputs, taps * channels + 1), whose last column is that of the bias.
template <class T>
struct HalfWeightArguments {
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

// The place of a chunk in a tile (BK, 8 chunks) whose rows are positions.
__device__ __forceinline__ int across(int row, int chunk) { return (row * 8 + (chunk ^ (row % 8))) * CHUNK; }

template <class T>
__global__ void __launch_bounds__(THREADS) conv_weight_half(const __grid_constant__ HalfWeightArguments<T> a) {
    constexpr int B = 64, CHUNKS = B / CHUNK, ROWS = THREADS / CHUNKS, OWN = BK / ROWS;
    __shared__ __align__(128) Stage<T, B, B> stage[STAGES];
    const int thread = int(threadIdx.x), chunk = thread % CHUNKS, first = thread / CHUNKS;
    const Phase phase = phase_of(a, 0);
    const int all_taps = phase.all_taps(), all_columns = a.channels * all_taps, tiles = (all_columns - 1) / B + 1;
    const int m0 = int(blockIdx.x) / tiles * B, n0 = int(blockIdx.x) % tiles * B;

    // The tap and the channels of this thread's chunk of columns stay the same.
    const int column = n0 + chunk * CHUNK, channel = column % a.channels;
    int rest = column / a.channels, shift[AXES];
#pragma unroll
    for (int x = AXES - 1; x >= 0; --x) {
        shift[x] = phase.first_shift[x] + a.shift_step[x] * (rest % phase.taps[x]);
        rest /= phase.taps[x];
    }
    const int offset = shift[0] * a.in_stride[0] + shift[1] * a.in_stride[1] + shift[2] * a.in_stride[2] + channel;
    const int4 tap = make_int4(shift[0], shift[1], shift[2], offset);
    const bool has_column = column < all_columns, has_row = m0 + chunk * CHUNK < a.dy_group;
    const T* x = a.x + (long long)blockIdx.y * a.channels;
    const T* dy = a.dy + (long long)blockIdx.y * a.dy_group + m0 + chunk * CHUNK;

    const long long all = a.batch * phase.all_places(), start = blockIdx.z * a.chunk;
    const int count = int(min(a.chunk, all - start)), steps = (count + BK - 1) / BK;
    Position position(phase, start + first);
    int left = count - first;
    const auto fetch = [&](Stage<T, B, B>& s) {
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            const Row row = position.row(a, phase);
            const bool m = left > 0 && has_row, n = left > 0 && has_column && inside(a, row.at, tap);
            ptx::copy_async<16>(&s.a[across(first + i * ROWS, chunk)], m ? dy + row.out : a.dy, m);
            ptx::copy_async<16>(&s.b[across(first + i * ROWS, chunk)], n ? x + row.in + tap.w : a.x, n);
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
        for (int k = 0; k < BK; k += 16) {
            u32 fa[2][4], fb[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const int row = k + lane % 8 + lane / 16 * 8, column_of = (wm + i * 16) / CHUNK + lane / 8 % 2;
                ptx::ldmatrix_x4_trans(fa[i], &now.a[across(row, column_of)]);
            }
#pragma unroll
            for (int j = 0; j < 2; ++j)
                ptx::ldmatrix_x4_trans(fb[j], &now.b[across(k + lane % 16, (wn + j * 16) / CHUNK + lane / 16)]);
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) {
                    const u32 b[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
                    multiply(sum[i][j], fa[i], b, T());
                }
        }
        if (n0 == 0 && thread < B) {
            for (int i = 0; i < BK; ++i) bias += to_float(now.a[across(i, thread / CHUNK) + thread % CHUNK]);
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
