// group_norm: the backward of rows that are groups of channels; the forward is that of row_norm.cu.
//
//   g = dy * act'(y)                                                the slope is told from y
//   dx = (w g - mean(w g) - h mean(w g h)) / sqrt(var + eps)        h the standardised x, means over a group
//   dweight = sum over samples and elements of g h, dbias = of g    for each channel
//
// x (samples, groups, channels, size), contiguous: a row is a group of a sample, `channels` of `size` elements; weight (groups,
// channels). blockDim.x threads have a row, blockDim.y rows are in a block. First `width` threads at a time add up g and g h over a
// channel: that is a part of dweight and of dbias, and weighted a part of the row's two means. Then dx, from the caches.
// The samples are added by row_norm_sum, in a fixed order: the same input gives the same bits.

#include "norm.cuh"

template <class T>
struct GroupArguments {
    T* dx;               // (samples, groups * channels, size), or null: not wanted
    float* dweights;     // (samples, groups * channels), or null
    float* dbiases;      // (samples, groups * channels), or null
    const T* dy;         // (samples, groups * channels, size)
    const T* y;          // (samples, groups * channels, size), or null: no activation
    const T* x;          // (samples, groups * channels, size)
    const T* weight;     // (groups * channels), or null
    const float* mean;   // (samples, groups), of x - x[0] of the row
    const float* scale;  // (samples, groups)
    long long rows;      // samples * groups
    int groups, channels, size;
    int width;    // threads of a channel, a power of two up to blockDim.x
    int vectors, channel_vectors;  // whether packs of 16 bytes move in a row, in a channel; then dy, y, x and dx begin alike
    int activation;
};

// The gradients before the activation of a pack.
template <class T>
struct Pull {
    float g[Row<T>::N];

    __device__ __forceinline__ Pull(
        const GroupArguments<T>& a, const Row<T>& at, long long offset, int from, int pack) {
        const Vector<T, Row<T>::N> dy = at.read(a.dy + offset, from, pack);
        Vector<T, Row<T>::N> y = {};
        if (a.y != nullptr) y = at.read(a.y + offset, from, pack);
#pragma unroll
        for (int i = 0; i < Row<T>::N; ++i) g[i] = pulled(a.activation, to_float(dy.item[i]), to_float(y.item[i]));
    }
};

template <class T>
__global__ void __launch_bounds__(THREADS, 2) group_norm_backward(const __grid_constant__ GroupArguments<T> a) {
    constexpr int N = Row<T>::N, PACKS = Row<T>::PACKS;
    __shared__ float room[2 * WARPS];
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    const bool present = row < a.rows;
    const int columns = a.channels * a.size;
    const long long offset = row * columns;
    Standard standard = {};
    if (present) standard = {to_float(a.x[offset]), a.mean[row], a.scale[row]};

    const int part = int(threadIdx.x) / a.width, parts = int(blockDim.x) / a.width;
    Row<T> channel = {present ? a.size : 0, a.width, int(threadIdx.x) % a.width, a.channel_vectors != 0, 0};
    float level = 0.0f, along = 0.0f;
    for (int first = 0; first < a.channels; first += parts) {
        const int k = first + part;
        if (k >= a.channels) channel.columns = 0;
        const long long own = offset + (long long)k * a.size;
        channel.shift = Row<T>::shift_of(a.x + own, channel.vectors && channel.columns > 0);
        float sum[2] = {};  // of g, and of g h
        for (int from = 0; from < channel.end(); from += channel.tile()) {
#pragma unroll
            for (int p = 0; p < PACKS; ++p) {
                const Vector<T, N> x = channel.read(a.x + own, from, p);
                const Pull<T> pull(a, channel, own, from, p);
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    if (!channel.inside(from, p, i)) continue;
                    sum[0] += pull.g[i];
                    sum[1] += pull.g[i] * standard(to_float(x.item[i]));
                }
            }
        }
        group_sum(sum, a.width, room);
        if (channel.lane > 0 || channel.columns == 0) continue;
        const long long place = row * a.channels + k;
        const float w = a.weight != nullptr ? to_float(a.weight[row % a.groups * a.channels + k]) : 1.0f;
        if (a.dbiases != nullptr) a.dbiases[place] = sum[0];
        if (a.dweights != nullptr) a.dweights[place] = sum[1];
        level += w * sum[0];
        along += w * sum[1];
    }
    if (a.dx == nullptr) return;

    float sum[2] = {level, along};
    group_sum(sum, int(blockDim.x), room);
    if (!present) return;
    level = sum[0] / columns, along = sum[1] / columns;
    const bool vectors = a.vectors != 0;
    const Row<T> at = {columns, int(blockDim.x), int(threadIdx.x), vectors, Row<T>::shift_of(a.x + offset, vectors)};
    const Channels channels(row, columns, a.groups, a.size);
    for (int from = 0; from < at.end(); from += at.tile()) {
#pragma unroll
        for (int p = 0; p < PACKS; ++p) {
            Vector<T, N> x = at.read(a.x + offset, from, p), w = {};
            const Pull<T> pull(a, at, offset, from, p);
            if (a.weight != nullptr) w = channels.read(a.weight, at, from, p);
#pragma unroll
            for (int i = 0; i < N; ++i) {
                const float d = pull.g[i] * (a.weight != nullptr ? to_float(w.item[i]) : 1.0f);
                const float h = standard(to_float(x.item[i]));
                store_float(&x.item[i], (d - level - h * along) * standard.scale);
            }
            at.write(a.dx + offset, from, p, x);
        }
    }
}
