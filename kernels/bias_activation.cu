// bias_activation: the epilogue of a matrix product, forward and backward.
//
//   y = act(x + bias)                              x, y (rows, columns), bias (columns); y may be x
//   dx = g * act'(y), db = sum over rows of dx     the slope is told from y: all three activations allow it
//
// Row-major and contiguous, rows of any length. T is float, __half or __nv_bfloat16; arithmetic and sums are in float.
// N elements move at once: 16 bytes where every row begins at a multiple of 16, else one element.
// A thread owns N columns and walks down rows, so that it reads its bias once and adds up its part of db in registers.
// db is added in a fixed order, first over the rows of a chunk, then over the chunks (bias_sum): the same input gives the same bits.

#include "activations.cuh"
#include "storage.cuh"

constexpr int THREADS = 256;
constexpr int SUM_COLUMNS = 32;
constexpr int SUM_PARTS = 16;

// Rows that a thread has in flight; four of 16 bytes spilled registers on some targets.
template <int N>
constexpr int ROWS = N == 1 ? 4 : 2;

// Where a thread works: its first column, and every step-th row from the first one.
struct Place {
    long long row, step;
    int column, chunk;
};

template <int N>
__device__ __forceinline__ Place place(int columns) {
    const int width = int(blockDim.x) * N;
    const int tiles = (columns - 1) / width + 1;
    const int chunks = int(gridDim.x) / tiles;
    const int chunk = int(blockIdx.x) / tiles;
    const int column = (int(blockIdx.x) % tiles) * width + int(threadIdx.x) * N;
    return {(long long)chunk * blockDim.y + threadIdx.y, (long long)chunks * blockDim.y, column, chunk};
}

template <class T>
struct ForwardArguments {
    T* y;           // (rows, columns)
    const T* x;     // (rows, columns)
    const T* bias;  // (columns), or null
    long long rows;
    int columns;
};

template <class T, int N, class Activation>
__global__ void __launch_bounds__(THREADS) bias_activation_forward(const __grid_constant__ ForwardArguments<T> a) {
    const Place at = place<N>(a.columns);
    if (at.column >= a.columns) return;
    float bias[N] = {};
    if (a.bias != nullptr) {
        for (int i = 0; i < N; ++i) bias[i] = to_float(a.bias[at.column + i]);
    }
    for (long long row = at.row; row < a.rows; row += ROWS<N> * at.step) {
        Vector<T, N> v[ROWS<N>];
#pragma unroll
        for (int r = 0; r < ROWS<N>; ++r) {
            const long long here = row + r * at.step;
            if (here < a.rows) v[r] = load<T, N>(a.x + here * a.columns + at.column);
        }
#pragma unroll
        for (int r = 0; r < ROWS<N>; ++r) {
            const long long here = row + r * at.step;
            if (here >= a.rows) break;
#pragma unroll
            for (int i = 0; i < N; ++i) store_float(&v[r].item[i], Activation::apply(to_float(v[r].item[i]) + bias[i]));
            store<T, N>(a.y + here * a.columns + at.column, v[r]);
        }
    }
}

template <class T>
struct BackwardArguments {
    T* dx;        // (rows, columns), or null: not wanted
    T* db;        // (columns), or null: not wanted, or left to bias_sum
    float* sums;  // (chunks, columns), or null: no bias_sum follows
    const T* g;   // (rows, columns)
    const T* y;   // (rows, columns); null for Identity
    long long rows;
    int columns;
};

template <class T, int N, class Activation>
__global__ void __launch_bounds__(THREADS) bias_activation_backward(const __grid_constant__ BackwardArguments<T> a) {
    __shared__ float parts[THREADS * N];  // (blockDim.y, blockDim.x, N)
    const Place at = place<N>(a.columns);
    const bool inside = at.column < a.columns;
    float sum[N] = {};
    for (long long row = at.row; inside && row < a.rows; row += ROWS<N> * at.step) {
        Vector<T, N> g[ROWS<N>], y[ROWS<N>];
#pragma unroll
        for (int r = 0; r < ROWS<N>; ++r) {
            const long long here = row + r * at.step;
            if (here >= a.rows) break;
            g[r] = load<T, N>(a.g + here * a.columns + at.column);
            if (!Activation::flat) y[r] = load<T, N>(a.y + here * a.columns + at.column);
        }
#pragma unroll
        for (int r = 0; r < ROWS<N>; ++r) {
            const long long here = row + r * at.step;
            if (here >= a.rows) break;
#pragma unroll
            for (int i = 0; i < N; ++i) {
                float d = to_float(g[r].item[i]);
                if (!Activation::flat) d *= Activation::slope(to_float(y[r].item[i]));
                sum[i] += d;
                store_float(&g[r].item[i], d);
            }
            if (a.dx != nullptr) store<T, N>(a.dx + here * a.columns + at.column, g[r]);
        }
    }
    if (a.db == nullptr && a.sums == nullptr) return;

    const int width = int(blockDim.x) * N;
#pragma unroll
    for (int i = 0; i < N; ++i) parts[threadIdx.y * width + threadIdx.x * N + i] = sum[i];
    __syncthreads();
    if (threadIdx.y > 0 || !inside) return;
    for (int i = 0; i < N; ++i) {
        float total = 0.0f;
        for (int r = 0; r < int(blockDim.y); ++r) total += parts[r * width + threadIdx.x * N + i];
        if (a.sums != nullptr) a.sums[(long long)at.chunk * a.columns + at.column + i] = total;
        if (a.db != nullptr) store_float(a.db + at.column + i, total);
    }
}

template <class T>
struct SumArguments {
    T* db;              // (columns)
    const float* sums;  // (chunks, columns)
    int chunks;
    int columns;
};

template <class T>
__global__ void __launch_bounds__(SUM_COLUMNS * SUM_PARTS) bias_sum(const __grid_constant__ SumArguments<T> a) {
    __shared__ float parts[SUM_PARTS][SUM_COLUMNS];
    const int column = int(blockIdx.x) * SUM_COLUMNS + int(threadIdx.x);
    float sum = 0.0f;
    if (column < a.columns) {
        for (int chunk = int(threadIdx.y); chunk < a.chunks; chunk += SUM_PARTS) {
            sum += a.sums[(long long)chunk * a.columns + column];
        }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= a.columns) return;
    float total = 0.0f;
    for (int i = 0; i < SUM_PARTS; ++i) total += parts[i][threadIdx.x];
    store_float(a.db + column, total);
}
