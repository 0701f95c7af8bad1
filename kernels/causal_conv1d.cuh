// causal_conv1d: a short filter for each channel, along time, which sees the present and the past only; and its gradients.
//
//   y[t] = act(z[t]),  z[t] = bias + sum over d < taps of weight[taps - 1 - d] x[t - d]
//   dz[t] = g[t] act'(z[t]),  dx[t] = sum over d of weight[taps - 1 - d] dz[t + d],  and what the gradient of `after` adds
//   dweight[taps - 1 - d] = sum of dz[t] x[t - d],  db = sum of dz                    over all sequences and steps
//
// Before t = 0 x is `before`, the last taps - 1 inputs of the piece of the sequence that went before; zeros without one. `after`
// gets those of this piece. A piece after a piece has the bits of the whole: sums begin with the oldest input, wherever it is.
//
// causal_columns: x (batch, steps, channels). A thread has N channels, as one vector, along a strip of steps; what filters see,
// and in the backward what still sees an input, stays in registers, so that an element is read once, and K - 1 of a strip again.
// causal_rows: x (batch, channels, steps). A thread has 16 bytes along time, of whatever place of its row begins at a multiple of
// them; what it sees beside them are the vectors of its neighbours (through the cache: shuffles would cost as many cycles).
//
// T is float, __half or __nv_bfloat16; sums are in float, z of the backward is computed again. Contiguous, at most 8 taps.
// dweight, db: threads and then blocks add up strips in a fixed order; slices of several blocks are added by depthwise_sum.
#pragma once

#include "activations.cuh"
#include "reduce.cuh"
#include "storage.cuh"

constexpr int THREADS = 128;
constexpr int MOST = 8;  // taps
enum Kind { NONE, RELU, SILU };

template <class T>
struct ForwardArguments {
    T* y;             // as x
    T* after;         // (batch, taps - 1, channels), or (batch, channels, taps - 1) of rows
    const T* x;       // (batch, steps, channels), or (batch, channels, steps)
    const T* weight;  // (channels, taps)
    const T* bias;    // (channels), or null
    const T* before;  // as after, or null
    int batch, channels, steps, taps, activation;
    int strips, length, tiles;  // columns: strips of a sequence, their steps; tiles of the channels
    int chunks, stack, vector;  // rows: of a row; rows of a block, if it takes several; whether arrays are aligned
};

template <class T>
struct BackwardArguments {
    T* dx;            // as x, or null: not wanted
    T* dbefore;       // as before, or null: not wanted
    T* dweight;       // (channels, taps), or null: left to depthwise_sum, or not wanted
    T* db;            // (channels), or null: the same
    float* sums;      // (slices, channels taps + channels): dweight, then db; or null
    const T* g;       // as x
    const T* gafter;  // as before, or null
    const T* x;
    const T* weight;
    const T* bias;
    const T* before;
    int batch, channels, steps, taps, activation;
    int strips, length, tiles;
    int chunks, ahead, vector;  // ahead: chunks that come before a row's first element, for dbefore
    int each;                   // strips, or chunks, of a slice
};

__device__ __forceinline__ float value(int kind, float z) {
    if (kind == NONE) return z;
    return kind == RELU ? Relu::apply(z) : z * Sigmoid::apply(z);
}

__device__ __forceinline__ float gradient(int kind, float g, float z) {
    if (kind == NONE) return g;
    if (kind == RELU) return z <= 0.0f ? 0.0f : g;
    const float s = Sigmoid::apply(z);
    return g * (s * (1.0f + z * (1.0f - s)));
}

template <class T, int N>
__device__ __forceinline__ void load_floats(float (&to)[N], const T* from) {
    const Vector<T, N> v = load<T, N>(from);
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = to_float(v.item[i]);
}

template <class T, int N>
__device__ __forceinline__ void store_floats(T* to, const float (&from)[N]) {
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) store_float(&v.item[i], from[i]);
    store<T, N>(to, v);
}

// own[d]: what the input d steps ago is multiplied by.
template <class T, int K, int N>
__device__ __forceinline__ void load_filters(float (&own)[K][N], const T* weight, int taps) {
    if (N > 1 && taps == K) {
        Vector<T, N> v[K];
#pragma unroll
        for (int j = 0; j < K; ++j) v[j] = load<T, N>(weight + j * N);
#pragma unroll
        for (int e = 0; e < K * N; ++e) own[K - 1 - e % K][e / K] = to_float(v[e / N].item[e % N]);
        return;
    }
#pragma unroll
    for (int d = 0; d < K; ++d) {
#pragma unroll
        for (int i = 0; i < N; ++i) own[d][i] = d < taps ? to_float(weight[i * taps + taps - 1 - d]) : 0.0f;
    }
}

// Where the total of tap j of a channel goes, or with j = taps that of its bias.
template <class T>
__device__ __forceinline__ void store_total(const BackwardArguments<T>& a, int slice, int channel, int j, float total) {
    const long long weights = (long long)a.channels * a.taps;
    const long long column = j == a.taps ? weights + channel : (long long)channel * a.taps + j;
    if (a.sums != nullptr) {
        a.sums[slice * (weights + a.channels) + column] = total;
    } else if (j < a.taps) {
        if (a.dweight != nullptr) store_float(a.dweight + column, total);
    } else if (a.db != nullptr) {
        store_float(a.db + channel, total);
    }
}
