// avg_pool: the mean of each window, plain or adaptive, and the gradient as a gather.
//
//   y[o] = sum over t of x[begin(o) + t] / count(o), the taps outside of x being zeros
//   dx[i] = sum of g[o] / count(o) over the windows o that see i
//
// count(o) is `divisor` where all windows share it, else the product over the axes of how many elements of the window lie in
// the input and in as much of the padding as counts: front elements before it, back elements behind it.
// x, dx (outer, D, H, W, inner), y, g (outer, D', H', W', inner), contiguous; T is float, __half or __nv_bfloat16.
// Sums are in float and in a fixed order: the same input gives the same bits.
// Three ways: single elements (V = 1), vectors of V channels where these come last, spans through shared memory where they come first.

#include "storage.cuh"
#include "windows.cuh"

template <class T>
struct AvgArguments {
    T* target;        // y or dx
    const T* source;  // x or g
    long long outer;
    float divisor;  // 0: every window has its own
    int inner, lane_bits;  // 2^lane_bits lanes share a position
    int size_d, out_d, kernel_d, step_d, before_d, move_d, part_d, front_d, back_d;
    int size_h, out_h, kernel_h, step_h, before_h, move_h, part_h, front_h, back_h;
    int size_w, out_w, kernel_w, step_w, before_w, move_w, part_w, front_w, back_w;
    unsigned by_move_d, by_part_d, by_move_h, by_part_h, by_move_w, by_part_w;
    unsigned by_inner, by_h, by_w, by_plane;  // for the axes that the threads lie over, and for a plane of them
    int planes, bands, band;                  // of a *_span kernel: planes of a block, or blocks of a plane and their rows
    int source_room, target_room;             // bytes of shared memory
};

__device__ __forceinline__ float count(const Axis& axis, int o, int front, int back) {
    return float(min(axis.end(o), axis.size + back) - max(axis.begin(o), -front));
}

// What the sum over window (o, p, q) is divided by; the part of o and p is that of all windows of a row.
template <class A>
__device__ __forceinline__ float divisor_of_row(const A& a, const Axis& d, const Axis& h, int o, int p) {
    return a.divisor != 0.0f ? a.divisor : count(d, o, a.front_d, a.back_d) * count(h, p, a.front_h, a.back_h);
}
template <class A>
__device__ __forceinline__ float divisor_of(const A& a, float row, const Axis& w, int q) {
    return a.divisor != 0.0f ? row : row * count(w, q, a.front_w, a.back_w);
}
template <class A>
__device__ __forceinline__ float divisor_of(const A& a, const Axis& d, const Axis& h, const Axis& w, int o, int p, int q) {
    if (a.divisor != 0.0f) return a.divisor;
    return divisor_of(a, divisor_of_row(a, d, h, o, p), w, q);
}

template <class T, int V>
__global__ void __launch_bounds__(THREADS, BLOCKS) avg_pool_forward(const __grid_constant__ AvgArguments<T> a) {
    constexpr int P = PLANES<V>;
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.out, h.out, w.out);
    const Taps in_d(d, at.d), in_h(h, at.h), in_w(w, at.w);
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.out + at.h) * w.out + at.w) * a.inner + at.channel;
    const float divisor = divisor_of(a, d, h, w, at.d, at.h, at.w);

    for (long long first = first_plane<P>(); first < a.outer; first += plane_step<P>()) {
        const T* x[P];
        float sum[P][V] = {};
#pragma unroll
        for (int u = 0; u < P; ++u) x[u] = a.source + (readable(first, u, a.outer) * size + at.channel) * V;
        for (int i = in_d.first; at.inside && i < in_d.last; ++i) {
            for (int j = in_h.first; j < in_h.last; ++j) {
                const int row = ((in_d.begin + i) * h.size + in_h.begin + j) * w.size + in_w.begin;
                for (int k = in_w.first + at.lane; k < in_w.last; k += 1 << a.lane_bits) {
                    Vector<T, V> seen[P];
#pragma unroll
                    for (int u = 0; u < P; ++u) seen[u] = load<T, V>(x[u] + (long long)((row + k) * a.inner) * V);
#pragma unroll
                    for (int u = 0; u < P; ++u)
#pragma unroll
                        for (int c = 0; c < V; ++c) sum[u][c] += to_float(seen[u].item[c]);
                }
            }
        }
        for (int distance = (1 << a.lane_bits) / 2; distance > 0; distance /= 2) {
#pragma unroll
            for (int u = 0; u < P; ++u) sum[u][0] += __shfl_xor_sync(0xffffffffu, sum[u][0], distance);  // V is 1 with lanes
        }
        if (at.lane > 0 || !at.inside) continue;
#pragma unroll
        for (int u = 0; u < P; ++u) {
            if (plane(first, u) >= a.outer) break;
            Vector<T, V> y;
#pragma unroll
            for (int c = 0; c < V; ++c) store_float(&y.item[c], sum[u][c] / divisor);
            store<T, V>(a.target + (plane(first, u) * out + here) * V, y);
        }
    }
}

template <class T, int V>
__global__ void __launch_bounds__(THREADS, BLOCKS) avg_pool_backward(const __grid_constant__ AvgArguments<T> a) {
    constexpr int P = PLANES<V>;
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.size, h.size, w.size);
    if (!at.inside) return;
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.size + at.h) * w.size + at.w) * a.inner + at.channel;
    const int first_d = d.first_window(at.d), last_d = d.last_window(at.d);
    const int first_h = h.first_window(at.h), last_h = h.last_window(at.h);
    const int first_w = w.first_window(at.w), last_w = w.last_window(at.w);

    for (long long first = first_plane<P>(); first < a.outer; first += plane_step<P>()) {
        const T* windows[P];
        float sum[P][V] = {};
#pragma unroll
        for (int u = 0; u < P; ++u) windows[u] = a.source + (readable(first, u, a.outer) * out + at.channel) * V;
        for (int i = first_d; i <= last_d; ++i) {
            for (int j = first_h; j <= last_h; ++j) {
                const float of_row = divisor_of_row(a, d, h, i, j);
#pragma unroll 1
                for (int k = first_w; k <= last_w; ++k) {
                    const float scale = 1.0f / divisor_of(a, of_row, w, k);
                    const long long window = (long long)(((i * h.out + j) * w.out + k) * a.inner) * V;
                    Vector<T, V> g[P];
#pragma unroll
                    for (int u = 0; u < P; ++u) g[u] = load<T, V>(windows[u] + window);
#pragma unroll
                    for (int u = 0; u < P; ++u)
#pragma unroll
                        for (int c = 0; c < V; ++c) sum[u][c] += to_float(g[u].item[c]) * scale;
                }
            }
        }
#pragma unroll
        for (int u = 0; u < P; ++u) {
            if (plane(first, u) >= a.outer) break;
            Vector<T, V> dx;
#pragma unroll
            for (int c = 0; c < V; ++c) store_float(&dx.item[c], sum[u][c]);
            store<T, V>(a.target + (plane(first, u) * size + here) * V, dx);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS, SPAN_BLOCKS) avg_pool_forward_span(const __grid_constant__ AvgArguments<T> a) {
    extern __shared__ __align__(16) unsigned char memory[];
    const Axis d = depth(a), h = height(a), w = width(a);
    over_span<true, T>(a, span_of<true>(a, d, h, w), d, h, w, memory, [&](int, const Element& at, const T* x, int plane) {
        const Taps in_d(d, at.d), in_h(h, at.h), in_w(w, at.w);
        float sum = 0.0f;
        for (int i = in_d.first; i < in_d.last; ++i) {
            for (int j = in_h.first; j < in_h.last; ++j) {
                const int row = plane + ((in_d.begin + i) * h.size + in_h.begin + j) * w.size + in_w.begin;
#pragma unroll 1
                for (int k = in_w.first; k < in_w.last; ++k) sum += to_float(x[row + k]);
            }
        }
        return sum / divisor_of(a, d, h, w, at.d, at.h, at.w);
    });
}

template <class T>
__global__ void __launch_bounds__(THREADS, SPAN_BLOCKS) avg_pool_backward_span(const __grid_constant__ AvgArguments<T> a) {
    extern __shared__ __align__(16) unsigned char memory[];
    const Axis d = depth(a), h = height(a), w = width(a);
    over_span<false, T>(a, span_of<false>(a, d, h, w), d, h, w, memory, [&](int, const Element& at, const T* g, int plane) {
        const int first_w = w.first_window(at.w), last_w = w.last_window(at.w);
        float sum = 0.0f;
        for (int i = d.first_window(at.d); i <= d.last_window(at.d); ++i) {
            for (int j = h.first_window(at.h); j <= h.last_window(at.h); ++j) {
                const float of_row = divisor_of_row(a, d, h, i, j);
#pragma unroll 1
                for (int k = first_w; k <= last_w; ++k) {
                    sum += to_float(g[plane + (i * h.out + j) * w.out + k]) * (1.0f / divisor_of(a, of_row, w, k));
                }
            }
        }
        return sum;
    });
}
