// What the normalisations share: sums over neighbouring threads in a fixed order, moments that merge without cancellation, and
// rows of any length read by a power of two of threads. Blocks have 256 threads.
#pragma once

#include "activations.cuh"
#include "spans.cuh"

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
// elements each `width` apart, which are side by side for the warp. Packs lie at multiples of 16 bytes, the first one with the row's
// first element, `shift` elements into it: of it and of the last one only what is in the row moves, element by element.
template <class T>
struct Row {
    static constexpr int N = 16 / int(sizeof(T));
    static constexpr int PACKS = ITEMS / N;
    using Pack = Vector<T, N>;

    int columns, width, lane;
    bool vectors;
    int shift;

    // Where a row is in its first pack.
    static __device__ __forceinline__ int shift_of(const T* row, bool vectors) { return vectors ? lead(row) : 0; }

    // The number of elements that all threads of the row keep in registers at once, and whether those are not all.
    __device__ __forceinline__ int tile() const { return width * ITEMS; }
    __device__ __forceinline__ bool many() const { return end() > tile(); }

    // Where the tiles end that begin with the first pack.
    __device__ __forceinline__ int end() const { return columns + shift; }

    __device__ __forceinline__ int column(int from, int pack, int i) const {
        return from + (vectors ? (pack * width + lane) * N + i - shift : (pack * N + i) * width + lane);
    }

    __device__ __forceinline__ bool has(int column) const { return unsigned(column) < unsigned(columns); }
    __device__ __forceinline__ bool inside(int from, int pack, int i) const { return has(column(from, pack, i)); }

    // Whether all of a pack that begins at this column is in the row.
    __device__ __forceinline__ bool has_all(int first) const { return vectors && first >= 0 && first + N <= columns; }

    __device__ __forceinline__ Pack read(const T* row, int from, int pack) const {
        return read(row, from, pack, has_all(column(from, pack, 0)));
    }

    // Of an array that may begin elsewhere within 16 bytes than the row does.
    __device__ __forceinline__ Pack read_beside(const T* values, int from, int pack) const {
        const int first = column(from, pack, 0);
        return read(values, from, pack, has_all(first) && lead(values + first) == 0);
    }

    __device__ __forceinline__ void write(T* row, int from, int pack, const Pack& v) const {
        const int first = column(from, pack, 0);
        if (has_all(first)) return store<T, N>(row + first, v);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (inside(from, pack, i)) row[column(from, pack, i)] = v.item[i];
        }
    }

private:
    __device__ __forceinline__ Pack read(const T* row, int from, int pack, bool whole) const {
        if (whole) return load<T, N>(row + column(from, pack, 0));
        Pack v = {};
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (inside(from, pack, i)) v.item[i] = row[column(from, pack, i)];
        }
        return v;
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

    // The parameters of a pack.
    template <class T>
    __device__ __forceinline__ Vector<T, Row<T>::N> read(const T* values, const Row<T>& at, int from, int pack) const {
        if (inner == 1) return at.read_beside(values + first, from, pack);
        Vector<T, Row<T>::N> v = {};
        const int step = at.vectors ? 1 : at.width, column = at.column(from, pack, 0);
        int channel = max(column, 0) / inner, place = column - channel * inner;
#pragma unroll
        for (int i = 0; i < Row<T>::N; ++i, place += step) {
            while (place >= inner) place -= inner, ++channel;
            if (at.has(column + i * step)) v.item[i] = values[first + channel];
        }
        return v;
    }
};
