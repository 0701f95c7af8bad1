// causal_conv1d of x (batch, steps, channels), forward and backward: causal_columns of causal_conv1d.cuh.

#include "causal_conv1d.cuh"

// Steps that a thread loads at once.
constexpr int FLIGHT = 4;

// A thread's channels of one sequence.
template <class T, int N>
struct Columns {
    const T *x, *before;  // at step 0 of x, and at the first one of before
    int taps, channels;

    // The inputs of a step t below 0.
    __device__ __forceinline__ void past(float (&to)[N], int t) const {
        if (before != nullptr && t + taps > 0) return load_floats<T, N>(to, before + (long long)(t + taps - 1) * channels);
#pragma unroll
        for (int i = 0; i < N; ++i) to[i] = 0.0f;
    }
    __device__ __forceinline__ void input(float (&to)[N], int t) const {
        t < 0 ? past(to, t) : load_floats<T, N>(to, x + (long long)t * channels);
    }
};

template <int K, int N>
__device__ __forceinline__ void shift(float (&window)[K][N]) {
#pragma unroll
    for (int d = K - 1; d > 0; --d) {
#pragma unroll
        for (int i = 0; i < N; ++i) window[d][i] = window[d - 1][i];
    }
}

template <int K, int N>
__device__ __forceinline__ void filtered(float (&z)[N], const float (&own)[K][N], const float (&window)[K][N],
                                         const float (&bias)[N], int taps) {
#pragma unroll
    for (int i = 0; i < N; ++i) z[i] = 0.0f;
#pragma unroll
    for (int d = K - 1; d >= 0; --d) {
        if (d >= taps) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) z[i] = fmaf(own[d][i], window[d][i], z[i]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) z[i] += bias[i];
}

template <class T, int K, int N>
__global__ void __launch_bounds__(THREADS) causal_columns_forward(const __grid_constant__ ForwardArguments<T> a) {
    const int channel = (int(blockIdx.x) % a.tiles * int(blockDim.x) + int(threadIdx.x)) * N;
    const int strip = int(blockIdx.x) / a.tiles * int(blockDim.y) + int(threadIdx.y);
    if (channel >= a.channels || strip >= a.batch * a.strips) return;
    const int sequence = strip / a.strips, begin = (strip - sequence * a.strips) * a.length;
    const int end = min(begin + a.length, a.steps);
    const long long start = (long long)sequence * a.steps * a.channels + channel;
    const long long kept = (long long)sequence * (a.taps - 1) * a.channels + channel;
    const Columns<T, N> seen{a.x + start, a.before == nullptr ? nullptr : a.before + kept, a.taps, a.channels};
    float own[K][N], window[K][N], bias[N] = {};
    load_filters<T, K, N>(own, a.weight + (long long)channel * a.taps, a.taps);
    if (a.bias != nullptr) load_floats<T, N>(bias, a.bias + channel);
#pragma unroll
    for (int d = 0; d < K - 1; ++d) seen.input(window[d], begin - 1 - d);
    for (int first = begin; first < end; first += FLIGHT) {
        Vector<T, N> x[FLIGHT];
#pragma unroll
        for (int u = 0; u < FLIGHT; ++u) {
            if (first + u < end) x[u] = load<T, N>(seen.x + (long long)(first + u) * a.channels);
        }
#pragma unroll
        for (int u = 0; u < FLIGHT; ++u) {
            if (first + u >= end) break;
            shift(window);
#pragma unroll
            for (int i = 0; i < N; ++i) window[0][i] = to_float(x[u].item[i]);
            float z[N];
            filtered<K, N>(z, own, window, bias, a.taps);
#pragma unroll
            for (int i = 0; i < N; ++i) z[i] = value(a.activation, z[i]);
            store_floats<T, N>(a.y + start + (long long)(first + u) * a.channels, z);
        }
    }
    if (end < a.steps) return;
#pragma unroll
    for (int d = 0; d < K - 1; ++d) {
        if (d < a.taps - 1) store_floats<T, N>(a.after + kept + (long long)(a.taps - 2 - d) * a.channels, window[d]);
    }
}

// pull[i]: dz of i steps ago. When it has come to step t, the input K - 1 steps ago has been seen by all that see it.
template <class T, int K, int N>
__global__ void __launch_bounds__(THREADS, 2) causal_columns_backward(const __grid_constant__ BackwardArguments<T> a) {
    __shared__ float room[THREADS * N];
    const int lane = int(threadIdx.x), part = int(threadIdx.y), tile = int(blockIdx.x) % a.tiles, slice = int(blockIdx.x) / a.tiles;
    const int channel = (tile * int(blockDim.x) + lane) * N;
    const bool inside = channel < a.channels;
    const int stop = inside ? min((slice + 1) * a.each, a.batch * a.strips) : 0;
    float own[K][N], bias[N] = {}, sum[K + 1][N] = {};
    if (inside) load_filters<T, K, N>(own, a.weight + (long long)channel * a.taps, a.taps);
    if (inside && a.bias != nullptr) load_floats<T, N>(bias, a.bias + channel);
    for (int strip = slice * a.each + part; strip < stop; strip += int(blockDim.y)) {
        const int sequence = strip / a.strips, begin = (strip - sequence * a.strips) * a.length;
        const int end = min(begin + a.length, a.steps), readable = min(end + K - 1, a.steps);
        const long long start = (long long)sequence * a.steps * a.channels + channel;
        const long long kept = (long long)sequence * (a.taps - 1) * a.channels + channel;
        const Columns<T, N> seen{a.x + start, a.before == nullptr ? nullptr : a.before + kept, a.taps, a.channels};
        float window[K][N], pull[K][N] = {};
#pragma unroll
        for (int d = 0; d < K - 1; ++d) seen.input(window[d], begin - 1 - d);
        for (int first = begin; first < end + K - 1; first += FLIGHT) {
            Vector<T, N> x[FLIGHT], g[FLIGHT];
#pragma unroll
            for (int u = 0; u < FLIGHT; ++u) {
                if (first + u >= readable) break;
                x[u] = load<T, N>(seen.x + (long long)(first + u) * a.channels);
                g[u] = load<T, N>(a.g + start + (long long)(first + u) * a.channels);
            }
#pragma unroll
            for (int u = 0; u < FLIGHT; ++u) {
                const int t = first + u, p = t - (K - 1);
                if (t >= end + K - 1) break;
                shift(pull);
                if (t < readable) {
                    shift(window);
#pragma unroll
                    for (int i = 0; i < N; ++i) window[0][i] = to_float(x[u].item[i]);
                    float z[N] = {};
                    if (a.activation != NONE) filtered<K, N>(z, own, window, bias, a.taps);
#pragma unroll
                    for (int i = 0; i < N; ++i) pull[0][i] = gradient(a.activation, to_float(g[u].item[i]), z[i]);
                }
                if (t < end) {
#pragma unroll
                    for (int i = 0; i < N; ++i) {
#pragma unroll
                        for (int d = 0; d < K; ++d) sum[d][i] = fmaf(pull[0][i], window[d][i], sum[d][i]);
                        sum[K][i] += pull[0][i];
                    }
                }
                T* const to = p >= begin ? a.dx : begin == 0 && p + a.taps > 0 ? a.dbefore : nullptr;
                if (to == nullptr) continue;
                float dx[N] = {};
                const int reach = min(a.taps, a.steps - p);
#pragma unroll
                for (int d = 0; d < K; ++d) {
                    if (p + d < 0 || d >= reach) continue;
#pragma unroll
                    for (int i = 0; i < N; ++i) dx[i] = fmaf(own[d][i], pull[K - 1 - d][i], dx[i]);
                }
                const int place = p + a.taps - 1 - a.steps;
                if (place >= 0 && a.gafter != nullptr) {
                    float more[N];
                    load_floats<T, N>(more, a.gafter + kept + (long long)place * a.channels);
#pragma unroll
                    for (int i = 0; i < N; ++i) dx[i] += more[i];
                }
                store_floats<T, N>(to + (p >= 0 ? start + (long long)p * a.channels : kept + (long long)(p + a.taps - 1) * a.channels), dx);
            }
        }
    }
    if (a.dweight == nullptr && a.db == nullptr && a.sums == nullptr) return;
    const int width = int(blockDim.x) * N, column = part * int(blockDim.x) + lane;
#pragma unroll
    for (int d = 0; d <= K; ++d) {
        if (d < K && d >= a.taps) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) room[part * width + lane * N + i] = sum[d][i];
        __syncthreads();
        for (int c = column; c < width && tile * width + c < a.channels; c += THREADS) {
            float total = 0.0f;
            for (int y = 0; y < int(blockDim.y); ++y) total += room[y * width + c];
            store_total(a, slice, tile * width + c, d == K ? a.taps : a.taps - 1 - d, total);
        }
        __syncthreads();
    }
}
