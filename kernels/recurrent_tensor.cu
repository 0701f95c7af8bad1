// recurrent_tensor: a whole sequence of a recurrent layer in 16 bits in one launch on tensor cores, forward and backward.
//
// A block has 8 rows of the batch for all times: the N of mma.m16n8k16. A warp has 16 units of all of them, and its part of W_hh in
// registers as the operand A: forward, a tile of 16 units for each gate over K = the state before; backward, 16 columns of W_hh over
// K = all gates. So all products of a unit and a row come to one thread, which has units g and g + 8 of the warp and rows 2 t and
// 2 t + 1 (g = lane / 4, t = lane % 4). States, or gradients of gates, go to the other warps through shared memory, in two buffers
// by turns: one barrier a step. Blocks know nothing of each other, and each stops at the end of its longest row.
//
// T is __half or __nv_bfloat16; HP: the units, rounded up; the weights beyond them are zeros. Structs and formulas: recurrent.cuh.

#include "recurrent_mma.cuh"
#include "recurrent_unit.cuh"

// Where a thread is: the first of its two units, and of its two rows of the block's eight.
struct Corner {
    int unit, row;
};

__device__ __forceinline__ Corner corner() {
    const int lane = int(threadIdx.x) % 32;
    return {int(threadIdx.x) / 32 * 16 + lane / 4, 2 * (lane % 4)};
}

template <class Cell, class T, int HP>
__global__ void __launch_bounds__(2 * HP) recurrent_tensor_forward(const __grid_constant__ Forward<T> a) {
    constexpr int G = Cell::gates, K2 = HP / 32, WIDTH = HP + PAD;
    __shared__ __align__(16) T states[2 * ROWS * WIDTH];  // (2, ROWS, WIDTH)
    const Corner own = corner();
    const int first = int(blockIdx.x) * ROWS, lane = int(threadIdx.x) % 32;
    const int from = lane / 4 * WIDTH + lane % 4 * 8;  // what this thread reads for its column
    __shared__ Vector<ptx::u32, 4> room[ROOM * 2 * HP];
    Weights<T, G * HP> weights;
    weights.load(room, [&](int row, int k) {
        const int u = int(threadIdx.x) / 32 * 16 + row, from = k % HP;
        return u < a.hidden && from < a.hidden ? a.w[(k / HP * a.hidden + u) * a.hidden + from] : T(0.0f);
    });
    Bias<Cell, T> bias[2];
    ForwardUnit<Cell, T> units[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int row = own.row + i % 2, u = own.unit + i / 2 * 8;
        if (i % 2 == 0) bias[i / 2].load(a, u);
        units[i].start(a, first + row, u, true);
        store_float(states + row * WIDTH + u, units[i].h);
    }
    const int steps = longest(a, first, ROWS);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (a.reverse) units[i].hold(a, steps);
    }
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int time = a.reverse ? steps - 1 - step : step;
        const T* before = states + step % 2 * ROWS * WIDTH;
        T* after = states + (step + 1) % 2 * ROWS * WIDTH;
#pragma unroll
        for (int i = 0; i < 4; ++i) units[i].fetch(a, time);
        float products[G][4] = {};
#pragma unroll
        for (int k2 = 0; k2 < K2; ++k2) {
            const auto v = load<ptx::u32, 4>(reinterpret_cast<const ptx::u32*>(before + from + 32 * k2));
#pragma unroll
            for (int gate = 0; gate < G; ++gate) weights.multiply(products[gate], gate * K2 + k2, v);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float zh[G];
#pragma unroll
            for (int gate = 0; gate < G; ++gate) zh[gate] = products[gate][i];
            units[i].step(a, time, zh, bias[i / 2]);
            store_float(after + (own.row + i % 2) * WIDTH + own.unit + i / 2 * 8, units[i].h);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (!a.reverse) units[i].hold(a, steps);
        units[i].finish(a);
    }
}

template <class Cell, class T, int HP>
__global__ void __launch_bounds__(2 * HP) recurrent_tensor_backward(const __grid_constant__ Backward<T> a) {
    constexpr int G = Cell::gates, K2 = G * HP / 32, WIDTH = G * HP + PAD, SUMS = 4;
    __shared__ __align__(16) T gradients[2 * ROWS * WIDTH];  // (2, ROWS, WIDTH), a row (G, HP)
    const Corner own = corner();
    const int first = int(blockIdx.x) * ROWS, lane = int(threadIdx.x) % 32;
    const int from = lane / 4 * WIDTH + lane % 4 * 8;
    __shared__ Vector<ptx::u32, 4> room[ROOM * 2 * HP];
    Weights<T, G * HP> weights;
    weights.load(room, [&](int row, int k) {
        const int u = int(threadIdx.x) / 32 * 16 + row, unit = k % HP;
        return u < a.hidden && unit < a.hidden ? a.w[(k / HP * a.hidden + unit) * a.hidden + u] : T(0.0f);
    });
    const int steps = longest(a, first, ROWS);
    BackwardUnit<Cell, T> units[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        units[i].start(a, first + own.row + i % 2, own.unit + i / 2 * 8, true);
        units[i].clear(a, steps);
        if (steps > 0) units[i].fetch(a, a.reverse ? 0 : steps - 1);
    }
    float product[4] = {};
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int time = a.reverse ? step : steps - 1 - step;
        T* now = gradients + step % 2 * ROWS * WIDTH;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float dh[G];
            units[i].step(a, time, product[i], dh);
            if (step + 1 < steps) units[i].fetch(a, a.reverse ? time + 1 : time - 1);
            T* to = now + (own.row + i % 2) * WIDTH + own.unit + i / 2 * 8;
#pragma unroll
            for (int gate = 0; gate < G; ++gate) store_float(to + gate * HP, dh[gate]);
        }
        __syncthreads();
        float sums[SUMS][4] = {};  // several, so that an mma need not wait for the one before it
#pragma unroll
        for (int k2 = 0; k2 < K2; ++k2) {
            weights.multiply(sums[k2 % SUMS], k2, load<ptx::u32, 4>(reinterpret_cast<const ptx::u32*>(now + from + 32 * k2)));
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) product[i] = (sums[0][i] + sums[1][i]) + (sums[2][i] + sums[3][i]);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) units[i].finish(a, product[i]);
}
