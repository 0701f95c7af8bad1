// group_norm: the backward of rows that are groups of channels; the forward is that of row_norm.cu.
//
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
    const T* g;          // (samples, groups * channels, size)
    const T* x;          // (samples, groups * channels, size)
    const T* weight;     // (groups * channels), or null
    const float* mean;   // (samples, groups), of x - x[0] of the row
    const float* scale;  // (samples, groups)
    long long rows;      // samples * groups
    int groups, channels, size;
    int width;    // threads of a channel, a power of two up to blockDim.x
    int vectors;  // whether packs of 16 bytes are aligned in every channel
};

template <class T>
__global__ void __launch_bounds__(THREADS, 2) group_norm_backward(const __grid_constant__ GroupArguments<T> a) {
    constexpr int N = Row<T>::N, PACKS = Row<T>::PACKS;
    __shared__ float room[2 * WARPS];
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    const bool present = row < a.rows;
    const int columns = a.channels * a.size;
    const T *g = a.g + row * columns, *x = a.x + row * columns;
    Standard standard = {};
    if (present) standard = {to_float(x[0]), a.mean[row], a.scale[row]};

    const int part = int(threadIdx.x) / a.width, parts = int(blockDim.x) / a.width;
    Row<T> channel = {present ? a.size : 0, a.width, int(threadIdx.x) % a.width, a.vectors != 0};
    float level = 0.0f, along = 0.0f;
    for (int first = 0; first < a.channels; first += parts) {
        const int k = first + part;
        if (k >= a.channels) channel.columns = 0;
        const T *its_g = g + (long long)k * a.size, *its_x = x + (long long)k * a.size;
        float sum[2] = {};  // of g, and of g h
        for (int from = 0; from < channel.columns; from += channel.tile()) {
            Vector<T, N> vg[PACKS], vx[PACKS];
#pragma unroll
            for (int p = 0; p < PACKS; ++p) vg[p] = channel.read(its_g, from, p), vx[p] = channel.read(its_x, from, p);
#pragma unroll
            for (int j = 0; j < ITEMS; ++j) {
                if (!channel.inside(from, j / N, j % N)) continue;
                sum[0] += to_float(vg[j / N].item[j % N]);
                sum[1] += to_float(vg[j / N].item[j % N]) * standard(to_float(vx[j / N].item[j % N]));
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
    const Row<T> at = {columns, int(blockDim.x), int(threadIdx.x), a.vectors != 0};
    const Channels channels(row, columns, a.groups, a.size);
    for (int from = 0; from < columns; from += at.tile()) {
#pragma unroll
        for (int p = 0; p < PACKS; ++p) {
            Vector<T, N> vg = at.read(g, from, p), vx = at.read(x, from, p), w = {};
            if (a.weight != nullptr) w = channels.read(a.weight, at, from, p);
#pragma unroll
            for (int i = 0; i < N; ++i) {
                const float d = to_float(vg.item[i]) * (a.weight != nullptr ? to_float(w.item[i]) : 1.0f);
                store_float(&vg.item[i], (d - level - standard(to_float(vx.item[i])) * along) * standard.scale);
            }
            at.write(a.dx + row * columns, from, p, vg);
        }
    }
}
