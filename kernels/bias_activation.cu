// bias_activation: the epilogue of a matrix product, forward and backward.
//
//   y = act(x + bias)                              x, y (rows, columns), bias (columns); y may be x
//   dx = g * act'(y), db = sum over rows of dx     the slope is told from y: all three activations allow it
//
// Row-major and contiguous, rows of any length. T is float, __half or __nv_bfloat16; arithmetic and sums are in float.
// N elements move at once: 16 bytes, or one where arrays of one call begin at different places within 16 bytes. Rows are joined into
// lines that are whole vectors (eight rows at most), and a line begins `shift` elements before them, at a multiple of 16 bytes: the
// matrix is one span of vectors, of which only the first and the last may be partly outside and move element by element.
// A thread owns N places of a line and walks down lines, so that it reads its bias once and adds up its part of db in registers.
// db is added in a fixed order, first over the lines of a chunk, then over the chunks and the rows of a line (bias_sum): the same
// input gives the same bits.

#include "activations.cuh"
#include "spans.cuh"

constexpr int THREADS = 256;
constexpr int SUM_COLUMNS = 32;
constexpr int SUM_PARTS = 16;

// Lines that a thread has in flight; four of 16 bytes spilled registers on some targets.
template <int N>
constexpr int LINES = N == 1 ? 4 : 2;

// Where a thread works, on elements of a matrix (all): the first N of them, at `place` of a line from the first column of its first
// row on, every step-th from there, and as many in each of its lines.
template <class T, int N>
struct Walk {
    long long all, first, step;
    int length, place, chunk;
    bool inside_line;

    __device__ __forceinline__ Walk(const T* x, long long rows, int columns, int joined)
        : all(rows * columns), length(joined * columns) {
        const int width = int(blockDim.x) * N;
        const int tiles = (length - 1) / width + 1;
        const int shift = N == 1 ? 0 : lead(x);
        chunk = int(blockIdx.x) / tiles;
        place = (int(blockIdx.x) % tiles) * width + int(threadIdx.x) * N;
        inside_line = place < length;
        first = inside_line ? ((long long)chunk * blockDim.y + threadIdx.y) * length + place - shift : all;
        place = place < shift ? place - shift + length : place - shift;
        step = (long long)(int(gridDim.x) / tiles) * blockDim.y * length;
    }

    // The place of the i-th element of N.
    __device__ __forceinline__ int place_of(int i) const { return place + i < length ? place + i : place + i - length; }

    __device__ __forceinline__ bool whole(long long at) const { return N == 1 || (at >= 0 && at + N <= all); }
    __device__ __forceinline__ bool inside(long long at, int i) const { return N == 1 || (at + i >= 0 && at + i < all); }

    // Zeros for what is outside.
    __device__ __forceinline__ Vector<T, N> read(const T* from, long long at) const {
        if (whole(at)) return load<T, N>(from + at);
        Vector<T, N> v = {};
        for (int i = 0; i < N; ++i) {
            if (inside(at, i)) v.item[i] = from[at + i];
        }
        return v;
    }

    __device__ __forceinline__ void write(T* to, long long at, const Vector<T, N>& v) const {
        if (whole(at)) return store<T, N>(to + at, v);
        for (int i = 0; i < N; ++i) {
            if (inside(at, i)) to[at + i] = v.item[i];
        }
    }
};

template <class T>
struct ForwardArguments {
    T* y;           // (rows, columns)
    const T* x;     // (rows, columns)
    const T* bias;  // (columns), or null
    long long rows;
    int columns;
    int joined;  // rows of a line
};

template <class T, int N, class Activation>
__global__ void __launch_bounds__(THREADS) bias_activation_forward(const __grid_constant__ ForwardArguments<T> a) {
    const Walk<T, N> walk(a.x, a.rows, a.columns, a.joined);
    if (walk.first >= walk.all) return;
    float bias[N] = {};
    if (a.bias != nullptr) {
        for (int i = 0; i < N; ++i) bias[i] = to_float(a.bias[walk.place_of(i) % a.columns]);
    }
    for (long long at = walk.first; at < walk.all; at += LINES<N> * walk.step) {
        Vector<T, N> v[LINES<N>];
#pragma unroll
        for (int r = 0; r < LINES<N>; ++r) {
            if (at + r * walk.step < walk.all) v[r] = walk.read(a.x, at + r * walk.step);
        }
#pragma unroll
        for (int r = 0; r < LINES<N>; ++r) {
            if (at + r * walk.step >= walk.all) break;
#pragma unroll
            for (int i = 0; i < N; ++i) store_float(&v[r].item[i], Activation::apply(to_float(v[r].item[i]) + bias[i]));
            walk.write(a.y, at + r * walk.step, v[r]);
        }
    }
}

template <class T>
struct BackwardArguments {
    T* dx;        // (rows, columns), or null: not wanted
    T* db;        // (columns), or null: not wanted, or left to bias_sum
    float* sums;  // (chunks, joined, columns), or null: no bias_sum follows, rows are not joined
    const T* g;   // (rows, columns)
    const T* y;   // (rows, columns); null for Identity
    long long rows;
    int columns;
    int joined;  // rows of a line
};

template <class T, int N, class Activation>
// Three blocks: left alone, ptxas saves registers for a fourth one, and spills on some targets.
__global__ void __launch_bounds__(THREADS, N == 1 ? 0 : 3) bias_activation_backward(const __grid_constant__ BackwardArguments<T> a) {
    __shared__ float parts[THREADS * N];  // (blockDim.y, blockDim.x, N)
    const Walk<T, N> walk(a.g, a.rows, a.columns, a.joined);
    float sum[N] = {};
    for (long long at = walk.first; at < walk.all; at += LINES<N> * walk.step) {
        Vector<T, N> g[LINES<N>], y[LINES<N>];
#pragma unroll
        for (int r = 0; r < LINES<N>; ++r) {
            if (at + r * walk.step >= walk.all) break;
            g[r] = walk.read(a.g, at + r * walk.step);
            if (!Activation::flat) y[r] = walk.read(a.y, at + r * walk.step);
        }
#pragma unroll
        for (int r = 0; r < LINES<N>; ++r) {
            if (at + r * walk.step >= walk.all) break;
#pragma unroll
            for (int i = 0; i < N; ++i) {
                float d = to_float(g[r].item[i]);
                if (!Activation::flat) d *= Activation::slope(to_float(y[r].item[i]));
                sum[i] += d;
                store_float(&g[r].item[i], d);
            }
            if (a.dx != nullptr) walk.write(a.dx, at + r * walk.step, g[r]);
        }
    }
    if (a.db == nullptr && a.sums == nullptr) return;

    const int width = int(blockDim.x) * N;
#pragma unroll
    for (int i = 0; i < N; ++i) parts[threadIdx.y * width + threadIdx.x * N + i] = sum[i];
    __syncthreads();
    if (threadIdx.y > 0 || !walk.inside_line) return;
    for (int i = 0; i < N; ++i) {
        float total = 0.0f;
        for (int r = 0; r < int(blockDim.y); ++r) total += parts[r * width + threadIdx.x * N + i];
        if (a.sums != nullptr) a.sums[(long long)walk.chunk * walk.length + walk.place_of(i)] = total;
        if (a.db != nullptr) store_float(a.db + walk.place_of(i), total);
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
