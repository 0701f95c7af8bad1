// recurrent_step: one time step of a recurrent layer, between the matrix products that cuBLAS does. Forward and backward.
//
// A thread has one unit of one row of the batch. The argument structs, the formulas and the layouts are in recurrent.cuh; the host
// launches once a time, and only the field `time` differs. The cell is chosen by a field as well: the kernels move memory.
//
// Gru with the reset gate before the product, n = tanh(zx + W_hn (r h)), has two launches a time, with a product before each.
// Forward, `gates` (cell 3): r, z and r h, after the product (N, 2, H) with h; `candidate` (cell 4): n and the next h, after that
// (N, H) with r h. Backward, `candidate`: the gradients of n and z; `gates`: that of r, after the product (N, H) of the former.
// r h stands in the field candidate: (T, N, H) with keep, else (N, H).

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

// The gradient of the state after a step, without dy; of the initial one for the time past the last.
template <class T>
__device__ Wide<T> gradient_after(const Backward<T>& a, int n, long long own) {
    if (a.time == (a.reverse ? 0 : a.times - 1)) return element_or_zero(a.dh_last, own);
    const int after = a.time + (a.reverse ? -1 : 1);  // nothing passes a reset from the step that this sweep has just left
    return after < length(a, n) && begins(a, after, n) ? Wide<T>(0) : a.carry[own] + wide(a.product[own]);
}

template <class Cell, class T>
__device__ void backward(const Backward<T>& a, int n, int u) {
    using F = Wide<T>;
    constexpr int G = Cell::gates;
    const long long own = (long long)n * a.hidden + u;
    const bool first = a.time == (a.reverse ? 0 : a.times - 1);
    F d = gradient_after(a, n, own);
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
__device__ void forward_gates(const Forward<T>& a, int n, int u) {
    using F = Wide<T>;
    const Place at = place(a, a.time, n, u);
    T* product = a.candidate + (a.keep ? at.row : n) * a.hidden + u;
    if (a.time >= length(a, n)) {  // later the gradients' product with all of them reads it
        store_wide(product, F(0));
        return;
    }
    const bool anew = begins(a, a.time, n);
    T* gates = a.gates + at.row * 3 * a.hidden + u;
    F gate[2];
#pragma unroll
    for (int g = 0; g < 2; ++g) {
        const F from_h = anew ? F(0) : wide(a.product[((long long)n * 2 + g) * a.hidden + u]);
        const long long i = (long long)g * a.hidden;
        gate[g] = sigmoid(wide(gates[i]) + from_h + element_or_zero(a.b_ih, i + u) + element_or_zero(a.b_hh, i + u));
        store_wide(gates + i, gate[g]);
    }
    store_wide(product, anew ? F(0) : gate[0] * wide(a.h[at.before]));
}

template <class T>
__device__ void forward_candidate(const Forward<T>& a, int n, int u) {
    using F = Wide<T>;
    const Place at = place(a, a.time, n, u);
    const long long own = (long long)n * a.hidden + u, i = 2LL * a.hidden;
    const bool running = a.time < length(a, n);
    F h = wide(a.h[at.before]);
    if (running) {
        T* gates = a.gates + at.row * 3 * a.hidden + u;
        const F bias = element_or_zero(a.b_ih, i + u) + element_or_zero(a.b_hh, i + u);
        const F candidate = tanh_of(wide(gates[i]) + wide(a.product[own]) + bias);
        if (begins(a, a.time, n)) h = F(0);
        h = candidate + wide(gates[a.hidden]) * (h - candidate);
        if (a.keep) store_wide(gates + i, candidate);
    }
    store_state<Gru>(a, at, u, h, F(0), running);
    if (a.time == (a.reverse ? 0 : a.times - 1)) store_wide(a.h_last + own, h);
}

template <class T>
__device__ void backward_candidate(const Backward<T>& a, int n, int u) {
    using F = Wide<T>;
    const long long own = (long long)n * a.hidden + u;
    F d = gradient_after(a, n, own);
    if (a.time < 0 || a.time == a.times) {
        store_wide(a.dh0 + own, d);
        return;
    }
    const Place at = place(a, a.time, n, u);
    F of_z = F(0), of_n = F(0);
    if (a.time < length(a, n)) {
        const T* gates = a.gates + at.row * 3 * a.hidden + u;
        const F z = wide(gates[a.hidden]), candidate = wide(gates[2LL * a.hidden]);
        const F before = begins(a, a.time, n) ? F(0) : wide(a.h[at.before]);
        d += element_or_zero(a.dy, at.row * a.hidden + u);
        of_n = d * (1.0f - z) * tanh_slope(candidate);
        of_z = d * (before - candidate) * sigmoid_slope(z);
        d *= z;
    }
    T* gradients = a.dx + at.row * 3 * a.hidden + u;
    store_wide(gradients + a.hidden, of_z);
    store_wide(gradients + 2LL * a.hidden, of_n);
    a.carry[own] = d;
}

template <class T>
__device__ void backward_gates(const Backward<T>& a, int n, int u) {
    using F = Wide<T>;
    const Place at = place(a, a.time, n, u);
    const long long own = (long long)n * a.hidden + u;
    F of_r = F(0);
    if (a.time < length(a, n)) {
        const F r = wide(a.gates[at.row * 3 * a.hidden + u]), product = wide(a.product[own]);
        const F before = begins(a, a.time, n) ? F(0) : wide(a.h[at.before]);
        of_r = product * before * sigmoid_slope(r);
        a.carry[own] += product * r;
    }
    store_wide(a.dx + at.row * 3 * a.hidden + u, of_r);
}

template <class T>
__global__ void __launch_bounds__(THREADS) recurrent_step_forward(const __grid_constant__ Forward<T> a) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (long long)a.batch * a.hidden) return;
    const int n = int(i / a.hidden), u = int(i % a.hidden);
    if (a.cell == 0) forward<Lstm>(a, n, u);
    if (a.cell == 1) forward<Gru>(a, n, u);
    if (a.cell == 2) forward<Rnn>(a, n, u);
    if (a.cell == 3) forward_gates(a, n, u);
    if (a.cell == 4) forward_candidate(a, n, u);
}

template <class T>
__global__ void __launch_bounds__(THREADS) recurrent_step_backward(const __grid_constant__ Backward<T> a) {
    const long long i = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (i >= (long long)a.batch * a.hidden) return;
    const int n = int(i / a.hidden), u = int(i % a.hidden);
    if (a.cell == 0) backward<Lstm>(a, n, u);
    if (a.cell == 1) backward<Gru>(a, n, u);
    if (a.cell == 2) backward<Rnn>(a, n, u);
    if (a.cell == 3) backward_gates(a, n, u);
    if (a.cell == 4) backward_candidate(a, n, u);
}
