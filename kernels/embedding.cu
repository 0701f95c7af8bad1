// embedding: rows of a table, picked by integers, and the gradient of the table.
//
//   y[i] = weight[index[i]]                                   y (count, columns), weight (rows, columns)
//   dweight[r] = sum over all i with index[i] = r of g[i]     in the order of i, by sorting, without atomics
//
// Row-major and contiguous, rows of any length. T is float, __half or __nv_bfloat16; sums are in float. Indices are int or long long.
// An index outside of 0 .. rows - 1 reads nothing: its row of y is nan, its row of g is passed over, as those of `padding` are.
//
// Backward: `order` lists the positions i by ascending index, equal ones in ascending order, so that what a row gets is a run of it.
// order is cut into chunks of one length, and a thread adds up N columns of one chunk. A run inside a chunk is written
// at once. One that passes a chunk's end leaves a sum in each chunk that it touches, and embedding_combine adds these:
// a row that is picked very often is spread over many threads, and each sum is made in one order, whatever the GPU.

#include "storage.cuh"

constexpr int THREADS = 256;
constexpr int COMBINE_COLUMNS = 32;
constexpr int COMBINE_PARTS = 8;

// Vectors that a thread has in flight; four of eight elements spilled registers on some targets in the backward.
constexpr int BATCH = 4;
template <int N>
constexpr int SUM_BATCH = N == 8 ? 2 : 4;

// The table's row for position i.
__device__ __forceinline__ long long index_at(const int* narrow, const long long* wide, long long i) {
    return wide != nullptr ? wide[i] : narrow[i];
}

template <class T>
struct GatherArguments {
    T* y;                   // (count, columns)
    const T* weight;        // (rows, columns)
    const int* narrow;      // (count), or null
    const long long* wide;  // (count), or null: one of both
    long long count, rows;
    int columns;
};

template <class T, int N>
__global__ void __launch_bounds__(THREADS) embedding_forward(const __grid_constant__ GatherArguments<T> a) {
    const int tiles = (a.columns - 1) / (int(blockDim.x) * N) + 1;
    const int column = (int(blockIdx.x) % tiles * int(blockDim.x) + int(threadIdx.x)) * N;
    if (column >= a.columns) return;
    const long long step = (long long)(int(gridDim.x) / tiles) * blockDim.y;
    const long long start = (long long)(int(blockIdx.x) / tiles) * blockDim.y + threadIdx.y;
    for (long long at = start; at < a.count; at += BATCH * step) {
        long long index[BATCH];
        Vector<T, N> v[BATCH];
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {
            if (at + b * step < a.count) index[b] = index_at(a.narrow, a.wide, at + b * step);
        }
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {
            if (at + b * step >= a.count) break;
            if (index[b] >= 0 && index[b] < a.rows) {
                v[b] = load<T, N>(a.weight + index[b] * a.columns + column);
            } else {
#pragma unroll
                for (int i = 0; i < N; ++i) store_float(&v[b].item[i], __int_as_float(0x7fffffff));
            }
        }
#pragma unroll
        for (int b = 0; b < BATCH; ++b) {
            if (at + b * step < a.count) store<T, N>(a.y + (at + b * step) * a.columns + column, v[b]);
        }
    }
}

template <class T>
struct ScatterArguments {
    T* dweight;              // (rows, columns), zeros
    float* sums;             // (chunks, 2, columns): of a run that began before the chunk, of one that goes on behind it
    const T* g;              // (count, columns)
    const long long* order;  // (count)
    const int* narrow;       // (count), or null
    const long long* wide;   // (count), or null: one of both
    long long count, rows;
    long long padding;  // the row without gradient, or -1
    long long length;   // of a chunk
    int columns;

    // The row that gets g[i], a negative number where none does.
    __device__ long long row_of(long long i) const {
        const long long row = index_at(narrow, wide, i);
        return row < rows && row != padding ? row : -1;
    }
    __device__ long long row_at(long long j) const { return row_of(order[j]); }
    __device__ float* sum(long long chunk, int which, int column) const {
        return sums + (2 * chunk + which) * columns + column;
    }
};

constexpr int BEFORE = 0, BEHIND = 1;

template <class T, int N>
__device__ __forceinline__ void store_row(T* p, const float (&sum)[N]) {
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) store_float(&v.item[i], sum[i]);
    store<T, N>(p, v);
}

template <int N>
__device__ __forceinline__ void store_sum(float* p, const float (&sum)[N]) {
#pragma unroll
    for (int i = 0; i < N; ++i) p[i] = sum[i];
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS) embedding_backward(const __grid_constant__ ScatterArguments<T> a) {
    const int tiles = (a.columns - 1) / (int(blockDim.x) * N) + 1;
    const int column = (int(blockIdx.x) % tiles * int(blockDim.x) + int(threadIdx.x)) * N;
    const long long chunk = (long long)(int(blockIdx.x) / tiles) * blockDim.y + threadIdx.y;
    const long long begin = chunk * a.length;
    if (column >= a.columns || begin >= a.count) return;
    const long long end = min(begin + a.length, a.count);

    long long row = a.row_at(begin);
    bool before = row >= 0 && begin > 0 && a.row_at(begin - 1) == row;  // whether the run began before the chunk
    float sum[N] = {};
    for (long long j = begin; j < end; j += SUM_BATCH<N>) {
        long long next[SUM_BATCH<N>];
        Vector<T, N> g[SUM_BATCH<N>];
#pragma unroll
        for (int b = 0; b < SUM_BATCH<N>; ++b) {
            if (j + b >= end) continue;
            const long long i = a.order[j + b];
            next[b] = a.row_of(i);
            if (next[b] >= 0) g[b] = load<T, N>(a.g + i * a.columns + column);
        }
#pragma unroll
        for (int b = 0; b < SUM_BATCH<N>; ++b) {
            if (j + b >= end) continue;
            if (next[b] != row) {
                if (before) {
                    store_sum(a.sum(chunk, BEFORE, column), sum);
                } else if (row >= 0) {
                    store_row(a.dweight + row * a.columns + column, sum);
                }
                row = next[b];
                before = false;
#pragma unroll
                for (int i = 0; i < N; ++i) sum[i] = 0.0f;
            }
            if (row < 0) continue;
#pragma unroll
            for (int i = 0; i < N; ++i) sum[i] += to_float(g[b].item[i]);
        }
    }
    if (row < 0) return;
    if (before) {
        store_sum(a.sum(chunk, BEFORE, column), sum);
    } else if (end < a.count && a.row_at(end) == row) {
        store_sum(a.sum(chunk, BEHIND, column), sum);
    } else {
        store_row(a.dweight + row * a.columns + column, sum);
    }
}

// The chunk behind the last one that begins inside the run of `row`; chunk `first` does. Steps that double, then halves.
template <class T>
__device__ long long run_end(const ScatterArguments<T>& a, long long row, long long first, long long chunks) {
    long long reach = 1;
    while (first + reach < chunks && a.row_at((first + reach) * a.length) == row) reach *= 2;
    long long inside = first + reach / 2, outside = min(first + reach, chunks);
    while (outside - inside > 1) {
        const long long middle = (inside + outside) / 2;
        if (a.row_at(middle * a.length) == row) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    return outside;
}

// A block for each chunk but the last, and for a tile of columns: the run that begins in the chunk and goes on behind it.
template <class T, int N>
__global__ void __launch_bounds__(COMBINE_COLUMNS * COMBINE_PARTS)
    embedding_combine(const __grid_constant__ ScatterArguments<T> a) {
    __shared__ float parts[COMBINE_PARTS][COMBINE_COLUMNS * N];
    const int tiles = (a.columns - 1) / (COMBINE_COLUMNS * N) + 1;
    const int own = int(threadIdx.x) * N;
    const int column = int(blockIdx.x) % tiles * COMBINE_COLUMNS * N + own;
    const bool inside = column < a.columns;
    const long long chunk = int(blockIdx.x) / tiles;
    const long long begin = chunk * a.length, end = begin + a.length;
    const long long row = a.row_at(end - 1);
    if (row < 0 || a.row_at(end) != row || (begin > 0 && a.row_at(begin - 1) == row)) return;

    float sum[N] = {};
    const long long last = run_end(a, row, chunk + 1, (a.count - 1) / a.length + 1);
#pragma unroll 4
    for (long long c = chunk + threadIdx.y; inside && c < last; c += COMBINE_PARTS) {
        const Vector<float, N> v = load<float, N>(a.sum(c, c == chunk ? BEHIND : BEFORE, column));
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] += v.item[i];
    }
#pragma unroll
    for (int i = 0; i < N; ++i) parts[threadIdx.y][own + i] = sum[i];
    __syncthreads();
    if (threadIdx.y > 0 || !inside) return;
    for (int part = 1; part < COMBINE_PARTS; ++part) {
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] += parts[part][own + i];
    }
    store_row(a.dweight + row * a.columns + column, sum);
}
