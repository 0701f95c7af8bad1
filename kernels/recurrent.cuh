// What the recurrent kernels share: the cells, what they are given, and where a unit of a row lies in memory.
//
//   Lstm  i, f, o = sigmoid(z), g = tanh(z);  c' = f c + i g;  h' = o tanh(c')                                z = zx + zh
//   Gru   r, z = sigmoid(zx + zh);  n = tanh(zx + r zh);  h' = n + z (h - n)
//   Rnn   h' = tanh(zx + zh), or relu
//
// zx = W_ih x + b_ih, zh = W_hh h + b_hh, gates in torch's order. T is what is stored: float, __half, __nv_bfloat16 or double;
// arithmetic, c and the sums are in Wide<T>: float, for double double. T times, N rows of the batch, G gates, H units.
#pragma once

#include "activations.cuh"
#include "storage.cuh"

template <class T>
struct Widened {
    using type = float;
};

template <>
struct Widened<double> {
    using type = double;
};

template <class T>
using Wide = typename Widened<T>::type;

template <class T>
__device__ __forceinline__ float wide(T x) { return to_float(x); }
__device__ __forceinline__ double wide(double x) { return x; }

template <class T>
__device__ __forceinline__ void store_wide(T* p, float x) { store_float(p, x); }
__device__ __forceinline__ void store_wide(double* p, double x) { *p = x; }

__device__ __forceinline__ float sigmoid(float x) { return Sigmoid::apply(x); }
__device__ __forceinline__ double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
__device__ __forceinline__ float tanh_of(float x) { return Tanh::apply(x); }
__device__ __forceinline__ double tanh_of(double x) { return tanh(x); }

// Slopes where the value is y.
template <class F>
__device__ __forceinline__ F sigmoid_slope(F y) { return y * (1.0f - y); }

template <class F>
__device__ __forceinline__ F tanh_slope(F y) { return 1.0f - y * y; }

// A cell has, for F float or double,
//   step: zx, zh, the state before (Lstm: c, replaced by the next one; Gru: h) -> the next h, and in `kept` what back wants;
//   back: the gradient d of the next h, and dc of the next c (replaced by that of c before) -> the gradients dx of zx and dh of zh,
//         and as its value what reaches the h before directly. before, after: c (Lstm), h (others).
// same: dx and dh are. What is kept: Lstm i, f, g, o; Gru r, z, n and, beside the gates, zh of n; Rnn h', which the states have.
struct Lstm {
    static constexpr int gates = 4, kept = 4;
    static constexpr bool has_c = true, keeps_gates = true, same = true;

    template <class F>
    __device__ __forceinline__ static F step(const F (&zx)[4], const F (&zh)[4], F& c, F (&keep)[4], bool) {
        keep[0] = sigmoid(zx[0] + zh[0]);
        keep[1] = sigmoid(zx[1] + zh[1]);
        keep[2] = tanh_of(zx[2] + zh[2]);
        keep[3] = sigmoid(zx[3] + zh[3]);
        c = keep[1] * c + keep[0] * keep[2];
        return keep[3] * tanh_of(c);
    }

    template <class F>
    __device__ __forceinline__ static F back(const F (&keep)[4], F before, F after, F d, F& dc, F (&dx)[4], F (&dh)[4], bool) {
        const F tanh_c = tanh_of(after);
        const F from = dc + d * keep[3] * tanh_slope(tanh_c);
        dx[0] = from * keep[2] * sigmoid_slope(keep[0]);
        dx[1] = from * before * sigmoid_slope(keep[1]);
        dx[2] = from * keep[0] * tanh_slope(keep[2]);
        dx[3] = d * tanh_c * sigmoid_slope(keep[3]);
        for (int i = 0; i < 4; ++i) dh[i] = dx[i];
        dc = from * keep[1];
        return 0.0f;
    }
};

struct Gru {
    static constexpr int gates = 3, kept = 4;
    static constexpr bool has_c = false, keeps_gates = true, same = false;

    template <class F>
    __device__ __forceinline__ static F step(const F (&zx)[3], const F (&zh)[3], F& h, F (&keep)[4], bool) {
        keep[0] = sigmoid(zx[0] + zh[0]);
        keep[1] = sigmoid(zx[1] + zh[1]);
        keep[2] = tanh_of(zx[2] + keep[0] * zh[2]);
        keep[3] = zh[2];
        return keep[2] + keep[1] * (h - keep[2]);
    }

    template <class F>
    __device__ __forceinline__ static F back(const F (&keep)[4], F before, F, F d, F&, F (&dx)[3], F (&dh)[3], bool) {
        dx[2] = d * (1.0f - keep[1]) * tanh_slope(keep[2]);
        dx[1] = dh[1] = d * (before - keep[2]) * sigmoid_slope(keep[1]);
        dx[0] = dh[0] = dx[2] * keep[3] * sigmoid_slope(keep[0]);
        dh[2] = dx[2] * keep[0];
        return d * keep[1];
    }
};

struct Rnn {
    static constexpr int gates = 1, kept = 1;
    static constexpr bool has_c = false, keeps_gates = false, same = true;

    template <class F>
    __device__ __forceinline__ static F step(const F (&zx)[1], const F (&zh)[1], F&, F (&keep)[1], bool relu) {
        const F z = zx[0] + zh[0];
        keep[0] = relu ? (z < 0.0f ? 0.0f : z) : tanh_of(z);  // not fmax, which would lose a nan
        return keep[0];
    }

    template <class F>
    __device__ __forceinline__ static F back(const F (&keep)[1], F, F, F d, F&, F (&dx)[1], F (&dh)[1], bool relu) {
        dx[0] = dh[0] = d * (relu ? F(keep[0] > 0.0f) : tanh_slope(keep[0]));
        return 0.0f;
    }
};

// h and c have T + 1 times: a step reads its state in one slot and writes the next one, a reverse layer from the last slot to the
// first, so that the states before all steps, and those after, are one array each. Beyond its length a row hands its state on.
template <class T>
struct Forward {
    T* gates;          // (T, N, G, H): W_ih x; with keep, replaced by the gates' values
    T* candidate;      // (T, N, H): with keep, what Gru keeps beside them
    T* h;              // (T + 1, N, H); kernels of single steps find h0 in it
    Wide<T>* c;        // Lstm: (T + 1, N, H) with keep, else (N, H)
    T* y;              // (T, N, H), 0 beyond the lengths; null without lengths
    T* h_last;         // (N, H)
    T* c_last;         // (N, H)
    const T* h0;       // (N, H), or null for zeros
    const T* c0;       // (N, H), or null for zeros
    const T* w;        // (G, H, H): W_hh, for kernels of whole sequences
    const T* product;  // (N, G, H): W_hh h, for kernels of single steps
    const T* b_ih;     // (G, H), or null
    const T* b_hh;     // (G, H), or null
    const int* lengths;  // (N), or null
    const unsigned char* reset;  // (T, N): not 0 where the state before the step is 0; or null; for kernels of single steps
    int times, batch, hidden;
    int reverse, keep, relu;
    int cell;  // for kernels of single steps: 0 Lstm, 1 Gru, 2 Rnn, 3 and 4 the two parts of Gru with the reset gate before
    int rows;  // of a block, for kernels of whole sequences
    int time;  // of a single step
};

template <class T>
struct Backward {
    T* dx;                // (T, N, G, H): gradients of W_ih x
    T* dh;                // (T, N, G, H): gradients of W_hh h, for Gru; null: those of W_ih x
    T* dh0;               // (N, H)
    T* dc0;               // (N, H)
    Wide<T>* carry;       // (N, H): what reaches h past the product; for kernels of single steps, as the next one
    Wide<T>* dc;          // (N, H): gradient of c
    const T* gates;       // (T, N, G, H), as the forward kept them
    const T* candidate;   // (T, N, H)
    const T* h;           // (T + 1, N, H)
    const Wide<T>* c;     // (T + 1, N, H)
    const T* dy;          // (T, N, H), or null for zeros
    const T* dh_last;     // (N, H), or null for zeros
    const T* dc_last;     // (N, H), or null for zeros
    const T* w;           // (G, H, H): W_hh, for kernels of whole sequences
    const T* product;     // (N, H): W_hh^T of the gradients of the step after, for kernels of single steps
    const int* lengths;   // (N), or null
    const unsigned char* reset;  // (T, N), or null; for kernels of single steps
    int times, batch, hidden;
    int reverse, relu;
    int cell, rows;  // as above
    int time;  // of a single step; -1 or T, past the last one: dh0 and dc0 only
};

// A unit of a row at a time: element of (T, N) and elements of (T + 1, N, H).
struct Place {
    long long row, before, after;
};

template <class A>
__device__ __forceinline__ Place place(const A& a, int time, int n, int u) {
    const long long row = (long long)time * a.batch + n;
    return {row, (row + (a.reverse ? a.batch : 0)) * a.hidden + u, (row + (a.reverse ? 0 : a.batch)) * a.hidden + u};
}

template <class A>
__device__ __forceinline__ int length(const A& a, int n) {
    return a.lengths == nullptr ? a.times : a.lengths[n];
}

// Whether a row begins anew with its step at a time.
template <class A>
__device__ __forceinline__ bool begins(const A& a, int time, int n) {
    return a.reset != nullptr && a.reset[(long long)time * a.batch + n] != 0;
}

// Element u of a row of units, 0 if the array is absent.
template <class T>
__device__ __forceinline__ Wide<T> element_or_zero(const T* p, long long i) {
    return p == nullptr ? Wide<T>(0) : wide(p[i]);
}

// The values of G gates of a unit of an element of (T, N), or of one row (G, H) of biases.
template <int G, class T>
__device__ __forceinline__ void load_gates(Wide<T> (&z)[G], const T* p, long long row, int hidden, int u) {
#pragma unroll
    for (int g = 0; g < G; ++g) z[g] = element_or_zero(p, (row * G + g) * hidden + u);
}

template <int G, int K, class T>
__device__ __forceinline__ void store_gates(T* p, const Wide<T> (&z)[K], long long row, int hidden, int u) {
#pragma unroll
    for (int g = 0; g < G; ++g) store_wide(p + (row * G + g) * hidden + u, z[g]);
}

// What the cell keeps of a step.
template <class Cell, class T>
__device__ __forceinline__ void store_kept(const Forward<T>& a, const Wide<T> (&keep)[Cell::kept], long long row, int u) {
    if (!a.keep || !Cell::keeps_gates) return;
    store_gates<Cell::gates>(a.gates, keep, row, a.hidden, u);
    if (Cell::kept > Cell::gates) store_wide(a.candidate + row * a.hidden + u, keep[Cell::kept - 1]);
}

template <class Cell, class T>
__device__ __forceinline__ void load_kept(const Backward<T>& a, Wide<T> (&keep)[Cell::kept], const Place& at, int u) {
    if (!Cell::keeps_gates) {
        keep[0] = wide(a.h[at.after]);
        return;
    }
#pragma unroll
    for (int g = 0; g < Cell::gates; ++g) keep[g] = wide(a.gates[(at.row * Cell::gates + g) * a.hidden + u]);
    if (Cell::kept > Cell::gates) keep[Cell::kept - 1] = wide(a.candidate[at.row * a.hidden + u]);
}

// The state after a step, and the output.
template <class Cell, class T>
__device__ __forceinline__ void store_state(const Forward<T>& a, const Place& at, int u, Wide<T> h, Wide<T> c, bool running) {
    store_wide(a.h + at.after, h);
    if (a.y != nullptr) store_wide(a.y + at.row * a.hidden + u, running ? h : Wide<T>(0));
    if (Cell::has_c && a.keep) a.c[at.after] = c;
}

// The gradients of a step's gates.
template <class Cell, class T>
__device__ __forceinline__ void store_gradients(const Backward<T>& a, const Wide<T> (&dx)[Cell::gates], const Wide<T> (&dh)[Cell::gates],
                                                long long row, int u) {
    store_gates<Cell::gates>(a.dx, dx, row, a.hidden, u);
    if (!Cell::same) store_gates<Cell::gates>(a.dh, dh, row, a.hidden, u);
}
