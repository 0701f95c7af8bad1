// conv_combine: the weight gradient of a convolution from the parts of it that several blocks have summed.
//
//   dw[k, c, t] = sum over p of parts[p, k, c column_channel + t column_tap]
//   db[k]       = sum over p of parts[p, k, pitch - 1]
//
// The parts are added in order: the same input gives the same bits.
#include "storage.cuh"

constexpr int COMBINE_THREADS = 256;

template <class T>
struct CombineArguments {
    T* dw;               // (filters, channels, taps)
    T* db;               // (filters), or null: not wanted
    const float* parts;  // (splits, filters, pitch)
    long long pitch;
    int splits, filters, channels, taps;
    int column_channel, column_tap;
};

template <class T>
__global__ void __launch_bounds__(COMBINE_THREADS) conv_combine(const __grid_constant__ CombineArguments<T> a) {
    const long long weights = (long long)a.filters * a.channels * a.taps, part = a.filters * a.pitch;
    const long long e = (long long)blockIdx.x * COMBINE_THREADS + threadIdx.x;
    const bool is_bias = e >= weights;
    if (e >= weights + (a.db == nullptr ? 0 : a.filters)) return;
    const long long ck = e / a.taps;
    const int t = int(e - ck * a.taps), c = int(ck % a.channels);
    const long long k = is_bias ? e - weights : ck / a.channels;
    const float* from = a.parts + k * a.pitch;
    from += is_bias ? a.pitch - 1 : (long long)c * a.column_channel + (long long)t * a.column_tap;
    float sum = 0.0f;
#pragma unroll 4
    for (int p = 0; p < a.splits; ++p) sum += from[p * part];
    store_float(is_bias ? a.db + k : a.dw + e, sum);
}
