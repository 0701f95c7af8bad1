// row_norm: rows of a matrix standardised, then scaled and shifted: layer_norm, rms_norm, and forward group_norm as well.
//
//   h = (x - mean) / sqrt(var + eps), y = act(h * weight + bias)             mean, var of a row; rms_norm takes 0 for the mean
//   g = dy * act'(y)                                                         the slope is told from y
//   dx = (w g - mean(w g) - h mean(w g h)) / sqrt(var + eps)                 rms_norm: without the first mean
//   dweight = sum over rows of g h, dbias = sum over rows of g
//
// x, y (rows, columns) row-major and contiguous; T is float, __half or __nv_bfloat16, arithmetic and sums are in float.
// A row is read by blockDim.x threads, blockDim.y rows are in a block. A row of up to 16 elements a thread is read once and stays
// in registers; a longer one is read again, from the caches. All statistics are of x - x[0]: x may lie far from zero.
// In the backward a thread keeps its columns and walks down rows, so that it adds up dweight and dbias in registers; the chunks of
// rows are added in a second launch, in a fixed order: the same input gives the same bits. Where rows are no whole packs, a block
// takes rows so far apart that all of them begin at the same place within 16 bytes.

#include "norm.cuh"

constexpr int SUM_COLUMNS = 32;
constexpr int SUM_PARTS = 16;

template <class T>
struct ForwardArguments {
    T* y;             // (rows, columns)
    float* mean;      // (rows), of x - x[0]; or null: not wanted
    float* scale;     // (rows), 1 / sqrt(var + eps); or null
    const T* x;       // (rows, columns)
    const T* weight;  // (groups, columns / inner), or null
    const T* bias;    // (groups, columns / inner), or null
    long long rows;
    int columns, groups, inner;
    int vectors;  // whether x and y begin alike, so that packs of 16 bytes move
    int centre;   // 0: the mean counts as 0
    int activation;
    float eps;
};

// The moments of x - pivot over the thread's part of a tile.
template <class T>
__device__ __forceinline__ Moments<1> moments(
    const Vector<T, Row<T>::N> (&x)[Row<T>::PACKS], const Row<T>& at, int from, float pivot, bool centre) {
    Moments<1> m;
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        if (!at.inside(from, j / Row<T>::N, j % Row<T>::N)) continue;
        sum += to_float(x[j / Row<T>::N].item[j % Row<T>::N]) - pivot;
        m.count += 1.0f;
    }
    if (centre && m.count > 0.0f) m.mean[0] = sum / m.count;
#pragma unroll
    for (int j = 0; j < ITEMS; ++j) {
        if (!at.inside(from, j / Row<T>::N, j % Row<T>::N)) continue;
        const float d = to_float(x[j / Row<T>::N].item[j % Row<T>::N]) - pivot - m.mean[0];
        m.squares[0] += d * d;
    }
    return m;
}

// Left alone ptxas saves registers and spills, and so it does for float with three blocks.
template <class T>
__global__ void __launch_bounds__(THREADS, sizeof(T) == 4 ? 2 : 3) row_norm_forward(const __grid_constant__ ForwardArguments<T> a) {
    constexpr int N = Row<T>::N, PACKS = Row<T>::PACKS;
    __shared__ float room[WARPS];
    const long long row = (long long)blockIdx.x * blockDim.y + threadIdx.y;
    const bool present = row < a.rows;
    const bool vectors = a.vectors != 0 && present;
    const T* x = a.x + row * a.columns;
    const Row<T> at = {present ? a.columns : 0, int(blockDim.x), int(threadIdx.x), vectors, Row<T>::shift_of(x, vectors)};
    const float pivot = present && a.centre ? to_float(x[0]) : 0.0f;
    const int tile = at.tile();
    Vector<T, N> v[PACKS];
    Moments<1> own;
    for (int from = 0; from < at.end(); from += tile) {
#pragma unroll
        for (int p = 0; p < PACKS; ++p) v[p] = at.read(x, from, p);
        own.merge(moments<T>(v, at, from, pivot, a.centre != 0));
    }
    float sum[1] = {own.count * own.mean[0]};
    group_sum(sum, at.width, room);
    const float mean = sum[0] / a.columns, distance = own.mean[0] - mean;
    sum[0] = own.squares[0] + own.count * distance * distance;
    group_sum(sum, at.width, room);
    const float scale = 1.0f / sqrtf(sum[0] / a.columns + a.eps);
    if (!present) return;
    if (at.lane == 0 && a.scale != nullptr) a.scale[row] = scale;
    if (at.lane == 0 && a.mean != nullptr) a.mean[row] = mean;

    const Channels channels(row, a.columns, a.groups, a.inner);
    for (int from = 0; from < at.end(); from += tile) {
#pragma unroll
        for (int p = 0; p < PACKS; ++p) {
            if (at.many()) v[p] = at.read(x, from, p);
            Vector<T, N> w = {}, b = {};
            if (a.weight != nullptr) w = channels.read(a.weight, at, from, p);
            if (a.bias != nullptr) b = channels.read(a.bias, at, from, p);
#pragma unroll
            for (int i = 0; i < N; ++i) {
                float h = (to_float(v[p].item[i]) - pivot - mean) * scale;
                if (a.weight != nullptr) h *= to_float(w.item[i]);
                if (a.bias != nullptr) h += to_float(b.item[i]);
                store_float(&v[p].item[i], activated(a.activation, h));
            }
            at.write(a.y + row * a.columns, from, p, v[p]);
        }
    }
}

template <class T>
struct BackwardArguments {
    T* dx;              // (rows, columns), or null: not wanted
    T* dweight;         // (columns), or null: not wanted, or left to row_norm_sum
    T* dbias;           // (columns), or null
    float* dweights;    // (chunks, columns): the parts of dweight; or null: not wanted, or all in one chunk
    float* dbiases;     // (chunks, columns), or null
    const T* dy;        // (rows, columns)
    const T* y;         // (rows, columns), or null: no activation
    const T* x;         // (rows, columns)
    const T* weight;    // (columns), or null
    const float* mean;  // (rows), or null: the mean counts as 0
    const float* scale;  // (rows)
    long long rows;
    int columns;
    int vectors;  // whether dy, y, x and dx begin alike, so that packs of 16 bytes move
    int apart;    // whether a block has every gridDim.x-th row, all of which begin alike then; else rows side by side
    int activation;
};

// Adds up the threads of a block that have the same columns, and writes the sums where they are wanted.
template <class T>
__device__ __forceinline__ void leave(
    const float (&own)[ITEMS], const Row<T>& at, T* gradient, float* sums, float* room) {
    constexpr int N = Row<T>::N;
    if (gradient == nullptr && sums == nullptr) return;
#pragma unroll
    for (int p = 0; p < Row<T>::PACKS; ++p) {
#pragma unroll
        for (int i = 0; i < N; ++i) room[i * THREADS + thread_index()] = own[p * N + i];
        __syncthreads();
        for (int i = 0; i < N && threadIdx.y == 0; ++i) {
            const int column = at.column(0, p, i);
            if (!at.has(column)) continue;
            float total = 0.0f;
            for (int y = 0; y < int(blockDim.y); ++y) total += room[i * THREADS + y * at.width + at.lane];
            if (sums != nullptr) sums[(long long)blockIdx.x * at.columns + column] = total;
            if (gradient != nullptr) store_float(gradient + column, total);
        }
        __syncthreads();
    }
}

// The gradient before the activation of a pack, and what it is in x's gradient before the means are taken off.
template <class T>
struct Pull {
    float g[Row<T>::N], weighted[Row<T>::N];

    __device__ __forceinline__ Pull(
        const BackwardArguments<T>& a, const Row<T>& at, long long offset, int from, int pack,
        const Vector<T, Row<T>::N>& dy) {
        Vector<T, Row<T>::N> y = {}, w = {};
        if (a.y != nullptr) y = at.read(a.y + offset, from, pack);
        if (a.weight != nullptr) w = at.read_beside(a.weight, from, pack);
#pragma unroll
        for (int i = 0; i < Row<T>::N; ++i) {
            g[i] = pulled(a.activation, to_float(dy.item[i]), to_float(y.item[i]));
            weighted[i] = a.weight != nullptr ? g[i] * to_float(w.item[i]) : g[i];
        }
    }
};

// A row's part of dweight and dbias where there are too many columns for registers: added in memory, at places that belong to
// this thread alone. more: whether it is not the chunk's first row.
template <class T>
__device__ __forceinline__ void add_in_memory(
    const BackwardArguments<T>& a, const Row<T>& at, long long offset, const Standard& standard, bool more) {
    const long long chunk = (long long)blockIdx.x * a.columns;
    for (int column = at.lane; column < at.columns; column += at.width) {
        const float y = a.y != nullptr ? to_float(a.y[offset + column]) : 0.0f;
        const float g = pulled(a.activation, to_float(a.dy[offset + column]), y);
        const float gh = g * standard(to_float(a.x[offset + column]));
        float* dweight = a.dweights + chunk + column;
        float* dbias = a.dbiases + chunk + column;
        if (a.dweights != nullptr) *dweight = more ? *dweight + gh : gh;
        if (a.dbiases != nullptr) *dbias = more ? *dbias + g : g;
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS, 2) row_norm_backward(const __grid_constant__ BackwardArguments<T> a) {
    constexpr int N = Row<T>::N, PACKS = Row<T>::PACKS;
    __shared__ float room[THREADS * N];
    const long long start = (long long)blockIdx.x * (a.apart ? 1 : blockDim.y), gap = a.apart ? gridDim.x : 1;
    const long long step = (long long)gridDim.x * blockDim.y;
    const int shift = Row<T>::shift_of(a.x + start * a.columns, a.vectors != 0);  // of all rows of the block
    Row<T> at = {a.columns, int(blockDim.x), int(threadIdx.x), a.vectors != 0, shift};
    const int tile = at.tile();
    const bool many = at.many(), again = many || N == 8;  // short floats are kept converted, and spill
    float dweight[ITEMS] = {}, dbias[ITEMS] = {};
    Vector<T, N> dy[PACKS], x[PACKS];
    for (long long first = start; first < a.rows; first += step) {
        const long long row = first + threadIdx.y * gap, offset = row * a.columns;
        const bool present = row < a.rows;
        at.columns = present ? a.columns : 0;
        at.shift = present ? shift : 0;
        Standard standard = {};
        if (present) standard.scale = a.scale[row];
        if (present && a.mean != nullptr) standard.pivot = to_float(a.x[offset]), standard.mean = a.mean[row];
        float sum[2] = {};  // of w g, and of w g h
        for (int from = 0; from < at.end(); from += tile) {
#pragma unroll
            for (int p = 0; p < PACKS; ++p) {
                dy[p] = at.read(a.dy + offset, from, p);
                x[p] = at.read(a.x + offset, from, p);
                if (a.dx == nullptr) continue;
                const Pull<T> pull(a, at, offset, from, p, dy[p]);
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    if (!at.inside(from, p, i)) continue;
                    sum[0] += pull.weighted[i];
                    sum[1] += pull.weighted[i] * standard(to_float(x[p].item[i]));
                }
            }
        }
        if (a.dx != nullptr) group_sum(sum, at.width, room);
        const float level = a.mean != nullptr ? sum[0] / a.columns : 0.0f, along = sum[1] / a.columns;
        for (int from = 0; from < at.end(); from += tile) {
#pragma unroll
            for (int p = 0; p < PACKS; ++p) {
                if (again) dy[p] = at.read(a.dy + offset, from, p), x[p] = at.read(a.x + offset, from, p);
                const Pull<T> pull(a, at, offset, from, p, dy[p]);
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    if (!at.inside(from, p, i)) continue;
                    const float h = standard(to_float(x[p].item[i]));
                    dweight[p * N + i] += pull.g[i] * h;
                    dbias[p * N + i] += pull.g[i];
                    store_float(&x[p].item[i], (pull.weighted[i] - level - h * along) * standard.scale);
                }
                if (a.dx != nullptr) at.write(a.dx + offset, from, p, x[p]);
            }
        }
        if (many) add_in_memory<T>(a, at, offset, standard, first > start);
    }
    if (many) return;
    at.columns = a.columns;
    at.shift = shift;
    leave<T>(dweight, at, a.dweight, a.dweights, room);
    leave<T>(dbias, at, a.dbias, a.dbiases, room);
}

template <class T>
struct SumArguments {
    T* dweight;             // (columns), or null: not wanted
    T* dbias;               // (columns), or null
    const float* dweights;  // (chunks, columns), or null
    const float* dbiases;   // (chunks, columns), or null
    int chunks;
    int columns;
};

template <class T>
__global__ void __launch_bounds__(SUM_COLUMNS * SUM_PARTS) row_norm_sum(const __grid_constant__ SumArguments<T> a) {
    __shared__ float parts[SUM_PARTS][SUM_COLUMNS];
    T* gradient = blockIdx.y == 0 ? a.dweight : a.dbias;
    const float* sums = blockIdx.y == 0 ? a.dweights : a.dbiases;
    if (gradient == nullptr) return;
    const int column = int(blockIdx.x) * SUM_COLUMNS + int(threadIdx.x);
    float sum = 0.0f;
    if (column < a.columns) {
        for (int chunk = int(threadIdx.y); chunk < a.chunks; chunk += SUM_PARTS) {
            sum += sums[(long long)chunk * a.columns + column];
        }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= a.columns) return;
    float total = 0.0f;
    for (int i = 0; i < SUM_PARTS; ++i) total += parts[i][threadIdx.x];
    store_float(gradient + column, total);
}
