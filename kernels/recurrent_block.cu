// recurrent_block: a whole sequence of a recurrent layer in float in one launch, forward and backward.
//
// A block has `rows` rows of the batch for all times, and all of W_hh in its registers: each thread R rows of it (forward) or columns
// (backward). The states of a step go through shared memory; blocks know nothing of each other, and each stops at the end of its
// longest row. Structs and formulas are in recurrent.cuh.
// HP: the units, rounded up; the weights beyond them are zeros. A thread has two tasks: as (part, u) it has the products of R gates
// of unit u with the state before of every row; as (row, u) it has that unit of that row. So there are at most G / R rows.

#include "recurrent_unit.cuh"

template <class Cell, int HP>
struct Shape {
    static constexpr int R = Cell::gates == 4 ? 2 : 1;
    static constexpr int PARTS = Cell::gates / R;
    static constexpr int THREADS = PARTS * HP;
    static_assert(R * HP <= 192, "leaves 60 of 255 registers for the rest");
};

// R vectors of HP weights.
template <int R, int HP>
struct Weights {
    float w[R][HP];

    template <class Element>
    __device__ __forceinline__ void load(const Element& element) {
#pragma unroll
        for (int r = 0; r < R; ++r) {
#pragma unroll
            for (int k = 0; k < HP; ++k) w[r][k] = element(r, k);
        }
    }

    // sum[r]: the product of vector r with v + r * STRIDE, which is in shared memory. Two sums, so that one need not wait for the other.
    template <int STRIDE>
    __device__ __forceinline__ void multiply(const float* v, float (&sum)[R]) const {
        float even[R] = {}, odd[R] = {};
#pragma unroll
        for (int k = 0; k < HP; k += 4) {
#pragma unroll
            for (int r = 0; r < R; ++r) {
                const Vector<float, 4> x = ::load<float, 4>(v + r * STRIDE + k);
                even[r] = fmaf(w[r][k], x.item[0], even[r]);
                odd[r] = fmaf(w[r][k + 1], x.item[1], odd[r]);
                even[r] = fmaf(w[r][k + 2], x.item[2], even[r]);
                odd[r] = fmaf(w[r][k + 3], x.item[3], odd[r]);
            }
        }
#pragma unroll
        for (int r = 0; r < R; ++r) sum[r] = even[r] + odd[r];
    }
};

template <class Cell, int HP>
__global__ void __launch_bounds__(Shape<Cell, HP>::THREADS) recurrent_block_forward(const __grid_constant__ Forward<float> a) {
    using S = Shape<Cell, HP>;
    constexpr int G = Cell::gates;
    __shared__ __align__(16) float states[S::PARTS * HP];  // (rows, HP)
    __shared__ float products[S::PARTS * G * HP];          // (rows, G, HP)
    const int part = int(threadIdx.x) / HP, u = int(threadIdx.x) % HP, first = int(blockIdx.x) * a.rows;
    Weights<S::R, HP> weights;
    weights.load([&](int r, int k) {
        const long long row = (part * S::R + r) * a.hidden + u;
        return u < a.hidden && k < a.hidden ? a.w[row * a.hidden + k] : 0.0f;
    });
    Bias<Cell, float> bias;
    bias.load(a, u);
    ForwardUnit<Cell, float> unit;
    unit.start(a, first + part, u, part < a.rows);
    states[part * HP + u] = unit.h;
    const int steps = longest(a, first, a.rows);
    if (a.reverse) unit.hold(a, steps);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int time = a.reverse ? steps - 1 - step : step;
        unit.fetch(a, time);
        __syncthreads();
#pragma unroll 1
        for (int row = 0; row < a.rows; ++row) {
            float sum[S::R];
            weights.template multiply<0>(states + row * HP, sum);
#pragma unroll
            for (int r = 0; r < S::R; ++r) products[(row * G + part * S::R + r) * HP + u] = sum[r];
        }
        __syncthreads();
        float zh[G];
#pragma unroll
        for (int g = 0; g < G; ++g) zh[g] = part < a.rows ? products[(part * G + g) * HP + u] : 0.0f;
        unit.step(a, time, zh, bias);
        states[part * HP + u] = unit.h;
    }
    if (!a.reverse) unit.hold(a, steps);
    unit.finish(a);
}

template <class Cell, int HP>
__global__ void __launch_bounds__(Shape<Cell, HP>::THREADS) recurrent_block_backward(const __grid_constant__ Backward<float> a) {
    using S = Shape<Cell, HP>;
    constexpr int G = Cell::gates;
    __shared__ __align__(16) float gradients[S::PARTS * G * HP];  // (rows, G, HP)
    __shared__ float products[S::PARTS * S::PARTS * HP];          // (rows, PARTS, HP)
    const int part = int(threadIdx.x) / HP, u = int(threadIdx.x) % HP, first = int(blockIdx.x) * a.rows;
    Weights<S::R, HP> weights;
    weights.load([&](int r, int k) {
        const long long row = (part * S::R + r) * a.hidden + k;
        return u < a.hidden && k < a.hidden ? a.w[row * a.hidden + u] : 0.0f;
    });
    BackwardUnit<Cell, float> unit;
    unit.start(a, first + part, u, part < a.rows);
    const int steps = longest(a, first, a.rows);
    unit.clear(a, steps);
    if (steps > 0) unit.fetch(a, a.reverse ? 0 : steps - 1);
    float product = 0.0f;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int time = a.reverse ? step : steps - 1 - step;
        float dh[G];
        unit.step(a, time, product, dh);
        if (step + 1 < steps) unit.fetch(a, a.reverse ? time + 1 : time - 1);
#pragma unroll
        for (int g = 0; g < G; ++g) gradients[(part * G + g) * HP + u] = dh[g];
        __syncthreads();
#pragma unroll 1
        for (int row = 0; row < a.rows; ++row) {
            float sum[S::R], total = 0.0f;
            weights.template multiply<HP>(gradients + (row * G + part * S::R) * HP, sum);
#pragma unroll
            for (int r = 0; r < S::R; ++r) total += sum[r];
            products[(row * S::PARTS + part) * HP + u] = total;
        }
        __syncthreads();
        product = 0.0f;
#pragma unroll
        for (int p = 0; p < S::PARTS; ++p) product += part < a.rows ? products[(part * S::PARTS + p) * HP + u] : 0.0f;
    }
    unit.finish(a, product);
}
