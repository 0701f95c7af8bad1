// batch_norm: channels standardised over a batch, then scaled and shifted; in evaluation with given statistics.
//
//   h = (x - mean) / sqrt(var + eps), y = act(h * weight + bias)             mean, var of a channel
//   g = dy * act'(y)                                                         the slope is told from y
//   dx = (g - mean(g) - h mean(g h)) * weight / sqrt(var + eps)              in evaluation without the two means
//   dweight = sum of g h, dbias = sum of g                                   over a channel
//
// x, y (samples, channels, size), contiguous; T is float, __half or __nv_bfloat16, arithmetic and sums are in float. N elements
// move at once, 16 bytes or one; walk.cuh says which a thread has.
// A channel is shared by `chunks` blocks. With one chunk a launch does all. With more, the first launch (GATHER) leaves each chunk's
// sums, the second (APPLY) adds up those of its channel, in a fixed order, and goes over the elements: the same bits every time.
// Statistics are of x - pivot, the first element of the channel: x may lie far from zero.

#include "walk.cuh"

enum Stage { ALL, GATHER, APPLY };

// Blocks that an SM shall hold, forward and backward: as many as go without spills, which ptxas left to itself has.
template <int N>
constexpr int HELD = N == 1 ? 4 : N == 4 ? 3 : 2;
template <int N>
constexpr int HELD_BACKWARD = N == 1 ? 4 : 2;

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
    float* parts;            // (chunks, 2, channels): mean of x - pivot, squares about it; null with stage ALL
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
    int activation;
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

// The moments of the thread's channels: of its chunk, or with stage APPLY of all chunks together.
template <class T, int N>
__device__ __forceinline__ Moments<N> statistics(
    const ForwardArguments<T>& a, const Walk<N>& w, const float (&pivot)[N], float* room) {
    Moments<N> found;
    if (a.stage == APPLY) {
        const auto each = [&](const auto& take) {
            for (int k = int(threadIdx.y); k < a.chunks; k += int(blockDim.y)) {
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    if (w.own(i)) take(i, w.count(k), a.parts[w.place(k, 0, i)], a.parts[w.place(k, 1, i)]);
                }
            }
        };
        join<N>(w, w.count(), each, found, room);
    } else {
        const Moments<N> own = gathered<T, N>(w, a.x, pivot);
        const auto each = [&](const auto& take) {
#pragma unroll
            for (int i = 0; i < N; ++i) take(i, own.count, own.mean[i], own.squares[i]);
        };
        join<N>(w, w.count(w.chunk), each, found, room);
    }
    return found;
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS, HELD<N>) batch_norm_forward(const __grid_constant__ ForwardArguments<T> a) {
    __shared__ float room[THREADS * N];
    Walk<N> w(a.samples, a.channels, a.size, a.chunks, a.each);
    const bool given = a.given_mean != nullptr || a.wide_mean != nullptr;
    float pivot[N] = {}, gain[N] = {}, shift[N] = {};
    Moments<N> m;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (w.inside && !given) pivot[i] = to_float(a.x[(long long)w.of(i) * a.size]);
    }
    if (!given) m = statistics<T, N>(a, w, pivot, room);
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (!w.inside) continue;
        const int c = w.of(i);
        if (given) m.mean[i] = either(a.given_mean, a.wide_mean, c);
        const float var = given ? either(a.given_var, a.wide_var, c) : m.squares[i] / m.count;
        gain[i] = 1.0f / sqrtf(var + a.eps);
        if (a.stage == GATHER && w.writes(i)) {
            a.parts[w.place(w.chunk, 0, i)] = m.mean[i];
            a.parts[w.place(w.chunk, 1, i)] = m.squares[i];
        } else if (w.chunk == 0 && w.writes(i)) {
            if (a.mean != nullptr) a.mean[c] = pivot[i] + m.mean[i];
            if (a.var != nullptr) a.var[c] = var;
            if (a.centre != nullptr) a.centre[c] = m.mean[i];
            if (a.scale != nullptr) a.scale[c] = gain[i];
        }
        if (a.weight != nullptr) gain[i] *= to_float(a.weight[c]);
        if (a.bias != nullptr) shift[i] = to_float(a.bias[c]);
    }
    if (a.stage == GATHER) return;
    // NOTE: not a function, as which it takes half as many registers again.
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
                store_float(&v[u].item[i], activated(a.activation, d * gain[i] + shift[i]));
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
    T* given_dmean;          // (channels), the gradients of given statistics, in their dtype; or null
    T* given_dvar;
    float* wide_dmean;
    float* wide_dvar;
    float* parts;            // (chunks, 2, channels): both sums of a chunk; null with stage ALL, or not wanted
    const T* dy;             // (samples, channels, size)
    const T* y;              // (samples, channels, size), or null: no activation
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
    int activation;
    float eps;
};

// Packs that a thread of the backward has in flight, of each array.
template <int N>
constexpr int PULLS = N == 1 ? 4 : 8 / N;

// What a thread knows of its channels in the backward: h = (x - pivot - mean) * inverse.
template <class T, int N>
struct Known {
    float pivot[N] = {}, mean[N] = {}, inverse[N] = {};

    __device__ __forceinline__ Known(const BackwardArguments<T>& a, const Walk<N>& w) {
        const bool given = a.centre == nullptr;
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (!w.inside) continue;
            const int c = w.of(i);
            pivot[i] = given ? 0.0f : to_float(a.x[(long long)c * a.size]);
            mean[i] = given ? either(a.given_mean, a.wide_mean, c) : a.centre[c];
            inverse[i] = given ? 1.0f / sqrtf(either(a.given_var, a.wide_var, c) + a.eps) : a.scale[c];
        }
    }

    __device__ __forceinline__ float centred(float x, int i) const { return x - pivot[i] - mean[i]; }
};

// Calls take(offset, x, g) for each pack of the thread's way, g in float and before the activation; x only if it is wanted.
template <class T, int N, class Take>
__device__ __forceinline__ void each_pack(Walk<N> w, const BackwardArguments<T>& a, bool with_x, const Take& take) {
    constexpr int U = PULLS<N>;
    while (w.more()) {
        Vector<T, N> dy[U], x[U], y[U];
        long long offset[U];
#pragma unroll
        for (int u = 0; u < U; ++u) {
            offset[u] = -1;
            if (!w.more()) continue;
            offset[u] = w.offset();
            dy[u] = load<T, N>(a.dy + offset[u]);
            if (with_x) x[u] = load<T, N>(a.x + offset[u]);
            if (a.y != nullptr) y[u] = load<T, N>(a.y + offset[u]);
            w.advance();
        }
#pragma unroll
        for (int u = 0; u < U; ++u) {
            if (offset[u] < 0) continue;
            float g[N];
#pragma unroll
            for (int i = 0; i < N; ++i) {
                g[i] = to_float(dy[u].item[i]);
                if (a.y != nullptr) g[i] = pulled(a.activation, g[i], to_float(y[u].item[i]));
            }
            take(offset[u], x[u], g);
        }
    }
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS, HELD_BACKWARD<N>) batch_norm_backward(const __grid_constant__ BackwardArguments<T> a) {
    __shared__ float room[THREADS * N];
    const Walk<N> w(a.samples, a.channels, a.size, a.chunks, a.each);
    if (a.stage == APPLY && a.dx == nullptr && w.chunk > 0) return;
    const bool given = a.centre == nullptr;
    const Known<T, N> k(a, w);
    float sum[N] = {}, along[N] = {};  // of g, and of g (x - mean)
    if (a.stage != APPLY) {
        each_pack<T, N>(w, a, true, [&](long long, const Vector<T, N>& x, const float (&g)[N]) {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                sum[i] += g[i];
                along[i] += g[i] * k.centred(to_float(x.item[i]), i);
            }
        });
    } else if (a.parts != nullptr) {
        for (int chunk = int(threadIdx.y); chunk < a.chunks; chunk += int(blockDim.y)) {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                if (w.own(i)) sum[i] += a.parts[w.place(chunk, 0, i)], along[i] += a.parts[w.place(chunk, 1, i)];
            }
        }
    }
    w.total(sum, room);
    w.total(along, room);
    float gain[N] = {}, slope[N] = {}, level[N] = {};  // dx = g gain + (x - mean) slope + level
    const float count = w.count();
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const int c = w.of(i);
        if (w.inside) gain[i] = k.inverse[i] * (a.weight != nullptr ? to_float(a.weight[c]) : 1.0f);
        if (a.stage == GATHER && w.writes(i)) {
            a.parts[w.place(w.chunk, 0, i)] = sum[i];
            a.parts[w.place(w.chunk, 1, i)] = along[i];
        } else if (w.chunk == 0 && w.writes(i)) {
            if (a.dweight != nullptr) store_float(a.dweight + c, along[i] * k.inverse[i]);
            if (a.dbias != nullptr) store_float(a.dbias + c, sum[i]);
            const float dmean = -gain[i] * sum[i], dvar = -0.5f * gain[i] * k.inverse[i] * k.inverse[i] * along[i];
            if (a.given_dmean != nullptr) store_float(a.given_dmean + c, dmean);
            if (a.given_dvar != nullptr) store_float(a.given_dvar + c, dvar);
            if (a.wide_dmean != nullptr) a.wide_dmean[c] = dmean;
            if (a.wide_dvar != nullptr) a.wide_dvar[c] = dvar;
        }
        if (!w.inside) continue;
        if (given) continue;
        const float dmean = a.dmean != nullptr ? a.dmean[c] : 0.0f, dvar = a.dvar != nullptr ? a.dvar[c] : 0.0f;
        level[i] = (dmean - gain[i] * sum[i]) / count;
        slope[i] = (2.0f * dvar - gain[i] * k.inverse[i] * k.inverse[i] * along[i]) / count;
    }
    if (a.stage == GATHER || a.dx == nullptr) return;
    each_pack<T, N>(w, a, !given, [&](long long offset, const Vector<T, N>& x, const float (&g)[N]) {
        Vector<T, N> dx;
#pragma unroll
        for (int i = 0; i < N; ++i) {
            float d = g[i] * gain[i];
            if (!given) d += k.centred(to_float(x.item[i]), i) * slope[i] + level[i];
            store_float(&dx.item[i], d);
        }
        store<T, N>(a.dx + offset, dx);
    });
}
