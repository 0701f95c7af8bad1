// conv_moments: mean and variance of the channels of a convolution's output from what its blocks have left of their tiles.
//
//   mean = (sum over k of n_k mean_k) / rows,   var = (sum over k of squares_k + n_k (mean_k - mean)^2) / rows
//
// A block for 32 channels; each thread takes every DEEP-th tile, and their sums are added in order: the same bits every time. Means are
// counted from that of the first tile: they may lie far from zero.
#include "storage.cuh"

constexpr int WIDE = 32;
constexpr int DEEP = 16;

template <class T>
struct MomentsArguments {
    float* mean;         // (channels)
    float* var;          // (channels), without correction
    float* centre;       // (channels), the mean of z - its first element of the channel; or null
    float* scale;        // (channels), 1 / sqrt(var + eps); or null
    const float* parts;  // (tiles, 2, channels): mean, and squares about it
    const T* z;          // the convolution's output
    long long rows, pitch;  // elements of a channel; those of z from a channel's first one to the next channel's
    int tiles, channels, each;  // each: rows of a tile, but of the last
    float eps;
};

// The sum of the thread's column over all DEEP rows of threads.
__device__ __forceinline__ float total(float x, float (&room)[DEEP][WIDE]) {
    room[threadIdx.y][threadIdx.x] = x;
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int k = 0; k < DEEP; ++k) sum += room[k][threadIdx.x];
    __syncthreads();
    return sum;
}

template <class T>
__global__ void __launch_bounds__(WIDE * DEEP) conv_moments(const __grid_constant__ MomentsArguments<T> a) {
    __shared__ float room[DEEP][WIDE];
    const int channel = int(blockIdx.x) * WIDE + int(threadIdx.x);
    const bool inside = channel < a.channels;
    const float* parts = a.parts + (inside ? channel : 0);
    const float pivot = parts[0];
    const auto count = [&](int k) { return float(min((long long)a.each, a.rows - (long long)k * a.each)); };
    float sum = 0.0f, squares = 0.0f;
#pragma unroll 4
    for (int k = int(threadIdx.y); k < a.tiles; k += DEEP) sum += count(k) * (parts[2LL * k * a.channels] - pivot);
    const float rest = total(sum, room) / float(a.rows);
#pragma unroll 4
    for (int k = int(threadIdx.y); k < a.tiles; k += DEEP) {
        const float distance = parts[2LL * k * a.channels] - pivot - rest;
        squares += parts[(2LL * k + 1) * a.channels] + count(k) * distance * distance;
    }
    const float var = total(squares, room) / float(a.rows);
    if (!inside || threadIdx.y > 0) return;
    a.mean[channel] = pivot + rest;
    a.var[channel] = var;
    if (a.centre != nullptr) a.centre[channel] = pivot - to_float(a.z[channel * a.pitch]) + rest;
    if (a.scale != nullptr) a.scale[channel] = 1.0f / sqrtf(var + a.eps);
}
