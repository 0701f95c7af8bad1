// recurrent_step: one time step of a recurrent layer, between the matrix products that cuBLAS does. Forward and backward.
//
// A thread has one unit of one row of the batch. The argument structs, the formulas and the layouts are in recurrent.cuh; the host
// launches once a time, and only the field `time` differs. The cell is chosen by a field as well: the kernels move memory.

#include "recurrent.cuh"

constexpr int THREADS = 256;

template <class Cell, class T>
__device__ void forward(const Forward<T>& a, int n, int u) {
    using F = Wide<T>;
    constexpr int G = Cell::gates;
    const Place at = place(a, a.time, n, u);
    const long long own = (long long)n * a.hidden + u;
    const bool first = a.time == (a.reverse ? a.times - 1 : 0), last = a.time == (a.reverse ? 0 : a.times - 1);
    F h = wide(a.h[at.before]), c = F(0);
    if (Cell::has_c) {
        c = first ? element_or_zero(a.c0, own) : a.c[a.keep ? at.before : own];
        if (first && a.keep) a.c[at.before] = c;
    }
    const bool running = a.time < length(a, n);
    if (running) {
        const bool anew = begins(a, a.time, n);
        if (anew) h = c = F(0);
        F zx[G], zh[G], b_ih[G], b_hh[G], keep[Cell::kept];
        load_gates(zx, a.gates, at.row, a.hidden, u);
        load_gates(zh, a.product, n, a.hidden, u);
        load_gates(b_ih, a.b_ih, 0, a.hidden, u);
        load_gates(b_hh, a.b_hh, 0, a.hidden, u);
#pragma unroll
        for (int g = 0; g < G; ++g) {
            zx[g] += b_ih[g];
            zh[g] = (anew ? F(0) : zh[g]) + b_hh[g];
        }
        h = Cell::step(zx, zh, Cell::has_c ? c : h, keep, a.relu);
        store_kept<Cell>(a, keep, at.row, u);
    }
    store_state<Cell>(a, at, u, h, c, running);
    if (Cell::has_c && !a.keep) a.c[own] = c;
    if (!last) return;
    store_wide(a.h_last + own, h);
    if (Cell::has_c) store_wide(a.c_last + own, c);
}

template <class Cell, class T>
__device__ void backward(const Backward<T>& a, int n, int u) {
    using F = Wide<T>;
    constexpr int G = Cell::gates;
    const long long own = (long long)n * a.hidden + u;
    const bool first = a.time == (a.reverse ? 0 : a.times - 1);
    F d;
    if (first) {
        d = element_or_zero(a.dh_last, own);
    } else {
        const int after = a.time + (a.reverse ? -1 : 1);  // nothing passes a reset from the step that this sweep has just left
        d = after < length(a, n) && begins(a, after, n) ? F(0) : a.carry[own] + wide(a.product[own]);
    }
    F dc = F(0);
    if (Cell::has_c) dc = first ? element_or_zero(a.dc_last, own) : a.dc[own];
    if (a.time < 0 || a.time == a.times) {
        store_wide(a.dh0 + own, d);
        if (Cell::has_c) store_wide(a.dc0 + own, dc);
        return;
    }
    const Place at = place(a, a.time, n, u);
    F dx[G] = {}, dh[G] = {};
    if (a.time < length(a, n)) {
        F keep[Cell::kept];
        load_kept<Cell>(a, keep, at, u);
        const bool anew = begins(a, a.time, n);
        const F before = anew ? F(0) : Cell::has_c ? a.c[at.before] : wide(a.h[at.before]);
        const F after = Cell::has_c ? a.c[at.after] : F(0);
        d += element_or_zero(a.dy, at.row * a.hidden + u);
        d = Cell::back(keep, before, after, d, dc, dx, dh, a.relu);
        if (anew) dc = F(0);
    }
    store_gradients<Cell>(a, dx, dh, at.row, u);
    a.carry[own] = d;
    if (Cell::has_c) a.dc[own] = dc;
}

template <class T>
__global__ void __launch_bounds__(THREADS) recurrent_step_forward(const __grid_constant__ Forward<T> a) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (long long)a.batch * a.hidden) return;
    const int n = int(i / a.hidden), u = int(i % a.hidden);
    if (a.cell == 0) forward<Lstm>(a, n, u);
    if (a.cell == 1) forward<Gru>(a, n, u);
    if (a.cell == 2) forward<Rnn>(a, n, u);
}

template <class T>
__global__ void __launch_bounds__(THREADS) recurrent_step_backward(const __grid_constant__ Backward<T> a) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (long long)a.batch * a.hidden) return;
    const int n = int(i / a.hidden), u = int(i % a.hidden);
    if (a.cell == 0) backward<Lstm>(a, n, u);
    if (a.cell == 1) backward<Gru>(a, n, u);
    if (a.cell == 2) backward<Rnn>(a, n, u);
}
