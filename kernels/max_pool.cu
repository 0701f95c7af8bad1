// max_pool: the largest element of each window, plain or adaptive, and the gradient as a gather.
//
//   y[o] = max over t of x[begin(o) + t step], the taps outside of x left out; nan wins
//   dx[i] = sum of g[o] over the windows o whose winner is i
//
// x, dx (outer, D, H, W, inner), y, g (outer, D', H', W', inner), contiguous; T is float, __half or __nv_bfloat16.
// mark (as y) is the winner's tap, row by row over the window: the first of several largest elements, the last of several nan.
// Where all taps are outside or -inf it is 0, which may be outside: then nobody gets the gradient.
// Each element of dx looks at the windows that see it, in a fixed order: no atomics, the same input gives the same bits.
// Three ways: single elements (V = 1), vectors of V channels where these come last, spans through shared memory where they come first.

#include "storage.cuh"
#include "windows.cuh"

template <class T, class Mark>
struct MaxArguments {
    T* target;        // y or dx
    const T* source;  // x or g
    Mark* mark;       // (outer, D', H', W', inner), or null: not wanted
    long long outer;
    int inner, lane_bits;  // 2^lane_bits lanes share a position
    int size_d, out_d, kernel_d, step_d, before_d, move_d, part_d, front_d, back_d;
    int size_h, out_h, kernel_h, step_h, before_h, move_h, part_h, front_h, back_h;
    int size_w, out_w, kernel_w, step_w, before_w, move_w, part_w, front_w, back_w;
    unsigned by_move_d, by_part_d, by_move_h, by_part_h, by_move_w, by_part_w;
    unsigned by_inner, by_h, by_w, by_plane;  // for the axes that the threads lie over, and for a plane of them
    int planes, bands, band;                  // of a *_span kernel: planes of a block, or blocks of a plane and their rows
    int source_room, target_room;             // bytes of shared memory
};

// Whether v at tap t goes before best at tap mark, whichever was seen first.
__device__ __forceinline__ bool goes_before(float v, int t, float best, int mark) {
    if (v != v) return best == best || t > mark;
    return v > best || (v == best && t < mark);
}

template <class T, class Mark, int V>
__global__ void __launch_bounds__(THREADS, BLOCKS) max_pool_forward(const __grid_constant__ MaxArguments<T, Mark> a) {
    constexpr int P = PLANES<V>;
    const Axis d = depth(a), h = height(a), w = width(a);
    const Place at = place(a, d.out, h.out, w.out);
    const Taps in_d(d, at.d), in_h(h, at.h), in_w(w, at.w);
    const long long size = (long long)d.size * h.size * w.size * a.inner;
    const long long out = (long long)d.out * h.out * w.out * a.inner;
    const int here = ((at.d * h.out + at.h) * w.out + at.w) * a.inner + at.channel;

    for (long long first = first_plane<P>(); first < a.outer; first += plane_step<P>()) {
        const T* x[P];
        float best[P][V];
        int mark[P][V];
#pragma unroll
        for (int u = 0; u < P; ++u) {
            x[u] = a.source + (readable(first, u, a.outer) * size + at.channel) * V;
#pragma unroll
            for (int c = 0; c < V; ++c) {
                best[u][c] = __int_as_float(0xff800000);  // -inf
                mark[u][c] = 0;
            }
        }
        for (int i = in_d.first; at.inside && i < in_d.last; ++i) {
            for (int j = in_h.first; j < in_h.last; ++j) {
                const int row = ((in_d.begin + i * d.step) * h.size + in_h.begin + j * h.step) * w.size + in_w.begin;
                for (int k = in_w.first + at.lane; k < in_w.last; k += 1 << a.lane_bits) {
                    const long long offset = (long long)((row + k * w.step) * a.inner) * V;
                    const int tap = (i * h.kernel + j) * w.kernel + k;
                    Vector<T, V> seen[P];
#pragma unroll
                    for (int u = 0; u < P; ++u) seen[u] = load<T, V>(x[u] + offset);
#pragma unroll
                    for (int u = 0; u < P; ++u)
#pragma unroll
                        for (int c = 0; c < V; ++c) {
                            const float v = to_float(seen[u].item[c]);
                            if (v > best[u][c] || v != v) {
                                best[u][c] = v;
                                mark[u][c] = tap;
                            }
                        }
                }
            }
        }
        for (int distance = (1 << a.lane_bits) / 2; distance > 0; distance /= 2) {
#pragma unroll
            for (int u = 0; u < P; ++u) {
                const float v = __shfl_xor_sync(0xffffffffu, best[u][0], distance);  // lanes share single elements only
                const int t = __shfl_xor_sync(0xffffffffu, mark[u][0], distance);
                if (goes_before(v, t, best[u][0], mark[u][0])) {
                    best[u][0] = v;
                    mark[u][0] = t;
                }
            }
        }
        if (at.lane > 0 || !at.inside) continue;
#pragma unroll
        for (int u = 0; u < P; ++u) {
            if (plane(first, u) >= a.outer) break;
            const long long place = (plane(first, u) * out + here) * V;
            Vector<T, V> y;
            Vector<Mark, V> m;
#pragma unroll
            for (int c = 0; c < V; ++c) {
                store_float(&y.item[c], best[u][c]);
                m.item[c] = Mark(mark[u][c]);
            }
            store<T, V>(a.target + place, y);
            if (a.mark != nullptr) store<Mark, V>(a.mark + place, m);
        }
    }
}

template <class T, class Mark, int V>
__global__ void __launch_bounds__(THREADS, BLOCKS) max_pool_backward(const __grid_constant__ MaxArguments<T, const Mark> a) {
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
        long long windows[P];
        float sum[P][V] = {};
#pragma unroll
        for (int u = 0; u < P; ++u) windows[u] = readable(first, u, a.outer) * out + at.channel;
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
                    Vector<T, V> g[P];
                    Vector<Mark, V> mark[P];
#pragma unroll
                    for (int u = 0; u < P; ++u) {
                        g[u] = load<T, V>(a.source + (windows[u] + window) * V);
                        mark[u] = load<Mark, V>(a.mark + (windows[u] + window) * V);
                    }
#pragma unroll
                    for (int u = 0; u < P; ++u)
#pragma unroll
                        for (int c = 0; c < V; ++c) sum[u][c] += int(mark[u].item[c]) == tap ? to_float(g[u].item[c]) : 0.0f;
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

// Where the marks of a span lie in shared memory, that begin at `first`.
template <class A, class Mark>
__device__ __forceinline__ Mark* marks_of(const A& a, unsigned char* memory, const Mark* first) {
    return reinterpret_cast<Mark*>(memory + a.source_room + a.target_room) + lead(first);
}

template <class T, class Mark>
__global__ void __launch_bounds__(THREADS, SPAN_BLOCKS) max_pool_forward_span(const __grid_constant__ MaxArguments<T, Mark> a) {
    extern __shared__ __align__(16) unsigned char memory[];
    const Axis d = depth(a), h = height(a), w = width(a);
    const Span s = span_of<true>(a, d, h, w);
    Mark* marks = marks_of(a, memory, static_cast<const Mark*>(a.mark + s.target));
    over_span<true, T>(a, s, d, h, w, memory, [&](int e, const Element& at, const T* x, int plane) {
        const Taps in_d(d, at.d), in_h(h, at.h), in_w(w, at.w);
        float best = __int_as_float(0xff800000);  // -inf
        int mark = 0;
        for (int i = in_d.first; i < in_d.last; ++i) {
            for (int j = in_h.first; j < in_h.last; ++j) {
                const int row = plane + ((in_d.begin + i * d.step) * h.size + in_h.begin + j * h.step) * w.size + in_w.begin;
#pragma unroll 1
                for (int k = in_w.first; k < in_w.last; ++k) {
                    const float v = to_float(x[row + k * w.step]);
                    if (v > best || v != v) {
                        best = v;
                        mark = (i * h.kernel + j) * w.kernel + k;
                    }
                }
            }
        }
        marks[e] = Mark(mark);
        return best;
    });
    if (a.mark != nullptr) move<THREADS>(a.mark + s.target, marks, s.targets);
}

template <class T, class Mark>
__global__ void __launch_bounds__(THREADS, SPAN_BLOCKS) max_pool_backward_span(const __grid_constant__ MaxArguments<T, const Mark> a) {
    extern __shared__ __align__(16) unsigned char memory[];
    const Axis d = depth(a), h = height(a), w = width(a);
    const Span s = span_of<false>(a, d, h, w);
    Mark* marks = marks_of(a, memory, a.mark + s.source);
    move<THREADS>(marks, a.mark + s.source, s.sources);
    over_span<false, T>(a, s, d, h, w, memory, [&](int, const Element& at, const T* g, int plane) {
        const int first_w = w.first_window(at.w), last_w = w.last_window(at.w);
        float sum = 0.0f;
        for (int i = d.first_window(at.d); i <= d.last_window(at.d); ++i) {
            const int tap_d = d.tap(i, at.d);
            if (tap_d < 0) continue;
            for (int j = h.first_window(at.h); j <= h.last_window(at.h); ++j) {
                const int tap_h = h.tap(j, at.h);
                if (tap_h < 0) continue;
#pragma unroll 1
                for (int k = first_w; k <= last_w; ++k) {
                    const int tap_w = w.tap(k, at.w), window = plane + (i * h.out + j) * w.out + k;
                    const int tap = (tap_d * h.kernel + tap_h) * w.kernel + tap_w;
                    sum += tap_w >= 0 && int(marks[window]) == tap ? to_float(g[window]) : 0.0f;
                }
            }
        }
        return sum;
    });
}
