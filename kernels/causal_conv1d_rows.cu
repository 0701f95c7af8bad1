// causal_conv1d of x (batch, channels, steps), forward and backward: causal_rows of causal_conv1d.cuh.

#include "causal_conv1d.cuh"

// Inputs beside its own that a thread has: MOST - 1, and one more, so that they are whole vectors.
constexpr int BESIDE = 8;

// Of a multiprocessor at least; without this the compiler took fewer registers on some targets, and spilled.
constexpr int BLOCKS = 4;

// A row, in steps of N elements that begin where whole vectors do.
template <class T>
struct Row {
    static constexpr int N = 16 / sizeof(T);
    const T *x, *before;
    int steps, taps, vector, lead;

    __device__ __forceinline__ Row(const T* x, const T* before, long long row, int steps, int taps, int vector)
        : x(x + row * steps), before(before == nullptr ? nullptr : before + row * (taps - 1)), steps(steps), taps(taps),
          vector(vector), lead(vector ? int(row * steps % N) : 0) {}

    __device__ __forceinline__ bool whole(int first) const { return vector && first >= 0 && first + N <= steps; }

    // Of x and what was before it, or of another such row, which has nothing before it.
    __device__ __forceinline__ float element(const T* from, const T* past, int t) const {
        if (t >= 0) return t < steps ? to_float(from[t]) : 0.0f;
        return past != nullptr && t + taps > 0 ? to_float(past[t + taps - 1]) : 0.0f;
    }

    // The N elements from `first` on into to[AT], ...
    template <int AT, int M>
    __device__ __forceinline__ void fetch(float (&to)[M], const T* from, const T* past, int first) const {
        if (whole(first)) {
            const Vector<T, N> v = load<T, N>(from + first);
#pragma unroll
            for (int i = 0; i < N; ++i) to[AT + i] = to_float(v.item[i]);
            return;
        }
#pragma unroll
        for (int i = 0; i < N; ++i) to[AT + i] = element(from, past, first + i);
    }
};

// What `row` has before `first` into window[0 .. BESIDE - 1], the oldest first; only the vectors that `taps` ask for.
template <class T, int M>
__device__ __forceinline__ void fetch_past(float (&window)[M], const Row<T>& row, int first) {
    constexpr int N = Row<T>::N;
#pragma unroll
    for (int i = 0; i < BESIDE; ++i) window[i] = 0.0f;
    row.template fetch<BESIDE - N>(window, row.x, row.before, first - N);
    if (N < BESIDE && row.taps - 1 > N) row.template fetch<0>(window, row.x, row.before, first - BESIDE);
}

// z of the element that is window[at].
template <int M>
__device__ __forceinline__ float filtered(const float (&window)[M], int at, const float (&own)[MOST], float bias, int taps) {
    float z = 0.0f;
#pragma unroll
    for (int d = MOST - 1; d >= 0; --d) {
        if (d < taps) z = fmaf(own[d], window[at - d], z);
    }
    return z + bias;
}

template <class T>
__device__ __forceinline__ void load_filter(float (&own)[MOST], const T* weight, int taps) {
#pragma unroll
    for (int d = 0; d < MOST; ++d) own[d] = d < taps ? to_float(weight[taps - 1 - d]) : 0.0f;
}

template <class T>
__global__ void __launch_bounds__(THREADS, BLOCKS) causal_rows_forward(const __grid_constant__ ForwardArguments<T> a) {
    constexpr int N = Row<T>::N;
    const int block = int(blockIdx.x), thread = int(threadIdx.x);
    const int number = a.stack > 1 ? block * a.stack + thread / a.chunks : block / a.tiles;
    const int chunk = a.stack > 1 ? thread % a.chunks : block % a.tiles * THREADS + thread;
    if (number >= a.batch * a.channels || chunk >= a.chunks || (a.stack > 1 && thread >= a.stack * a.chunks)) return;
    const Row<T> row(a.x, a.before, number, a.steps, a.taps, a.vector);
    const int channel = number % a.channels, first = chunk * N - row.lead;
    float own[MOST], window[BESIDE + N];
    load_filter(own, a.weight + (long long)channel * a.taps, a.taps);
    const float bias = a.bias == nullptr ? 0.0f : to_float(a.bias[channel]);
    row.template fetch<BESIDE>(window, row.x, row.before, first);
    fetch_past(window, row, first);
    T* const y = a.y + (long long)number * a.steps;
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) store_float(&v.item[i], value(a.activation, filtered(window, BESIDE + i, own, bias, a.taps)));
    if (row.whole(first)) {
        store<T, N>(y + first, v);
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (unsigned(first + i) < unsigned(a.steps)) y[first + i] = v.item[i];
        }
    }
    if (chunk > 0) return;
    T* const after = a.after + (long long)number * (a.taps - 1);
    for (int i = 0; i < a.taps - 1; ++i) store_float(after + i, row.element(row.x, row.before, a.steps - (a.taps - 1) + i));
}

// What each element that a thread has gets from dz: dz[i] is that of step first + i. With WHOLE all of these are steps of the row.
template <bool WHOLE, int N, int M>
__device__ __forceinline__ void gathered(float (&dx)[N], const float (&dz)[M], const float (&own)[MOST], int taps, int first, int steps) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
        float sum = 0.0f;
#pragma unroll
        for (int d = 0; d < MOST; ++d) {
            if (d < taps && (WHOLE || unsigned(first + i + d) < unsigned(steps))) sum = fmaf(own[d], dz[i + d], sum);
        }
        dx[i] = sum;
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS, BLOCKS) causal_rows_backward(const __grid_constant__ BackwardArguments<T> a) {
    constexpr int N = Row<T>::N;
    __shared__ float parts[THREADS / 32][MOST + 1];
    const int channel = int(blockIdx.x) % a.channels, slice = int(blockIdx.x) / a.channels;
    const int stop = min((slice + 1) * a.each, a.batch * a.chunks);
    float own[MOST], sum[MOST + 1] = {};
    load_filter(own, a.weight + (long long)channel * a.taps, a.taps);
    const float bias = a.bias == nullptr ? 0.0f : to_float(a.bias[channel]);
    for (int item = slice * a.each + int(threadIdx.x); item < stop; item += int(blockDim.x)) {
        const int sequence = item / a.chunks;
        const long long number = (long long)sequence * a.channels + channel;
        const Row<T> row(a.x, a.before, number, a.steps, a.taps, a.vector);
        const int first = (item - sequence * a.chunks - a.ahead) * N - row.lead;
        if (first >= a.steps || (first + N <= 0 && a.dbefore == nullptr)) continue;
        const T* const g = a.g + number * a.steps;
        float window[2 * BESIDE + N], dz[BESIDE + N];
        fetch_past(window, row, first);
        row.template fetch<BESIDE>(window, row.x, row.before, first);
        row.template fetch<0>(dz, g, nullptr, first);
#pragma unroll
        for (int h = N; h <= BESIDE; h += N) {
#pragma unroll
            for (int i = 0; i < N; ++i) window[BESIDE + h + i] = dz[h + i] = 0.0f;
        }
        row.template fetch<N>(dz, g, nullptr, first + N);
        if (N < BESIDE && a.taps - 1 > N) row.template fetch<BESIDE>(dz, g, nullptr, first + BESIDE);
        const bool whole = first >= 0 && first + N + BESIDE <= a.steps;
        if (a.activation != NONE) {
            row.template fetch<BESIDE + N>(window, row.x, row.before, first + N);
            if (N < BESIDE && a.taps - 1 > N) row.template fetch<2 * BESIDE>(window, row.x, row.before, first + BESIDE);
#pragma unroll
            for (int i = 0; i < N + BESIDE; ++i) {
                if (i >= N + a.taps - 1 || unsigned(first + i) >= unsigned(a.steps)) continue;
                dz[i] = gradient(a.activation, dz[i], filtered(window, BESIDE + i, own, bias, a.taps));
            }
        }
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (!whole && unsigned(first + i) >= unsigned(a.steps)) continue;
#pragma unroll
            for (int d = 0; d < MOST; ++d) {
                if (d < a.taps) sum[d] = fmaf(dz[i], window[BESIDE + i - d], sum[d]);
            }
            sum[MOST] += dz[i];
        }
        float dx[N];
        if (whole) {
            gathered<true>(dx, dz, own, a.taps, first, a.steps);
        } else {
            gathered<false>(dx, dz, own, a.taps, first, a.steps);
        }
        const long long kept = number * (a.taps - 1);
        if (a.gafter != nullptr && first + N + a.taps - 1 > a.steps) {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                const int place = first + i + a.taps - 1 - a.steps;
                if (place >= 0 && first + i < a.steps) dx[i] += to_float(a.gafter[kept + place]);
            }
        }
        if (row.whole(first)) {
            if (a.dx != nullptr) store_floats<T, N>(a.dx + number * a.steps + first, dx);
            continue;
        }
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const int t = first + i;
            if (t >= 0 && t < a.steps && a.dx != nullptr) store_float(a.dx + number * a.steps + t, dx[i]);
            if (t < 0 && t + a.taps > 0 && a.dbefore != nullptr) store_float(a.dbefore + kept + t + a.taps - 1, dx[i]);
        }
    }
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int d = 0; d <= MOST; ++d) {
        const float total = warp_reduce<Add>(sum[d]);
        if (lane == 0) parts[warp][d] = total;
    }
    __syncthreads();
    const int d = int(threadIdx.x);
    if (d > MOST || (d < MOST && d >= a.taps)) return;
    float total = 0.0f;
    for (int w = 0; w < int(blockDim.x) / 32; ++w) total += parts[w][d];
    store_total(a, slice, channel, d == MOST ? a.taps : a.taps - 1 - d, total);
}
