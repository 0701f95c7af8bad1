// softmax and log_softmax along an axis, forward and backward.
//
//   y = exp(x - max) / sum, or (x - max) - log(sum), with sum = sum_c exp(x_c - max)
//   dx = y (g - sum_c g_c y_c), or g - exp(y) sum_c g_c
//
// All arrays (outer, length, inner), contiguous; rows along length, any number of any length. T is float, __half or
// __nv_bfloat16; arithmetic and sums are in float. Maximum and sum are found in one pass: a new maximum rescales the sum
// (Milakov and Gimelshein 2018). Each sum has one order, which depends on the shape only.

#include "softmax.cuh"

template <class T>
struct ForwardArguments {
    T* y;          // (outer, length, inner)
    float* parts;  // (rows, pieces, 2): max and sum of each piece; null for one piece
    const T* x;    // (outer, length, inner)
    long long rows;  // outer * inner
    long long inner;
    int length;
    int span;  // elements of a piece
    int pieces;
    int spans;  // whether rows come through shared memory
    int stage;
    int log;  // whether y is the logarithm
};

template <class T, int N, bool ACROSS>
__global__ void __launch_bounds__(THREADS, HELD<N, ACROSS, 3, 0>)
    softmax_forward(const __grid_constant__ ForwardArguments<T> a) {
    __shared__ Peak room[THREADS];
    constexpr int ROOM = N == 1 ? Span<T>::ROOM : 1;
    __shared__ __align__(16) T span[ROOM];
    const Team<N, ACROSS> at(a.inner, a.length, a.span, a.pieces);
    constexpr int ROWS = Team<N, ACROSS>::ROWS;
    for (long long block = at.first_line() * ROWS; block < a.rows; block += at.line_step() * ROWS) {
        const long long row = block + at.team * ROWS;
        const bool inside = row < a.rows;
        const long long begin = inside ? at.begin(row) : 0;
        const T* x = a.x + begin;
        T* y = a.y + begin;
        if constexpr (N == 1) {
            if (a.spans) {
                __syncthreads();
                x = y = Span<T>(at, block, a.rows).bring(span, a.x);
                __syncthreads();
            }
        }
        const int shift = inside ? at.shift(x) : 0, first = at.first(shift), stop = inside ? at.stop(shift) : 0;
        const bool held = a.stage == WHOLE && at.at_once(shift);
        Vector<T, N> v[FLIGHT<N>];
        Peak peak[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) peak[i] = Peak::none();
        if (a.stage == REST) {
            for (int p = at.member; inside && p < a.pieces; p += at.members) {
#pragma unroll
                for (int i = 0; i < ROWS; ++i) {
                    const float* part = a.parts + ((row + i) * a.pieces + p) * 2;
                    peak[i].merge({part[0], part[1]});
                }
            }
        } else {
            for (int c = first; c < stop; c += FLIGHT<N> * at.step) {
                at.load_flight(v, x, c, stop, minus_infinity());
#pragma unroll
                for (int k = 0; k < FLIGHT<N>; ++k) {
                    if (c + k * at.step >= stop) break;
#pragma unroll
                    for (int i = 0; i < N; ++i) peak[ACROSS ? i : 0].add(to_float(v[k].item[i]));
                }
            }
        }
        float last[ROWS];  // what the exponential is multiplied with, or the difference moved by
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            peak[i] = at.reduce(peak[i], room);
            last[i] = a.log ? logf(peak[i].sum) : 1.0f / peak[i].sum;
            if (a.stage == PIECES && inside && at.member == 0) {
                float* part = a.parts + ((row + i) * a.pieces + at.piece) * 2;
                part[0] = peak[i].max;
                part[1] = peak[i].sum;
            }
        }
        if (a.stage == PIECES) continue;
        for (int c = first; c < stop; c += FLIGHT<N> * at.step) {
            if (!held) at.load_flight(v, x, c, stop, minus_infinity());
#pragma unroll
            for (int k = 0; k < FLIGHT<N>; ++k) {
                if (c + k * at.step >= stop) break;
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    const int r = ACROSS ? i : 0;
                    const float d = to_float(v[k].item[i]) - peak[r].max;
                    store_float(&v[k].item[i], a.log ? d - last[r] : expf(d) * last[r]);
                }
                at.write(y, c + k * at.step, v[k]);
            }
        }
        if constexpr (N == 1) {
            if (!a.spans) continue;
            __syncthreads();
            Span<T>(at, block, a.rows).take(a.y, span);
        }
    }
}

template <class T>
struct BackwardArguments {
    T* dx;         // (outer, length, inner)
    float* parts;  // (rows, pieces): the sum of each piece; null for one piece
    const T* g;    // (outer, length, inner)
    const T* y;    // (outer, length, inner)
    long long rows;  // outer * inner
    long long inner;
    int length;
    int span;  // elements of a piece
    int pieces;
    int spans;  // whether rows come through shared memory
    int stage;
    int log;  // whether y is the logarithm
};

template <class T, int N, bool ACROSS>
__global__ void __launch_bounds__(THREADS, HELD<N, ACROSS, 2, 4>)
    softmax_backward(const __grid_constant__ BackwardArguments<T> a) {
    __shared__ Sum room[THREADS];
    constexpr int ROOM = N == 1 ? Span<T>::ROOM : 1;
    __shared__ __align__(16) T span[2][ROOM];
    const Team<N, ACROSS> at(a.inner, a.length, a.span, a.pieces);
    constexpr int ROWS = Team<N, ACROSS>::ROWS;
    for (long long block = at.first_line() * ROWS; block < a.rows; block += at.line_step() * ROWS) {
        const long long row = block + at.team * ROWS;
        const bool inside = row < a.rows;
        const long long begin = inside ? at.begin(row) : 0;
        const T *slope = a.g + begin, *value = a.y + begin;
        T* dx = a.dx + begin;
        if constexpr (N == 1) {
            if (a.spans) {
                const Span<T> rows(at, block, a.rows);
                __syncthreads();
                slope = dx = rows.bring(span[0], a.g);
                value = rows.bring(span[1], a.y);
                __syncthreads();
            }
        }
        const int shift = inside ? at.shift(dx) : 0, first = at.first(shift), stop = inside ? at.stop(shift) : 0;
        const bool held = a.stage == WHOLE && at.at_once(shift);
        Vector<T, N> g[FLIGHT<N>], y[FLIGHT<N>];
        Sum sum[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) sum[i] = Sum::none();
        if (a.stage == REST) {
            for (int p = at.member; inside && p < a.pieces; p += at.members) {
#pragma unroll
                for (int i = 0; i < ROWS; ++i) sum[i].sum += a.parts[(row + i) * a.pieces + p];
            }
        } else {
            for (int c = first; c < stop; c += FLIGHT<N> * at.step) {
                at.load_flight(g, slope, c, stop);
                if (held || !a.log) at.load_flight(y, value, c, stop);
#pragma unroll
                for (int k = 0; k < FLIGHT<N>; ++k) {
                    if (c + k * at.step >= stop) break;
#pragma unroll
                    for (int i = 0; i < N; ++i) {
                        sum[ACROSS ? i : 0].sum +=
                            a.log ? to_float(g[k].item[i]) : to_float(g[k].item[i]) * to_float(y[k].item[i]);
                    }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            sum[i] = at.reduce(sum[i], room);
            if (a.stage == PIECES && inside && at.member == 0) a.parts[(row + i) * a.pieces + at.piece] = sum[i].sum;
        }
        if (a.stage == PIECES) continue;
        for (int c = first; c < stop; c += FLIGHT<N> * at.step) {
            if (!held) {
                at.load_flight(g, slope, c, stop);
                at.load_flight(y, value, c, stop);
            }
#pragma unroll
            for (int k = 0; k < FLIGHT<N>; ++k) {
                if (c + k * at.step >= stop) break;
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    const float s = sum[ACROSS ? i : 0].sum, gi = to_float(g[k].item[i]), yi = to_float(y[k].item[i]);
                    store_float(&g[k].item[i], a.log ? gi - expf(yi) * s : yi * (gi - s));
                }
                at.write(dx, c + k * at.step, g[k]);
            }
        }
        if constexpr (N == 1) {
            if (!a.spans) continue;
            __syncthreads();
            Span<T>(at, block, a.rows).take(a.dx, span[0]);
        }
    }
}
