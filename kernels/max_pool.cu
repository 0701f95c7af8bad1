// max_pool: the largest element of each window, plain or adaptive, and the gradient as a gather.
//
//   y[o] = max over t of x[begin(o) + t step], the taps outside of x left out; nan wins
//   dx[i] = sum of g[o] over the windows o whose winner is i
//
// x, dx (outer, D, H, W, inner), y, g (outer, D', H', W', inner), contiguous; T is float, __half or __nv_bfloat16.
// mark (as y) is the winner's tap, row by row over the window: the first of several largest elements, the last of several nan.
// Where all taps are outside or -inf it is 0, which may be outside: then nobody gets the gradient.
// Each element of dx looks at the windows that see it, in a fixed order: no atomics, the same input gives the same bits.

#include "storage.cuh"
#include "windows.cuh"

template <class T, class Mark>
struct MaxArguments {
    T* target;        // y or dx
    const T* source;  // x or g
    Mark* mark;       // (outer, D', H', W', inner), or null: not wanted
    long long outer;
    int inner, lane_bits;  // 2^lane_bits lanes share a position
    int size_d, out_d, kernel_d, step_d, before_d, move_d, part_d;
    int size_h, out_h, kernel_h, step_h, before_h, move_h, part_h;
    int size_w, out_w, kernel_w, step_w, before_w, move_w, part_w;
    unsigned by_move_d, by_part_d, by_move_h, by_part_h, by_move_w, by_part_w;
    unsigned by_inner, by_h, by_w;  // for the axes that the threads lie over
};

// Whether v at tap t goes before best at tap mark, whichever was seen first.
__device__ __forceinline__ bool goes_before(float v, int t, float best, int mark) {
    if (v != v) return best == best || t > mark;
    return v > best || (v == best && t < mark);
}

template <class T, class Mark>
__global__ void __launch_bounds__(THREADS, BLOCKS) max_pool_forward(const __grid_constant__ MaxArguments<T, Mark> a) {
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.out, h.out, w.out);
    const Taps in_d(d, at.d), in_h(h, at.h), in_w(w, at.w);
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.out + at.h) * w.out + at.w) * a.inner + at.channel;

    for (long long first = first_plane(); first < a.outer; first += plane_step()) {
        const T* x[PLANES];
        float best[PLANES];
        int mark[PLANES];
#pragma unroll
        for (int u = 0; u < PLANES; ++u) {
            x[u] = a.source + readable(first, u, a.outer) * size + at.channel;
            best[u] = __int_as_float(0xff800000);  // -inf
            mark[u] = 0;
        }
        for (int i = in_d.first; at.inside && i < in_d.last; ++i) {
            for (int j = in_h.first; j < in_h.last; ++j) {
                const int row = ((in_d.begin + i * d.step) * h.size + in_h.begin + j * h.step) * w.size + in_w.begin;
                for (int k = in_w.first + at.lane; k < in_w.last; k += 1 << a.lane_bits) {
                    const int offset = (row + k * w.step) * a.inner;
                    const int tap = (i * h.kernel + j) * w.kernel + k;
                    T seen[PLANES];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) seen[u] = x[u][offset];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) {
                        const float v = to_float(seen[u]);
                        if (v > best[u] || v != v) {
                            best[u] = v;
                            mark[u] = tap;
                        }
                    }
                }
            }
        }
        for (int distance = (1 << a.lane_bits) / 2; distance > 0; distance /= 2) {
#pragma unroll
            for (int u = 0; u < PLANES; ++u) {
                const float v = __shfl_xor_sync(0xffffffffu, best[u], distance);
                const int t = __shfl_xor_sync(0xffffffffu, mark[u], distance);
                if (goes_before(v, t, best[u], mark[u])) {
                    best[u] = v;
                    mark[u] = t;
                }
            }
        }
        if (at.lane > 0 || !at.inside) continue;
#pragma unroll
        for (int u = 0; u < PLANES; ++u) {
            if (plane(first, u) >= a.outer) break;
            const long long place = plane(first, u) * out + here;
            store_float(a.target + place, best[u]);
            if (a.mark != nullptr) a.mark[place] = Mark(mark[u]);
        }
    }
}

template <class T, class Mark>
__global__ void __launch_bounds__(THREADS, BLOCKS) max_pool_backward(const __grid_constant__ MaxArguments<T, Mark> a) {
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.size, h.size, w.size);
    if (!at.inside) return;
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.size + at.h) * w.size + at.w) * a.inner + at.channel;
    const int first_d = d.first_window(at.d), last_d = d.last_window(at.d);
    const int first_h = h.first_window(at.h), last_h = h.last_window(at.h);
    const int first_w = w.first_window(at.w), last_w = w.last_window(at.w);

    for (long long first = first_plane(); first < a.outer; first += plane_step()) {
        long long windows[PLANES];
        float sum[PLANES] = {};
#pragma unroll
        for (int u = 0; u < PLANES; ++u) windows[u] = readable(first, u, a.outer) * out + at.channel;
        for (int i = first_d; i <= last_d; ++i) {
            const int tap_d = d.tap(i, at.d);
            if (tap_d < 0) continue;
            for (int j = first_h; j <= last_h; ++j) {
                const int tap_h = h.tap(j, at.h);
                if (tap_h < 0) continue;
#pragma unroll 1
                for (int k = first_w; k <= last_w; ++k) {
                    const int tap_w = w.tap(k, at.w);
                    if (tap_w < 0) continue;
                    const int tap = (tap_d * h.kernel + tap_h) * w.kernel + tap_w;
                    const int window = ((i * h.out + j) * w.out + k) * a.inner;
                    T g[PLANES];
                    int mark[PLANES];
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) {
                        g[u] = a.source[windows[u] + window];
                        mark[u] = a.mark[windows[u] + window];
                    }
#pragma unroll
                    for (int u = 0; u < PLANES; ++u) {
                        sum[u] += mark[u] == tap ? to_float(g[u]) : 0.0f;
                    }
                }
            }
        }
#pragma unroll
        for (int u = 0; u < PLANES; ++u) {
            if (plane(first, u) < a.outer) store_float(a.target + plane(first, u) * size + here, sum[u]);
        }
    }
}
