// One unit of one row through a whole sequence, as a thread of a kernel of whole sequences has it in registers.
// The kernel gives it its product with the weights at each step; `active` is false in the padding, which touches no memory.
#pragma once

#include "recurrent.cuh"

// x as it comes back from memory.
template <class T>
__device__ __forceinline__ float rounded(float x) {
    T stored;
    store_float(&stored, x);
    return to_float(stored);
}

// Both biases of a unit; only for the last gate of Gru it matters to which product one belongs.
template <class Cell, class T>
struct Bias {
    float x[Cell::gates], h;

    __device__ __forceinline__ void load(const Forward<T>& a, int u) {
        const bool inside = u < a.hidden;
#pragma unroll
        for (int g = 0; g < Cell::gates; ++g) {
            const int i = g * a.hidden + u;
            const float from_h = inside ? element_or_zero(a.b_hh, i) : 0.0f;
            x[g] = inside ? element_or_zero(a.b_ih, i) : 0.0f;
            h = from_h;
            if (Cell::same || g < Cell::gates - 1) x[g] += from_h;
        }
    }
};

template <class Cell, class T>
struct ForwardUnit {
    int n, u, own;  // row, unit, and the times of the row
    bool active;
    float h, c, zx[Cell::gates];

    __device__ __forceinline__ void start(const Forward<T>& a, int row, int unit, bool inside) {
        n = row, u = unit, active = inside && row < a.batch && unit < a.hidden;
        own = 0, h = 0.0f, c = 0.0f;
        if (!active) return;
        own = length(a, n);
        h = element_or_zero(a.h0, (long long)n * a.hidden + u);
        if (Cell::has_c) c = element_or_zero(a.c0, (long long)n * a.hidden + u);
        const long long first = ((a.reverse ? (long long)a.times * a.batch : 0) + n) * a.hidden + u;
        store_float(a.h + first, h);
        if (Cell::has_c && a.keep) a.c[first] = c;
    }

    // Starts to read what the inputs give at a time.
    __device__ __forceinline__ void fetch(const Forward<T>& a, int time) {
        if (active) load_gates(zx, a.gates, (long long)time * a.batch + n, a.hidden, u);
    }

    // The step at the time fetched last; zh: this unit's products with the state before.
    __device__ __forceinline__ void step(const Forward<T>& a, int time, float (&zh)[Cell::gates], const Bias<Cell, T>& bias) {
        if (!active) return;
        const Place at = place(a, time, n, u);
        const bool running = time < own;
        if (running) {
            float keep[Cell::kept];
#pragma unroll
            for (int g = 0; g < Cell::gates; ++g) zx[g] += bias.x[g];
            if (!Cell::same) zh[Cell::gates - 1] += bias.h;
            h = rounded<T>(Cell::step(zx, zh, Cell::has_c ? c : h, keep, a.relu));
            store_kept<Cell>(a, keep, at.row, u);
        }
        store_state<Cell>(a, at, u, h, c, running);
    }

    // The times from `begin` on, which are beyond the ends of all rows of the block.
    __device__ __forceinline__ void hold(const Forward<T>& a, int begin) {
        for (int time = begin; active && time < a.times; ++time) store_state<Cell>(a, place(a, time, n, u), u, h, c, false);
    }

    __device__ __forceinline__ void finish(const Forward<T>& a) {
        if (!active) return;
        store_float(a.h_last + (long long)n * a.hidden + u, h);
        if (Cell::has_c) store_float(a.c_last + (long long)n * a.hidden + u, c);
    }
};

template <class Cell, class T>
struct BackwardUnit {
    int n, u, own;
    bool active;
    float carry, dc, keep[Cell::kept], before, after, dy;

    __device__ __forceinline__ void start(const Backward<T>& a, int row, int unit, bool inside) {
        n = row, u = unit, active = inside && row < a.batch && unit < a.hidden;
        own = 0, carry = 0.0f, dc = 0.0f;
        if (!active) return;
        own = length(a, n);
        carry = element_or_zero(a.dh_last, (long long)n * a.hidden + u);
        if (Cell::has_c) dc = element_or_zero(a.dc_last, (long long)n * a.hidden + u);
    }

    // Starts to read what the step at a time kept, and the gradient of its output.
    __device__ __forceinline__ void fetch(const Backward<T>& a, int time) {
        if (!active || time >= own) return;
        const Place at = place(a, time, n, u);
        load_kept<Cell>(a, keep, at, u);
        before = Cell::has_c ? a.c[at.before] : to_float(a.h[at.before]);
        after = Cell::has_c ? a.c[at.after] : 0.0f;
        dy = element_or_zero(a.dy, at.row * a.hidden + u);
    }

    // The step at the time fetched last; product: what the gradients of the step after it give to h. dh: those of this step.
    __device__ __forceinline__ void step(const Backward<T>& a, int time, float product, float (&dh)[Cell::gates]) {
        float dx[Cell::gates] = {};
#pragma unroll
        for (int g = 0; g < Cell::gates; ++g) dh[g] = 0.0f;
        if (!active) return;
        carry += product;
        if (time < own) carry = Cell::back(keep, before, after, carry + dy, dc, dx, dh, a.relu);
        store_gradients<Cell>(a, dx, dh, (long long)time * a.batch + n, u);
    }

    // The gradients at the times from `begin` on, which are beyond the ends of all rows of the block.
    __device__ __forceinline__ void clear(const Backward<T>& a, int begin) {
        const float zeros[Cell::gates] = {};
        for (int time = begin; active && time < a.times; ++time) {
            store_gradients<Cell>(a, zeros, zeros, (long long)time * a.batch + n, u);
        }
    }

    __device__ __forceinline__ void finish(const Backward<T>& a, float product) {
        if (!active) return;
        store_float(a.dh0 + (long long)n * a.hidden + u, carry + product);
        if (Cell::has_c) store_float(a.dc0 + (long long)n * a.hidden + u, dc);
    }
};

// How many steps a block with these rows of the batch has to make.
template <class A>
__device__ __forceinline__ int longest(const A& a, int first, int rows) {
    int most = 0;
    for (int n = first; n < first + rows && n < a.batch; ++n) most = max(most, min(length(a, n), a.times));
    return most;
}
