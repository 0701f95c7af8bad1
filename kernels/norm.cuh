// What the normalisations share: sums over neighbouring threads in a fixed order, moments that merge without cancellation, and
// rows of any length read by a power of two of threads. Blocks have 256 threads.
#pragma once

#include "activations.cuh"
#include "storage.cuh"

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;
constexpr int ITEMS = 16;  // elements of a row that a thread keeps in registers

// An activation behind the normalisation, as `activated` has it; chosen at run time, since memory is what these kernels wait for.
enum Kind { IDENTITY, RELU, TANH, SIGMOID };

// The gradient before the activation, of that behind it, where its value is y.
__device__ __forceinline__ float pulled(int kind, float g, float y) {
    if (kind == RELU) return g * Relu::slope(y);
    if (kind == TANH) return g * Tanh::slope(y);
    if (kind == SIGMOID) return g * Sigmoid::slope(y);
    return g;
}

__device__ __forceinline__ int thread_index() { return int(threadIdx.y) * int(blockDim.x) + int(threadIdx.x); }

// The sums of COUNT numbers over each group of `width` neighbouring threads, a power of two up to THREADS. All threads of the
// block take part, and all get them. room: COUNT * WARPS floats of shared memory, free again when it returns.
template <int COUNT>
__device__ __forceinline__ void group_sum(float (&x)[COUNT], int width, float* room) {
    for (int distance = min(width, 32) / 2; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) x[i] += __shfl_xor_sync(0xffffffffu, x[i], distance);
    }
    if (width <= 32) return;
    const int warp = thread_index() / 32, each = width / 32, first = warp / each * each;
    if (thread_index() % 32 == 0) {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) room[i * WARPS + warp] = x[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        x[i] = 0.0f;
        for (int k = 0; k < each; ++k) x[i] += room[i * WARPS + first + k];
    }
    __syncthreads();
}

// Of K series of numbers, all of one length: the length, the means, and the sums of squares of the distances from them.
template <int K>
struct Moments {
    float count = 0.0f;
    float mean[K] = {};
    float squares[K] = {};

    // Takes in the moments of as many other series (Chan, Golub and LeVeque 1983). Nothing large is subtracted from anything large.
    __device__ __forceinline__ void merge(const Moments& other) {
        if (other.count == 0.0f) return;
        const float before = count;
        count += other.count;
        const float part = other.count / count;
#pragma unroll
        for (int k = 0; k < K; ++k) {
            const float distance = other.mean[k] - mean[k];
            mean[k] += distance * part;
            squares[k] += other.squares[k] + distance * distance * before * part;
        }
    }
};

// A row of `columns` elements and the thread's part in it: `width` threads read packs of 16 bytes, or the same number of single
// elements each `width` apart, which are side by side for the warp, where a row may begin anywhere.
template <class T>
struct Row {
    static constexpr int N = 16 / int(sizeof(T));
    static constexpr int PACKS = ITEMS / N;
    using Pack = Vector<T, N>;

    int columns, width, lane;
    bool vectors;

    // The number of elements that all threads of the row keep in registers at once.
    __device__ __forceinline__ int tile() const { return width * ITEMS; }

    __device__ __forceinline__ int column(int from, int pack, int i) const {
        return from + (vectors ? (pack * width + lane) * N + i : (pack * N + i) * width + lane);
    }

    __device__ __forceinline__ bool inside(int from, int pack, int i) const { return column(from, pack, i) < columns; }

    __device__ __forceinline__ Pack read(const T* row, int from, int pack) const {
        Pack v = {};
        const int first = column(from, pack, 0);
        if (vectors) {
            if (first < columns) v = load<T, N>(row + first);
        } else {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                if (first + i * width < columns) v.item[i] = row[first + i * width];
            }
        }
        return v;
    }

    __device__ __forceinline__ void write(T* row, int from, int pack, const Pack& v) const {
        const int first = column(from, pack, 0);
        if (vectors) {
            if (first < columns) store<T, N>(row + first, v);
        } else {
#pragma unroll
            for (int i = 0; i < N; ++i) {
                if (first + i * width < columns) row[first + i * width] = v.item[i];
            }
        }
    }
};

// What a thread knows of its row in the backward.
struct Standard {
    float pivot, mean, scale;

    __device__ __forceinline__ float operator()(float x) const { return (x - pivot - mean) * scale; }
};

// Which element of weight and bias belongs to a column: of (groups, channels) those of the row's group, each for `inner` columns.
struct Channels {
    long long first;
    int inner;

    __device__ __forceinline__ Channels(long long row, int columns, int groups, int inner)
        : first(row % groups * (columns / inner)), inner(inner) {}

    // The parameters of a pack; with inner > 1 whole packs lie in one channel wherever vectors move.
    template <class T>
    __device__ __forceinline__ Vector<T, Row<T>::N> read(const T* values, const Row<T>& at, int from, int pack) const {
        if (inner == 1) return at.read(values + first, from, pack);
        Vector<T, Row<T>::N> v = {};
        T value = {};
#pragma unroll
        for (int i = 0; i < Row<T>::N; ++i) {
            const int column = at.column(from, pack, i);
            if (column < at.columns && (i == 0 || !at.vectors)) value = values[first + column / inner];
            v.item[i] = value;
        }
        return v;
    }
};
