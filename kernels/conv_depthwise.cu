// conv_depthwise: convolution in which each filter sees one channel, over one to three axes, and its gradients.
//
//   y[n, k, o] = act(bias[k] + sum over t of weight[k, t] x[n, k / multiplier, o stride - pad + t dilation])
//   dx[n, c, i] = sum over the multiplier filters k of c, and over t, of weight[k, t] g[n, k, (i + pad - t dilation) / stride]
//   dweight[k, t] = sum over n, o of g[n, k, o] x[n, k / multiplier, o stride - pad + t dilation],   db[k] = sum over n, o of g[n, k, o]
//
// x (N, C, *S), weight (K, *taps), g and y (N, K, *O), contiguous; K = C multiplier. T is float, __half or __nv_bfloat16; sums are in
// float. Outside of x there are zeros, which are multiplied like elements. Sizes inside a plane are ints (padded ones below 2^29).
//
// Planes have three axes d, h, w here. Neighbouring threads take neighbouring w; a thread takes a strip of ROWS outputs along h, so that
// a row of x that it has loaded serves several of them. The host makes a single axis h, with w of size 1: a strip is then four outputs
// side by side. Along h the strip's outputs lie `apart` from each other, such that their windows lie one dilation apart: dilated
// windows slide like dense ones. Where stride and dilation do not allow it, `sliding` is 0 and each window loads its own rows.
//
// With stride 1 dx is such a sum over g, with the taps reversed (depthwise_gather); else depthwise_spread finds each element its windows.
// Both may add a bias and apply an activation: dx is what a transposed convolution computes.
// dweight: blocks add up slices of the strips of all images, depthwise_sum adds the slices. All sums have one order.

#include "conv_depthwise.cuh"
#include "reduce.cuh"

constexpr int THREADS = 256;
// Taps of dweight that a block takes: along h, and along w.
constexpr int TALL = 7, WIDE = 3;
constexpr int SUM_COLUMNS = 32, SUM_PARTS = 16;

// An element of a plane of `height` rows, `width` apart: zero outside of it.
template <class T>
__device__ __forceinline__ float element(const T* column, bool inside, int row, int height, int width) {
    return inside && unsigned(row) < unsigned(height) ? to_float(column[(long long)row * width]) : 0.0f;
}

// The plane that a thread works on, and which of the plane's items. A block is a tile of one plane, or takes a `stack` of small ones.
struct Spot {
    int plane, item;
    bool inside;
};

__device__ __forceinline__ Spot find_spot(int planes, int items, int tiles, int stack) {
    const int block = int(blockIdx.x), thread = int(threadIdx.x);
    if (stack == 1) {
        const int item = block % tiles * THREADS + thread;
        return {block / tiles, item, item < items};
    }
    const int plane = block * stack + thread / items;
    return {plane, thread % items, thread < stack * items && plane < planes};
}

template <class T>
struct GatherArguments {
    T* y;             // (planes, size_d, size_h, size_w)
    const T* x;       // (planes / divide * times, seen_d, seen_h, seen_w)
    const T* weight;  // (filters, taps_d, taps_h, taps_w)
    const T* bias;    // (outputs), or null
    int planes, divide, times, outputs;  // plane p sees the planes p / divide * times ... + times - 1; image n begins at n outputs
    int items, tiles, stack;             // strips of a plane times size_w; see find_spot
    int strips, apart, sliding;          // of the axis h
    int reversed;                        // whether tap t is the last but t of weight
    int vector;                          // whether a strip is one store: size_w is 1, strips are whole and aligned
    int activation;
    int size_d, size_h, size_w;
    int seen_d, seen_h, seen_w;
    int taps_d, taps_h, taps_w;
    int stride_d, stride_h, stride_w;
    int pad_d, pad_h, pad_w;
    int dilation_d, dilation_h, dilation_w;
};

// Adds to a strip what `count` taps along h, at most K, give it. row: where the first tap of the first output is; tap t is at
// weight[t step].
template <class T, int K, bool ALL>
__device__ __forceinline__ void add_column(float (&sum)[ROWS], const GatherArguments<T>& a, const T* weight, int step,
                                           const T* column, bool inside, int row, int count) {
    float own[K];
#pragma unroll
    for (int t = 0; t < K; ++t) own[t] = ALL || t < count ? to_float(weight[(long long)t * step]) : 0.0f;
#pragma unroll
    for (int r = 0; r < ROWS + K - 1; ++r) {
        if (!ALL && r >= ROWS + count - 1) break;
        const float x = element(column, inside, row + r * a.dilation_h, a.seen_h, a.seen_w);
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            if (r - q >= 0 && r - q < K && (ALL || r - q < count)) sum[q] += own[r - q] * x;
        }
    }
}

// The same where windows do not slide by one tap: one tap at a time.
template <class T>
__device__ __forceinline__ void add_taps(float (&sum)[ROWS], const GatherArguments<T>& a, const T* weight, int step,
                                         const T* column, bool inside, int row, int count) {
    for (int t = 0; t < count; ++t) {
        const float own = to_float(weight[(long long)t * step]);
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            const int here = row + q * a.stride_h + t * a.dilation_h;
            sum[q] += own * element(column, inside, here, a.seen_h, a.seen_w);
        }
    }
}

template <class T, int K>
__global__ void __launch_bounds__(THREADS, 2) depthwise_gather(const __grid_constant__ GatherArguments<T> a) {
    const Spot at = find_spot(a.planes, a.items, a.tiles, a.stack);
    if (!at.inside) return;
    const int line = at.item / a.size_w, w = at.item % a.size_w;
    const int d = a.size_d == 1 ? 0 : line / a.strips;
    const int h = strip_begin(line - d * a.strips, a.apart);
    const int left = w * a.stride_w - a.pad_w, top = h * a.stride_h - a.pad_h, front = d * a.stride_d - a.pad_d;
    const int filter = at.plane % a.outputs * a.times;
    const int taps = a.taps_d * a.taps_h * a.taps_w, sign = a.reversed ? -1 : 1, step = sign * a.taps_w;
    float sum[ROWS] = {};
    for (int j = 0; j < a.times; ++j) {
        const T* plane = a.x + ((long long)(at.plane / a.divide) * a.times + j) * ((long long)a.seen_d * a.seen_h * a.seen_w);
        const T* weight = a.weight + (long long)(filter + j) * taps + (a.reversed ? taps - 1 : 0);
        for (int td = 0; td < a.taps_d; ++td) {
            const int z = front + td * a.dilation_d;
            for (int tw = 0; tw < a.taps_w; ++tw) {
                const int x = left + tw * a.dilation_w;
                const bool inside = unsigned(z) < unsigned(a.seen_d) && unsigned(x) < unsigned(a.seen_w);
                const T* column = plane + (inside ? (long long)z * a.seen_h * a.seen_w + x : 0);
                const T* own = weight + sign * (td * a.taps_h * a.taps_w + tw);
                if (!a.sliding) {
                    add_taps(sum, a, own, step, column, inside, top, a.taps_h);
                    continue;
                }
                int th = 0;
                for (; th + K <= a.taps_h; th += K) {
                    add_column<T, K, true>(sum, a, own + (long long)th * step, step, column, inside, top + th * a.dilation_h, K);
                }
                if (th == a.taps_h) continue;
                add_column<T, K, false>(sum, a, own + (long long)th * step, step, column, inside, top + th * a.dilation_h,
                                        a.taps_h - th);
            }
        }
    }
    const float bias = a.bias == nullptr ? 0.0f : to_float(a.bias[at.plane % a.outputs]);
    T* y = a.y + (((long long)at.plane * a.size_d + d) * a.size_h + h) * a.size_w + w;
    Vector<T, ROWS> v;
#pragma unroll
    for (int q = 0; q < ROWS; ++q) store_float(&v.item[q], activated(a.activation, sum[q] + bias));
    if (a.vector) {
        store<T, ROWS>(y, v);
        return;
    }
#pragma unroll
    for (int q = 0; q < ROWS; ++q) {
        if (h + q * a.apart < a.size_h) y[(long long)q * a.apart * a.size_w] = v.item[q];
    }
}

template <class T>
struct SpreadArguments {
    T* dx;            // (planes, size_d, size_h, size_w)
    const T* g;       // (planes * times, seen_d, seen_h, seen_w)
    const T* weight;  // (outputs * times, taps_d, taps_h, taps_w)
    const T* bias;    // (outputs), or null
    int planes, times, outputs;  // times: filters that see a channel; outputs: channels
    int items, tiles, stack;     // elements of a plane; see find_spot
    int activation;
    int size_d, size_h, size_w;
    int seen_d, seen_h, seen_w;
    int taps_d, taps_h, taps_w;
    int stride_d, stride_h, stride_w;
    int pad_d, pad_h, pad_w;
    int dilation_d, dilation_h, dilation_w;
    int hop_d, hop_h, hop_w;  // stride / gcd(stride, dilation): from one tap that meets an element to the next
};

template <class T>
__global__ void __launch_bounds__(THREADS, 4) depthwise_spread(const __grid_constant__ SpreadArguments<T> a) {
    const Spot at = find_spot(a.planes, a.items, a.tiles, a.stack);
    if (!at.inside) return;
    const int line = at.item / a.size_w, w = at.item % a.size_w;
    const int d = a.size_d == 1 ? 0 : line / a.size_h;
    const Meeting along_d = meet(d + a.pad_d, a.taps_d, a.stride_d, a.dilation_d, a.hop_d);
    const Meeting along_h = meet(line - d * a.size_h + a.pad_h, a.taps_h, a.stride_h, a.dilation_h, a.hop_h);
    const Meeting along_w = meet(w + a.pad_w, a.taps_w, a.stride_w, a.dilation_w, a.hop_w);
    const int taps = a.taps_d * a.taps_h * a.taps_w;
    float sum = 0.0f;
    for (int j = 0; j < a.times; ++j) {
        const T* g = a.g + ((long long)at.plane * a.times + j) * ((long long)a.seen_d * a.seen_h * a.seen_w);
        const T* weight = a.weight + (long long)(at.plane % a.outputs * a.times + j) * taps;
        for (int td = along_d.first, z = along_d.place; td < a.taps_d; td += a.hop_d, z -= along_d.back) {
            if (unsigned(z) >= unsigned(a.seen_d)) continue;
            for (int th = along_h.first, y = along_h.place; th < a.taps_h; th += a.hop_h, y -= along_h.back) {
                if (unsigned(y) >= unsigned(a.seen_h)) continue;
                const T* row = g + ((long long)z * a.seen_h + y) * a.seen_w;
                const T* own = weight + (td * a.taps_h + th) * a.taps_w;
                for (int tw = along_w.first, x = along_w.place; tw < a.taps_w; tw += a.hop_w, x -= along_w.back) {
                    if (unsigned(x) < unsigned(a.seen_w)) sum += to_float(own[tw]) * to_float(row[x]);
                }
            }
        }
    }
    const float bias = a.bias == nullptr ? 0.0f : to_float(a.bias[at.plane % a.outputs]);
    store_float(a.dx + (long long)at.plane * a.items + at.item, activated(a.activation, sum + bias));
}

template <class T>
struct WeightArguments {
    T* dweight;        // (filters, taps_d, taps_h, taps_w), or null: not wanted, or left to depthwise_sum
    T* db;             // (filters), or null: the same
    float* sums;       // (slices, columns): dweight, then db where it is wanted; null: there is one slice
    const T* g;        // (N, filters, size_d, size_h, size_w)
    const T* x;        // (N, filters / multiplier, seen_d, seen_h, seen_w)
    long long strips_in_all, length;  // strips of one filter, in all images and in a slice
    int filters, multiplier, columns;
    int chunks, chunks_h, chunks_w;  // groups of taps, TALL along h and WIDE along w
    int items, strips, apart, sliding;
    int size_d, size_h, size_w;
    int seen_d, seen_h, seen_w;
    int taps_d, taps_h, taps_w;  // 0 where dweight is not wanted
    int stride_d, stride_h, stride_w;
    int pad_d, pad_h, pad_w;
    int dilation_d, dilation_h, dilation_w;
};

// Adds what a strip gives to `count` taps along h. Rows of g behind the strip's end do not take part: 0 times infinity is nan.
template <class T>
__device__ __forceinline__ void add_to_taps(float (&sum)[TALL], const float (&g)[ROWS], const WeightArguments<T>& a,
                                         const T* column, bool inside, int row, int rows, int count) {
    if (a.sliding) {
#pragma unroll
        for (int r = 0; r < ROWS + TALL - 1; ++r) {
            if (r >= ROWS + count - 1) break;
            const float x = element(column, inside, row + r * a.dilation_h, a.seen_h, a.seen_w);
#pragma unroll
            for (int q = 0; q < ROWS; ++q) {
                if (r - q >= 0 && r - q < TALL && r - q < count && q < rows) sum[r - q] += g[q] * x;
            }
        }
        return;
    }
#pragma unroll
    for (int q = 0; q < ROWS; ++q) {
#pragma unroll
        for (int t = 0; t < TALL; ++t) {
            const int here = row + q * a.stride_h + t * a.dilation_h;
            if (t < count && q < rows) sum[t] += g[q] * element(column, inside, here, a.seen_h, a.seen_w);
        }
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS, 2) depthwise_weight(const __grid_constant__ WeightArguments<T> a) {
    constexpr int SUMS = WIDE * TALL + 1, WARPS = THREADS / 32;
    __shared__ float parts[WARPS][SUMS];
    const int chunk = int(blockIdx.x) % a.chunks, filter = int(blockIdx.x) / a.chunks % a.filters;
    const int slice = int(blockIdx.x) / a.chunks / a.filters;
    const int tw = chunk % a.chunks_w * WIDE, th = chunk / a.chunks_w % a.chunks_h * TALL, td = chunk / a.chunks_w / a.chunks_h;
    const int count = min(a.taps_h - th, TALL);
    const long long end = min((slice + 1) * a.length, a.strips_in_all);
    long long item = slice * a.length + int(threadIdx.x);
    const Walk by = Walk::to(a, THREADS);
    Walk at = Walk::to(a, item);
    float sum[WIDE][TALL] = {}, bias = 0.0f;
    for (; item < end; item += THREADS, at.advance(a, by)) {
        const int h = strip_begin(at.strip, a.apart);
        const int rows = min((a.size_h - h + a.apart - 1) / a.apart, ROWS);
        const T* own = a.g + (((at.image * a.filters + filter) * a.size_d + at.d) * a.size_h + h) * a.size_w + at.w;
        float g[ROWS];
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            g[q] = q < rows ? to_float(own[(long long)q * a.apart * a.size_w]) : 0.0f;
            bias += g[q];
        }
        const int z = at.d * a.stride_d - a.pad_d + td * a.dilation_d;
        const int row = h * a.stride_h - a.pad_h + th * a.dilation_h;
        const long long plane = at.image * (a.filters / a.multiplier) + filter / a.multiplier;
#pragma unroll
        for (int i = 0; i < WIDE; ++i) {
            if (tw + i >= a.taps_w) break;
            const int x = at.w * a.stride_w - a.pad_w + (tw + i) * a.dilation_w;
            const bool inside = unsigned(z) < unsigned(a.seen_d) && unsigned(x) < unsigned(a.seen_w);
            const T* column = a.x + (inside ? (plane * a.seen_d + z) * ((long long)a.seen_h * a.seen_w) + x : 0);
            add_to_taps(sum[i], g, a, column, inside, row, rows, count);
        }
    }

    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < SUMS; ++i) {
        const float total = warp_reduce<Add>(i < WIDE * TALL ? sum[i / TALL % WIDE][i % TALL] : bias);
        if (lane == 0) parts[warp][i] = total;
    }
    __syncthreads();
    const int which = int(threadIdx.x);
    if (which >= SUMS) return;
    float total = 0.0f;
    for (int i = 0; i < WARPS; ++i) total += parts[i][which];
    const int taps = a.taps_d * a.taps_h * a.taps_w, right = tw + which / TALL, below = which % TALL;
    if (which == SUMS - 1) {
        if (chunk == 0) store_total(a, slice, a.filters * taps + filter, total);
    } else if (right < a.taps_w && below < count) {
        store_total(a, slice, filter * taps + (td * a.taps_h + th + below) * a.taps_w + right, total);
    }
}

template <class T>
struct SumArguments {
    T* dweight;         // (weights), or null where there are none
    T* db;              // (columns - weights), or null where there are none
    const float* sums;  // (slices, columns)
    int slices, columns, weights;
};

template <class T>
__global__ void __launch_bounds__(SUM_COLUMNS * SUM_PARTS) depthwise_sum(const __grid_constant__ SumArguments<T> a) {
    __shared__ float parts[SUM_PARTS][SUM_COLUMNS];
    const int column = int(blockIdx.x) * SUM_COLUMNS + int(threadIdx.x);
    float sum = 0.0f;
    for (int slice = int(threadIdx.y); column < a.columns && slice < a.slices; slice += SUM_PARTS) {
        sum += a.sums[(long long)slice * a.columns + column];
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= a.columns) return;
    float total = 0.0f;
    for (int i = 0; i < SUM_PARTS; ++i) total += parts[i][threadIdx.x];
    store_float(column < a.weights ? a.dweight + column : a.db + (column - a.weights), total);
}
