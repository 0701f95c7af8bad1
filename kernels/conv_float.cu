// conv_float: convolution in float32 with float32 arithmetic: forward, input gradient (transposed convolution), weight gradient.
//
//   conv_gather   out[n, o, k] = act(bias[k] + sum over c, t of in[n, i in_step + d_t, c] w[k, c, r_t])      phases and taps: conv.cuh
//   conv_weight   dw[k, c, r_t] = sum over n, o of dy[n, o, k] x[n, o in_step + d_t, c],   db[k] = sum over n, o of dy[n, o, k]
//                 where several blocks share the sum over n, o, their parts are added by conv_combine
//
// Implicit matrix products, in tiles of BM x BN that 128 threads hold in registers, TM x TN each. Elements come one by one with
// cp.async, so that any layout, stride, alignment and number of channels is taken as it is; the loads of neighbouring lanes are
// neighbours: along the positions, or (LAST) along the channels. Fixed order of sums; offsets within an image are 32-bit.

#include "conv.cuh"
#include "ptx.cuh"

constexpr int BK = 16;
constexpr int STAGES = 3;
constexpr int LANES = THREADS / BK;  // threads that share an index of the sum

// Tiles a (BK, BM) and b (BK, BN) of a stage; 4 more in a row keep the lanes that write along k in different banks.
template <int BM, int BN>
struct Stage {
    float a[BK][BM + 4], b[BK][BN + 4];
};

template <int BM, int BN>
union Room {
    Stage<BM, BN> stage[STAGES];
    float tile[BN * (BM + 4)];
};

// TM or TN neighbours of a row; eight are two fours, half a tile apart, so that a warp reads whole lines.
template <int COUNT, int WIDTH>
__device__ __forceinline__ void fragment(float (&x)[COUNT], const float* row, int place) {
#pragma unroll
    for (int i = 0; i < COUNT; i += 4) {
        const Vector<float, 4> v = load<float, 4>(row + place * 4 + i / 4 * (WIDTH / 2));
#pragma unroll
        for (int j = 0; j < 4; ++j) x[i + j] = v.item[j];
    }
}

template <int BM, int BN, int TM, int TN>
__device__ __forceinline__ void multiply(float (&sum)[TM][TN], const Stage<BM, BN>& s, int tm, int tn) {
#pragma unroll
    for (int k = 0; k < BK; ++k) {
        float a[TM], b[TN];
        fragment<TM, BM>(a, s.a[k], tm);
        fragment<TN, BN>(b, s.b[k], tn);
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN; ++j) sum[i][j] = fmaf(a[i], b[j], sum[i][j]);
    }
}

// Where element (i, j) of a thread's sums lies in the tile.
template <int COUNT, int WIDTH>
__device__ __forceinline__ int place_of(int i, int thread) {
    return thread * 4 + i / 4 * (WIDTH / 2) + i % 4;
}

// Walks over (outer, inner) in steps; inner is the faster one, below `size`.
struct Walk {
    int outer, inner, size, step_outer, step_inner;

    __device__ Walk(int start, int step, int n)
        : outer(start / n), inner(start % n), size(n), step_outer(step / n), step_inner(step % n) {}

    __device__ void advance() {
        outer += step_outer;
        inner += step_inner;
        if (inner >= size) {
            inner -= size;
            ++outer;
        }
    }
};

// Three blocks an SM: left to itself ptxas spills on some GPUs to get more, and is content with two on others.
template <int BM, int BN, int TM, int TN, bool LAST>
__global__ void __launch_bounds__(THREADS, 3) conv_gather(const __grid_constant__ GatherArguments<float> a) {
    static_assert(BM / TM * (BN / TN) == THREADS && BM <= THREADS, "a tile for 128 threads");
    extern __shared__ __align__(16) unsigned char memory[];
    auto& room = *reinterpret_cast<Room<BM, BN>*>(memory);
    auto& taps = *reinterpret_cast<Taps*>(memory + sizeof room);
    auto* rows = reinterpret_cast<long long*>(memory + sizeof room + sizeof taps);  // (BM): where they go, -1 for none
    auto* sources = rows + BM;                                                      // (BM): where they come from; LAST only
    auto* places = reinterpret_cast<int4*>(sources + BM);                           // (BM): at which position; LAST only

    const Work work = work_of<BM, BN>(a);
    const long long m0 = work.m0;
    const int n0 = work.columns.n0, thread = int(threadIdx.x);
    const Phase phase = phase_of(a, int(blockIdx.z));
    if (m0 >= a.batch * phase.all_places()) return;
    const Row row = Position(phase, m0 + thread % BM).row(a, phase);
    if (thread < BM) {
        rows[thread] = row.valid ? row.out : -1;
        if (LAST) {
            sources[thread] = row.in;
            places[thread] = make_int4(row.at[0], row.at[1], row.at[2], row.valid);
        }
    }
    fill(taps, a, phase);
    __syncthreads();

    const float* in = a.in + (long long)blockIdx.y * a.channels * a.in_channel;
    const float* weight = a.weight + (long long)blockIdx.y * a.weight_group + (long long)n0 * a.weight_output;
    const int all_taps = phase.all_taps();
    const Steps own_steps((a.channels * all_taps + BK - 1) / BK, work.share, a.shares);
    const int steps = own_steps.count, start = own_steps.begin * BK;
    const int outer = LAST ? all_taps : a.channels, inner = max(LAST ? a.channels : all_taps, 1);
    const int k = thread % BK;
    Walk along(start + k, BK, inner);                         // this thread's index of the sum for b; for a too if LAST
    Walk across(start + thread / BM, THREADS / BM, inner);    // its indices for a, otherwise

    const auto fetch = [&](Stage<BM, BN>& s) {
        const bool some = along.outer < outer;
        const int t = !some ? 0 : LAST ? along.outer : along.inner, c = LAST ? along.inner : along.outer;
        const int4 tap = taps.place[t];
        const long long from = (long long)c * a.weight_channel + taps.weight[t];
#pragma unroll
        for (int n = thread / BK; n < BN; n += LANES) {
            const bool valid = some && n0 + n < a.outputs;
            ptx::copy_async<4>(&s.b[k][n], weight + (valid ? from + (long long)n * a.weight_output : 0), valid);
        }
        if (LAST) {
#pragma unroll 4
            for (int m = thread / BK; m < BM; m += LANES) {
                const int4 p = places[m];
                const int at[AXES] = {p.x, p.y, p.z};
                const bool valid = some && p.w && inside(a, at, tap);
                ptx::copy_async<4>(&s.a[k][m], in + (valid ? sources[m] + tap.w + c : 0), valid);
            }
        } else {
#pragma unroll 4
            for (int i = thread / BM; i < BK; i += THREADS / BM) {
                const int4 own = taps.place[across.outer < outer ? across.inner : 0];
                const bool valid = across.outer < outer && row.valid && inside(a, row.at, own);
                const long long offset = row.in + own.w + (long long)across.outer * a.in_channel;
                ptx::copy_async<4>(&s.a[i][thread % BM], in + (valid ? offset : 0), valid);
                across.advance();
            }
        }
        along.advance();
    };

    float sum[TM][TN] = {};
    const int tm = thread / (BN / TN), tn = thread % (BN / TN);
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) fetch(room.stage[s]);
        ptx::copy_async_commit();
    }
    for (int s = 0; s < steps; ++s) {
        ptx::copy_async_wait<STAGES - 2>();
        __syncthreads();
        if (s + STAGES - 1 < steps) fetch(room.stage[(s + STAGES - 1) % STAGES]);
        ptx::copy_async_commit();
        multiply<BM, BN, TM, TN>(sum, room.stage[s % STAGES], tm, tn);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < TM; ++i)
#pragma unroll
        for (int j = 0; j < TN; ++j)
            room.tile[place_of<TN, BN>(j, tn) * (BM + 4) + place_of<TM, BM>(i, tm)] = sum[i][j];
    if (a.shares > 1 && !adds_up<BM, BN, THREADS>(a, room.tile, work)) return;
    if (a.moments != nullptr) take_moments<float, BM, BN, THREADS>(a, room.tile, rows, work);
    finish<float, BM, BN, THREADS, 4>(a, room.tile, rows, work.columns);
}

// dw (groups * outputs, channels * taps), db (groups * outputs), or parts (gridDim.z, groups * outputs, channels * taps + 1)
// whose last column is that of db; x and dy as `in` and `out` of the forward.
struct WeightArguments {
    float* dw;
    float* db;     // or null: not wanted
    float* parts;  // or null: one block sums everything
    const float* x;
    const float* dy;
    long long batch, in_image, out_image, chunk;  // chunk: positions of a part
    int groups, channels, outputs;                // of a group
    int in_channel, out_channel;
    int source[AXES], target[AXES], kernel[AXES];
    int out_step[AXES], in_step[AXES], shift[AXES], dilation[AXES], divisor[AXES], tap_step[AXES], inverse[AXES], shift_step[AXES];
    int in_stride[AXES], out_stride[AXES];
};

template <int BM, int BN, int TM, int TN>
__global__ void __launch_bounds__(THREADS) conv_weight(const __grid_constant__ WeightArguments a) {
    static_assert(BM / TM * (BN / TN) == THREADS && BM <= THREADS && BN <= THREADS, "a tile for 128 threads");
    __shared__ Stage<BM, BN> stage[STAGES];
    __shared__ int4 columns[BN];  // the shifts of a column's tap, and its offset in an image of x

    const int thread = int(threadIdx.x);
    const Phase phase = phase_of(a, 0);
    const int all_taps = phase.all_taps(), all_columns = a.channels * all_taps, tiles = (all_columns - 1) / BN + 1;
    const int m0 = int(blockIdx.x) / tiles * BM, n0 = int(blockIdx.x) % tiles * BN;
    if (thread < BN) {
        int rest = (n0 + thread) % all_taps, shift[AXES];
#pragma unroll
        for (int x = AXES - 1; x >= 0; --x) {
            shift[x] = phase.first_shift[x] + a.shift_step[x] * (rest % phase.taps[x]);
            rest /= phase.taps[x];
        }
        const int offset = shift[0] * a.in_stride[0] + shift[1] * a.in_stride[1] + shift[2] * a.in_stride[2];
        columns[thread] = make_int4(shift[0], shift[1], shift[2], offset + (n0 + thread) / all_taps * a.in_channel);
    }
    __syncthreads();

    const float* x = a.x + (long long)blockIdx.y * a.channels * a.in_channel;
    const float* dy = a.dy + ((long long)blockIdx.y * a.outputs + m0) * a.out_channel;
    const long long all = a.batch * phase.all_places(), start = blockIdx.z * a.chunk;
    const int count = int(min(a.chunk, all - start)), steps = (count + BK - 1) / BK;
    // Neighbouring lanes along the positions, or with the channels last eight of them along the channels.
    const bool last = a.out_channel == 1;
    const int k = last ? thread / LANES : thread % BK, lane = last ? thread % LANES : thread / BK;
    Position position(phase, start + k);
    int left = count - k;

    const auto fetch = [&](Stage<BM, BN>& s) {
        const bool some = left > 0;
        const Row row = position.row(a, phase);
#pragma unroll
        for (int m = lane; m < BM; m += LANES) {
            const bool valid = some && m0 + m < a.outputs;
            ptx::copy_async<4>(&s.a[k][m], dy + (valid ? row.out + (long long)m * a.out_channel : 0), valid);
        }
#pragma unroll 4
        for (int n = lane; n < BN; n += LANES) {
            const int4 column = columns[n];
            const bool valid = some && n0 + n < all_columns && inside(a, row.at, column);
            ptx::copy_async<4>(&s.b[k][n], x + (valid ? row.in + column.w : 0), valid);
        }
        position.advance(phase, BK);
        left -= BK;
    };

    float sum[TM][TN] = {}, bias = 0.0f;
    const int tm = thread / (BN / TN), tn = thread % (BN / TN);
    const bool sums_bias = n0 == 0 && thread < BM && (a.db != nullptr || a.parts != nullptr);
    for (int s = 0; s < STAGES - 1; ++s) {
        if (s < steps) fetch(stage[s]);
        ptx::copy_async_commit();
    }
    for (int s = 0; s < steps; ++s) {
        ptx::copy_async_wait<STAGES - 2>();
        __syncthreads();
        if (s + STAGES - 1 < steps) fetch(stage[(s + STAGES - 1) % STAGES]);
        ptx::copy_async_commit();
        multiply<BM, BN, TM, TN>(sum, stage[s % STAGES], tm, tn);
        if (sums_bias) {
            for (int i = 0; i < BK; ++i) bias += stage[s % STAGES].a[i][thread];
        }
    }

    const bool parts = a.parts != nullptr;
    const long long pitch = all_columns + parts, filters = (long long)a.groups * a.outputs;
    const long long first = (long long)blockIdx.y * a.outputs + m0;
    float* out = (parts ? a.parts + blockIdx.z * filters * pitch : a.dw) + first * pitch + n0;
#pragma unroll
    for (int i = 0; i < TM; ++i) {
        const int m = place_of<TM, BM>(i, tm);
#pragma unroll
        for (int j = 0; j < TN; ++j) {
            const int n = place_of<TN, BN>(j, tn);
            if (m0 + m < a.outputs && n0 + n < all_columns) out[m * pitch + n] = sum[i][j];
        }
    }
    if (sums_bias && m0 + thread < a.outputs) *(parts ? out + thread * pitch + all_columns : a.db + first + thread) = bias;
}
