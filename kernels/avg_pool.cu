// avg_pool: the mean of each window, plain or adaptive, and the gradient as a gather.
//
//   y[o] = sum over t of x[begin(o) + t] / count(o), the taps outside of x being zeros
//   dx[i] = sum of g[o] / count(o) over the windows o that see i
//
// count(o) is `divisor` where all windows share it, else the product over the axes of how many elements of the window lie in
// the input and in as much of the padding as counts: front elements before it, back elements behind it.
// x, dx (outer, D, H, W, inner), y, g (outer, D', H', W', inner), contiguous; T is float, __half or __nv_bfloat16.
// Sums are in float and in a fixed order: the same input gives the same bits.

#include "storage.cuh"
#include "windows.cuh"

template <class T>
struct AvgArguments {
    T* target;        // y or dx
    const T* source;  // x or g
    long long outer;
    float divisor;  // 0: every window has its own
    int inner, lane_bits;  // 2^lane_bits lanes share a position
    int size_d, out_d, kernel_d, step_d, before_d, move_d, part_d;
    int size_h, out_h, kernel_h, step_h, before_h, move_h, part_h;
    int size_w, out_w, kernel_w, step_w, before_w, move_w, part_w;
    unsigned by_move_d, by_part_d, by_move_h, by_part_h, by_move_w, by_part_w;
    unsigned by_inner, by_h, by_w;  // for the axes that the threads lie over
    int front_d, back_d, front_h, back_h, front_w, back_w;
};

__device__ __forceinline__ float count(const Axis& axis, int o, int front, int back) {
    return float(min(axis.end(o), axis.size + back) - max(axis.begin(o), -front));
}

template <class T>
__global__ void __launch_bounds__(THREADS, BLOCKS) avg_pool_forward(const __grid_constant__ AvgArguments<T> a) {
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.out, h.out, w.out);
    const Taps in_d(d, at.d), in_h(h, at.h), in_w(w, at.w);
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.out + at.h) * w.out + at.w) * a.inner + at.channel;
    float divisor = a.divisor;
    if (divisor == 0.0f) {
        divisor = count(d, at.d, a.front_d, a.back_d) * count(h, at.h, a.front_h, a.back_h);
        divisor *= count(w, at.w, a.front_w, a.back_w);
    }

    for (long long first = first_plane(); first < a.outer; first += plane_step()) {
        const T* x[PLANES];
        float sum[PLANES] = {};
#pragma unroll
        for (int u = 0; u < PLANES; ++u) x[u] = a.source + readable(first, u, a.outer) * size + at.channel;
        for (int i = in_d.first; at.inside && i < in_d.last; ++i) {
            for (int j = in_h.first; j < in_h.last; ++j) {
                const int row = ((in_d.begin + i) * h.size + in_h.begin + j) * w.size + in_w.begin;
                for (int k = in_w.first + at.lane; k < in_w.last; k += 1 << a.lane_bits) {
                    T seen[PLANES];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) seen[u] = x[u][(row + k) * a.inner];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) sum[u] += to_float(seen[u]);
                }
            }
        }
        for (int distance = (1 << a.lane_bits) / 2; distance > 0; distance /= 2) {
#pragma unroll
            for (int u = 0; u < PLANES; ++u) sum[u] += __shfl_xor_sync(0xffffffffu, sum[u], distance);
        }
        if (at.lane > 0 || !at.inside) continue;
#pragma unroll
        for (int u = 0; u < PLANES; ++u) {
            if (plane(first, u) < a.outer) store_float(a.target + plane(first, u) * out + here, sum[u] / divisor);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS, BLOCKS) avg_pool_backward(const __grid_constant__ AvgArguments<T> a) {
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.size, h.size, w.size);
    if (!at.inside) return;
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.size + at.h) * w.size + at.w) * a.inner + at.channel;
    const int first_d = d.first_window(at.d), last_d = d.last_window(at.d);
    const int first_h = h.first_window(at.h), last_h = h.last_window(at.h);
    const int first_w = w.first_window(at.w), last_w = w.last_window(at.w);
    const bool alike = a.divisor != 0.0f;

    for (long long first = first_plane(); first < a.outer; first += plane_step()) {
        const T* windows[PLANES];
        float sum[PLANES] = {};
#pragma unroll
        for (int u = 0; u < PLANES; ++u) windows[u] = a.source + readable(first, u, a.outer) * out + at.channel;
        for (int i = first_d; i <= last_d; ++i) {
            const float count_d = alike ? a.divisor : count(d, i, a.front_d, a.back_d);
            for (int j = first_h; j <= last_h; ++j) {
                const float count_h = alike ? 1.0f : count(h, j, a.front_h, a.back_h);
#pragma unroll 1
                for (int k = first_w; k <= last_w; ++k) {
                    const float count_w = alike ? 1.0f : count(w, k, a.front_w, a.back_w);
                    const float scale = 1.0f / (count_d * count_h * count_w);
                    const int window = ((i * h.out + j) * w.out + k) * a.inner;
                    T g[PLANES];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) g[u] = windows[u][window];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) sum[u] += to_float(g[u]) * scale;
                }
            }
        }
#pragma unroll
        for (int u = 0; u < PLANES; ++u) {
            if (plane(first, u) < a.outer) store_float(a.target + plane(first, u) * size + here, sum[u]);
        }
    }
}
