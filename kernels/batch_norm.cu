// batch_norm: channels standardised over a batch, then scaled and shifted; in evaluation with given statistics.
//
//   h = (x - mean) / sqrt(var + eps), y = h * weight + bias                  mean, var of a channel
//   dx = (g - mean(g) - h mean(g h)) * weight / sqrt(var + eps)              in evaluation without the two means
//   dweight = sum of g h, dbias = sum of g                                   over a channel
//
// x, y (samples, channels, size), contiguous; T is float, __half or __nv_bfloat16, arithmetic and sums are in float. N elements
// move at once, 16 bytes or one. A block has part of a channel, its threads side by side in the planes of the samples, one plane
// after another; with size 1, x is a matrix, blockDim.x * N channels are side by side in a block and its threads walk down the rows.
// A channel is shared by `chunks` blocks. With one chunk a launch does all. With more, the first launch (GATHER) leaves each chunk's
// sums, the second (APPLY) adds up those of its channel, in a fixed order, and goes over the elements: the same bits every time.
// Statistics are of x - pivot, the first element of the channel: x may lie far from zero.

#include "norm.cuh"

enum Stage { ALL, GATHER, APPLY };

// Packs that a thread has in flight.
template <int N>
constexpr int FLIGHT = N == 1 ? 8 : 4;

// The thread's way: the packs that it reads, in order, and the channels of their elements.
template <int N>
struct Walk {
    int channel, channels, chunk, chunks;
    bool planes, inside;
    long long each, all;     // packs (in a matrix rows) of a channel: in a chunk, and in all
    long long index, stop;   // the next one, the end of the chunk
    int packs;               // of a plane
    int sample, pack;        // where the next one is
    int step, step_sample, step_pack;
    long long first, stride;  // the channel's first element; elements from sample to sample

    __device__ __forceinline__ Walk(int samples, int channels, int size, int chunks, long long each)
        : channels(channels), chunks(chunks), each(each) {
        const int lane = int(blockIdx.x) / chunks * int(blockDim.x) + int(threadIdx.x);
        chunk = int(blockIdx.x) % chunks;
        planes = size > 1;
        channel = planes ? lane : lane * N;
        inside = channel < channels;
        packs = planes ? size / N : 1;
        all = (long long)samples * packs;
        index = chunk * each + threadIdx.y;
        stop = inside ? min((chunk + 1) * each, all) : 0;
        sample = int(index / packs), pack = int(index % packs);
        step = int(blockDim.y), step_sample = step / packs, step_pack = step % packs;
        first = (long long)channel * size, stride = (long long)channels * size;
    }

    __device__ __forceinline__ bool more() const { return index < stop; }

    __device__ __forceinline__ long long offset() const { return first + sample * stride + (long long)pack * N; }

    __device__ __forceinline__ void advance() {
        index += step, sample += step_sample, pack += step_pack;
        if (pack >= packs) pack -= packs, ++sample;
    }

    // Elements of a channel: in a chunk, and in all of them.
    __device__ __forceinline__ float count(int chunk) const {
        return float(min(each, all - chunk * each) * (planes ? N : 1));
    }
    __device__ __forceinline__ float count() const { return float(all * (planes ? N : 1)); }

    // The channel of the i-th element of a pack, and whether the thread has a sum of its own for it.
    __device__ __forceinline__ int of(int i) const { return planes ? channel : channel + i; }
    __device__ __forceinline__ bool own(int i) const { return inside && (i == 0 || !planes); }
    __device__ __forceinline__ bool writes(int i) const { return own(i) && threadIdx.y == 0; }

    // Where a chunk's sum is for the i-th element's channel, in an array (chunks, 2, channels).
    __device__ __forceinline__ long long place(int chunk, int which, int i) const {
        return (2LL * chunk + which) * channels + of(i);
    }

    // Adds up the threads of the block that share channels, and in planes the elements of a pack. All of them get the sums.
    // room: THREADS * N floats of shared memory, free again when it returns.
    __device__ __forceinline__ void total(float (&x)[N], float* room) const {
        const int lanes = int(blockDim.x), warp = thread_index() / 32;
#pragma unroll
        for (int i = 1; i < N; ++i) {
            if (planes) x[0] += x[i];
        }
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (i > 0 && planes) break;
            for (int distance = 16; distance >= lanes; distance /= 2) x[i] += __shfl_xor_sync(0xffffffffu, x[i], distance);
            if (thread_index() % 32 < lanes) room[(i * WARPS + warp) * lanes + threadIdx.x] = x[i];
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const int from = planes ? 0 : i * WARPS;
            x[i] = 0.0f;
            for (int k = 0; k < WARPS; ++k) x[i] += room[(from + k) * lanes + threadIdx.x];
        }
        __syncthreads();
    }
};

// The number of a channel: in x's dtype, or in float.
template <class T>
__device__ __forceinline__ float either(const T* values, const float* wide, int c) {
    return values != nullptr ? to_float(values[c]) : wide[c];
}

template <class T>
struct ForwardArguments {
    T* y;                    // (samples, channels, size)
    float* mean;             // (channels), or null: not wanted
    float* var;              // (channels), or null
    float* centre;           // (channels), the mean of x - pivot; or null
    float* scale;            // (channels), 1 / sqrt(var + eps); or null
    float* parts;            // (chunks, 2, channels): mean of x - pivot and sum of squares about it; null with stage ALL
    const T* x;              // (samples, channels, size)
    const T* weight;         // (channels), or null
    const T* bias;           // (channels), or null
    const T* given_mean;     // (channels) in evaluation, or null
    const T* given_var;      // (channels), or null
    const float* wide_mean;  // (channels), the same in float where x is not; or null
    const float* wide_var;   // (channels), or null
    int samples, channels, size;
    int chunks;
    long long each;  // packs (in a matrix rows) of a chunk
    int stage;
    float eps;
};

// The moments of x - pivot over the thread's way.
template <class T, int N>
__device__ __forceinline__ Moments<N> gathered(Walk<N> w, const T* x, const float (&pivot)[N]) {
    Moments<N> all;
    while (w.more()) {
        Vector<T, N> v[FLIGHT<N>];
        Moments<N> some;
#pragma unroll
        for (int u = 0; u < FLIGHT<N>; ++u) {
            if (!w.more()) continue;
            v[u] = load<T, N>(x + w.offset());
            some.count += 1.0f;
            w.advance();
        }
        const float part = 1.0f / some.count;
#pragma unroll
        for (int i = 0; i < N; ++i) {
#pragma unroll
            for (int u = 0; u < FLIGHT<N>; ++u) {
                if (u < some.count) some.mean[i] += to_float(v[u].item[i]) - pivot[i];
            }
            some.mean[i] *= part;
#pragma unroll
            for (int u = 0; u < FLIGHT<N>; ++u) {
                const float d = to_float(v[u].item[i]) - pivot[i] - some.mean[i];
                if (u < some.count) some.squares[i] += d * d;
            }
        }
        all.merge(some);
    }
    return all;
}

// What series become that share a channel: their mean, and the sum of squares of the distances from it. `each(take)` calls take
// with the count, the mean and the squares of each of the thread's series and with the place of its sums.
template <int N, class Each>
__device__ __forceinline__ void join(const Walk<N>& w, float count, const Each& each, Moments<N>& out, float* room) {
    float sum[N] = {}, squares[N] = {};
    each([&](int i, float n, float mean, float) { sum[i] += n * mean; });
    w.total(sum, room);
#pragma unroll
    for (int i = 0; i < N; ++i) out.mean[i] = sum[i] / count;
    each([&](int i, float n, float mean, float own) {
        const float distance = mean - out.mean[i];
        squares[i] += own + n * distance * distance;
    });
    w.total(squares, room);
#pragma unroll
    for (int i = 0; i < N; ++i) out.squares[i] = squares[i];
    out.count = count;
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS) batch_norm_forward(const __grid_constant__ ForwardArguments<T> a) {
    __shared__ float room[THREADS * N];
    Walk<N> w(a.samples, a.channels, a.size, a.chunks, a.each);
    const bool given = a.given_mean != nullptr || a.wide_mean != nullptr;
    float pivot[N] = {}, scale[N] = {}, shift[N] = {};
    Moments<N> m;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (w.inside && !given) pivot[i] = to_float(a.x[(long long)w.of(i) * a.size]);
    }
    if (given) {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (!w.inside) continue;
            m.mean[i] = either(a.given_mean, a.wide_mean, w.of(i));
            scale[i] = 1.0f / sqrtf(either(a.given_var, a.wide_var, w.of(i)) + a.eps);
        }
    } else {
        if (a.stage == APPLY) {
            join<N>(w, w.count(), [&](const auto& take) {
                for (int k = int(threadIdx.y); k < a.chunks; k += int(blockDim.y)) {
#pragma unroll
                    for (int i = 0; i < N; ++i) {
                        if (w.own(i)) take(i, w.count(k), a.parts[w.place(k, 0, i)], a.parts[w.place(k, 1, i)]);
                    }
                }
            }, m, room);
        } else {
            const Moments<N> mine = gathered<T, N>(w, a.x, pivot);
            join<N>(w, w.count(w.chunk), [&](const auto& take) {
#pragma unroll
                for (int i = 0; i < N; ++i) take(i, mine.count, mine.mean[i], mine.squares[i]);
            }, m, room);
        }
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const float var = m.squares[i] / m.count;
            scale[i] = 1.0f / sqrtf(var + a.eps);
            if (a.stage == GATHER && w.writes(i)) {
                a.parts[w.place(w.chunk, 0, i)] = m.mean[i];
                a.parts[w.place(w.chunk, 1, i)] = m.squares[i];
            } else if (w.chunk == 0 && w.writes(i)) {
                if (a.mean != nullptr) a.mean[w.of(i)] = pivot[i] + m.mean[i];
                if (a.var != nullptr) a.var[w.of(i)] = var;
                if (a.centre != nullptr) a.centre[w.of(i)] = m.mean[i];
                if (a.scale != nullptr) a.scale[w.of(i)] = scale[i];
            }
        }
        if (a.stage == GATHER) return;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (w.inside && a.weight != nullptr) scale[i] *= to_float(a.weight[w.of(i)]);
        if (w.inside && a.bias != nullptr) shift[i] = to_float(a.bias[w.of(i)]);
    }
    while (w.more()) {
        Vector<T, N> v[FLIGHT<N>];
        long long offset[FLIGHT<N>];
#pragma unroll
        for (int u = 0; u < FLIGHT<N>; ++u) {
            offset[u] = -1;
            if (!w.more()) continue;
            offset[u] = w.offset();
            v[u] = load<T, N>(a.x + offset[u]);
            w.advance();
        }
#pragma unroll
        for (int u = 0; u < FLIGHT<N>; ++u) {
            if (offset[u] < 0) continue;
#pragma unroll
            for (int i = 0; i < N; ++i) {
                const float d = to_float(v[u].item[i]) - pivot[i] - m.mean[i];
                store_float(&v[u].item[i], d * scale[i] + shift[i]);
            }
            store<T, N>(a.y + offset[u], v[u]);
        }
    }
}

template <class T>
struct BackwardArguments {
    T* dx;                   // (samples, channels, size), or null: not wanted
    T* dweight;              // (channels), or null
    T* dbias;                // (channels), or null
    float* sum;              // (channels), the sum of g; or null
    float* along;            // (channels), the sum of g (x - mean); or null
    float* parts;            // (chunks, 2, channels): both sums of each chunk; null with stage ALL, or if none is wanted
    const T* g;              // (samples, channels, size)
    const T* x;              // (samples, channels, size)
    const T* weight;         // (channels), or null
    const float* centre;     // (channels), as the forward left it; null in evaluation
    const float* scale;      // (channels)
    const float* dmean;      // (channels), the gradients of mean and var; or null
    const float* dvar;       // (channels), or null
    const T* given_mean;     // as in the forward
    const T* given_var;
    const float* wide_mean;
    const float* wide_var;
    int samples, channels, size;
    int chunks;
    long long each;
    int stage;
    float eps;
};

template <class T, int N>
__global__ void __launch_bounds__(THREADS) batch_norm_backward(const __grid_constant__ BackwardArguments<T> a) {
    constexpr int U = FLIGHT<N> / 2;
    __shared__ float room[THREADS * N];
    Walk<N> w(a.samples, a.channels, a.size, a.chunks, a.each);
    if (a.stage == APPLY && a.dx == nullptr && w.chunk > 0) return;
    const bool given = a.centre == nullptr;
    float pivot[N] = {}, mean[N] = {}, inverse[N] = {}, sum[N] = {}, along[N] = {};
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (!w.inside) continue;
        const int c = w.of(i);
        pivot[i] = given ? 0.0f : to_float(a.x[(long long)c * a.size]);
        mean[i] = given ? either(a.given_mean, a.wide_mean, c) : a.centre[c];
        inverse[i] = given ? 1.0f / sqrtf(either(a.given_var, a.wide_var, c) + a.eps) : a.scale[c];
    }
    if (a.stage != APPLY) {
        for (Walk<N> v = w; v.more();) {
            Vector<T, N> g[U], x[U];
            int count = 0;
#pragma unroll
            for (int u = 0; u < U; ++u) {
                if (!v.more()) continue;
                g[u] = load<T, N>(a.g + v.offset());
                x[u] = load<T, N>(a.x + v.offset());
                ++count;
                v.advance();
            }
#pragma unroll
            for (int u = 0; u < U; ++u) {
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    if (u >= count) continue;
                    const float gradient = to_float(g[u].item[i]);
                    sum[i] += gradient;
                    along[i] += gradient * (to_float(x[u].item[i]) - pivot[i] - mean[i]);
                }
            }
        }
    } else if (a.parts != nullptr) {
        for (int k = int(threadIdx.y); k < a.chunks; k += int(blockDim.y)) {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                if (w.own(i)) sum[i] += a.parts[w.place(k, 0, i)], along[i] += a.parts[w.place(k, 1, i)];
            }
        }
    }
    w.total(sum, room);
    w.total(along, room);
    float gain[N] = {}, slope[N] = {}, level[N] = {};
    const float count = w.count();
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const int c = w.of(i);
        if (a.stage == GATHER && w.writes(i)) {
            a.parts[w.place(w.chunk, 0, i)] = sum[i];
            a.parts[w.place(w.chunk, 1, i)] = along[i];
        } else if (w.chunk == 0 && w.writes(i)) {
            if (a.dweight != nullptr) store_float(a.dweight + c, along[i] * inverse[i]);
            if (a.dbias != nullptr) store_float(a.dbias + c, sum[i]);
            if (a.sum != nullptr) a.sum[c] = sum[i];
            if (a.along != nullptr) a.along[c] = along[i];
        }
        if (!w.inside) continue;
        gain[i] = inverse[i] * (a.weight != nullptr ? to_float(a.weight[c]) : 1.0f);
        if (given) continue;
        level[i] = ((a.dmean != nullptr ? a.dmean[c] : 0.0f) - gain[i] * sum[i]) / count;
        slope[i] = ((a.dvar != nullptr ? 2.0f * a.dvar[c] : 0.0f) - gain[i] * inverse[i] * inverse[i] * along[i]) / count;
    }
    if (a.stage == GATHER || a.dx == nullptr) return;
    while (w.more()) {
        Vector<T, N> g[U], x[U];
        long long offset[U];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            offset[u] = -1;
            if (!w.more()) continue;
            offset[u] = w.offset();
            g[u] = load<T, N>(a.g + offset[u]);
            if (!given) x[u] = load<T, N>(a.x + offset[u]);
            w.advance();
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            if (offset[u] < 0) continue;
#pragma unroll
            for (int i = 0; i < N; ++i) {
                float d = to_float(g[u].item[i]) * gain[i];
                if (!given) d += (to_float(x[u].item[i]) - pivot[i] - mean[i]) * slope[i] + level[i];
                store_float(&g[u].item[i], d);
            }
            store<T, N>(a.dx + offset[u], g[u]);
        }
    }
}
