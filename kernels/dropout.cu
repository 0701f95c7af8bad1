// dropout: zeroes elements at random and scales the others, in one pass; its own backward.
//
//   y[i] = x[i] * (word i of the key >= threshold ? scale : 0)      dx is the same of g
//
// x and y are contiguous, of any length and alignment. T is float, __half or __nv_bfloat16; the product is computed in float.
// The words are those of philox.cuh, so that the mask is that of xpnn.random.dropout_mask; it is never stored.
// A thread takes 16 bytes at once: one block of Philox words for float, two for the 16-bit types.

#include "philox.cuh"
#include "storage.cuh"

constexpr int THREADS = 256;

template <class T>
struct DropoutArguments {
    T* y;        // (count)
    const T* x;  // (count)
    long long count;
    long long threshold;  // from 0 (keep all) to 2^32 (drop all)
    unsigned seed_low, seed_high, stream_low, stream_high;
    float scale;
    int aligned;  // whether x and y begin at multiples of 16 bytes
};

template <class T>
__global__ void __launch_bounds__(THREADS) dropout(const __grid_constant__ DropoutArguments<T> a) {
    constexpr int N = 16 / sizeof(T);
    const PhiloxKey key = {a.seed_low, a.seed_high, a.stream_low, a.stream_high};
    const long long step = (long long)gridDim.x * THREADS;
    for (long long at = (long long)blockIdx.x * THREADS + threadIdx.x; at * N < a.count; at += step) {
        const long long first = at * N;
        const int inside = a.count - first < N ? int(a.count - first) : N;
        const bool whole = a.aligned && inside == N;
        Vector<T, N> v;
        if (whole) {
            v = load<T, N>(a.x + first);
        } else {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                if (i < inside) v.item[i] = a.x[first + i];
            }
        }
#pragma unroll
        for (int i = 0; i < N; i += 4) {
            const PhiloxWords words = philox((unsigned long long)(first + i) / 4, key);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const float scale = words.word[j] >= a.threshold ? a.scale : 0.0f;
                if (i + j < inside) store_float(&v.item[i + j], to_float(v.item[i + j]) * scale);
            }
        }
        if (whole) {
            store<T, N>(a.y + first, v);
        } else {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                if (i < inside) a.y[first + i] = v.item[i];
            }
        }
    }
}
