// conv_pack: arrays as the convolutions on tensor cores read them, from any layout.
//
//   to (a, b, group, channel): the channels of a group last, zeros up to a multiple of the elements of 16 bytes
//
// Up to three arrays in one launch.

#include "storage.cuh"

constexpr int PACK_THREADS = 256;

// An array for each blockIdx.y: to (a, b, group, padded) from
// a a_stride + b b_stride + group group_stride + channel channel_stride.
template <class T>
struct PackArguments {
    T *to0, *to1, *to2;
    const T *from0, *from1, *from2;
    long long a[3], b[3], a_stride[3], b_stride[3], group_stride[3], channel_stride[3];
    int groups[3], channels[3];
};

// A thread makes one chunk; neighbouring threads take neighbouring b, which lie side by side in what is to be packed.
template <class T>
__global__ void __launch_bounds__(PACK_THREADS) conv_pack(const __grid_constant__ PackArguments<T> p) {
    constexpr int CHUNK = 16 / sizeof(T);
    const int job = int(blockIdx.y);
    T* to = job == 0 ? p.to0 : job == 1 ? p.to1 : p.to2;
    const T* from = job == 0 ? p.from0 : job == 1 ? p.from1 : p.from2;
    const int channels = p.channels[job], chunks = (channels + CHUNK - 1) / CHUNK, inner = p.groups[job] * chunks;
    const long long e = (long long)blockIdx.x * PACK_THREADS + threadIdx.x, b = e % p.b[job], rest = e / p.b[job];
    const long long a = rest / inner;
    if (a >= p.a[job]) return;
    const int gc = int(rest - a * inner), g = gc / chunks, c0 = (gc - g * chunks) * CHUNK;
    from += a * p.a_stride[job] + b * p.b_stride[job] + g * p.group_stride[job];
    Vector<T, CHUNK> v;
#pragma unroll
    for (int i = 0; i < CHUNK; ++i) {
        if (c0 + i < channels) {
            v.item[i] = from[(c0 + i) * p.channel_stride[job]];
        } else {
            store_float(&v.item[i], 0.0f);
        }
    }
    store<T, CHUNK>(to + ((a * p.b[job] + b) * inner + gc) * CHUNK, v);
}
