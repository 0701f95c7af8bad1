// conv_depthwise_last: convolution in which each filter sees one channel, with the channels last, and its gradients.
//
// As conv_depthwise.cu has it, but of x (N, *S, C), g and y (N, *O, K), weight (K, *taps): contiguous, K = C multiplier.
// T is float, __half or __nv_bfloat16; sums are in float.
//
// A thread has N channels that lie side by side, 16 bytes where the multiplier is 1 and rows are aligned, and for them a strip of
// ROWS outputs along h (a single axis is h): a vector of x that it has loaded serves all outputs of the strip that see it.
// Neighbouring threads (threadIdx.x) have neighbouring channels, then (threadIdx.y) neighbouring w. A block brings the weights of
// its channels into shared memory first, tap by tap: there they are vectors too.

#include "conv_depthwise.cuh"

constexpr int THREADS = 128;
// Of a multiprocessor at least; without this the compiler took fewer registers on some targets, and spilled.
constexpr int BLOCKS = 3;
// Taps of dweight that a block takes: along h, and along w.
constexpr int TALL = 4, WIDE = 3;

template <class T, int N>
__device__ __forceinline__ void load_floats(float (&to)[N], const T* from) {
    const Vector<T, N> v = load<T, N>(from);
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = to_float(v.item[i]);
}

template <int N>
__device__ __forceinline__ void add_product(float (&sum)[N], const float (&a)[N], const float (&b)[N]) {
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] += a[i] * b[i];
}

template <class T>
struct LastArguments {
    T* y;             // (images, size_d, size_h, size_w, outputs)
    const T* x;       // (images, seen_d, seen_h, seen_w, outputs / divide * times)
    const T* weight;  // (outputs * times, taps_d, taps_h, taps_w)
    const T* bias;    // (outputs), or null
    int images, outputs, divide, times;  // output k sees the channels k / divide * times ... + times - 1
    int items, tiles, repeat;            // strips, or elements, of an image; blocks side by side; items of a thread
    int strips, apart, sliding;          // of the axis h
    int reversed;                        // whether tap t is the last but t of weight
    int activation;
    int size_d, size_h, size_w;
    int seen_d, seen_h, seen_w;
    int taps_d, taps_h, taps_w;
    int stride_d, stride_h, stride_w;
    int pad_d, pad_h, pad_w;
    int dilation_d, dilation_h, dilation_w;
    int hop_d, hop_h, hop_w;  // as in conv_depthwise.cu; of the spread
};

// The weights of a block's outputs, tap by tap: that of tap t and output o is at [t * width + o], of times for each.
template <class T>
__device__ __forceinline__ void share_weights(T* shared, const LastArguments<T>& a, int first, int width) {
    const int taps = a.taps_d * a.taps_h * a.taps_w, count = min(width, a.outputs * a.times - first) * taps;
    const int thread = int(threadIdx.y) * int(blockDim.x) + int(threadIdx.x);
    for (int e = thread; e < count; e += THREADS) {
        const int o = e / taps, t = e - o * taps;
        shared[(a.reversed ? taps - 1 - t : t) * width + o] = a.weight[(long long)first * taps + e];
    }
    __syncthreads();
}

// A thread's channels of the input; elements beside its planes are zero.
template <class T, int N>
struct Source {
    const T* x;  // of an image, at the thread's channels
    int channels;

    __device__ __forceinline__ void element(float (&to)[N], bool inside, long long place) const {
        if (inside) return load_floats<T, N>(to, x + place * channels);
#pragma unroll
        for (int i = 0; i < N; ++i) to[i] = 0.0f;
    }
};

// Adds to a strip what `count` taps along h, at most K, give it. column: the place of row 0 of x; row: that of the first tap.
template <class T, int K, int N>
__device__ __forceinline__ void add_column(float (&sum)[ROWS][N], const LastArguments<T>& a, const T* own, int step,
                                           const Source<T, N>& source, bool inside, long long column, int row, int count) {
    float weight[K][N];
#pragma unroll
    for (int t = 0; t < K; ++t) {
        if (t < count) load_floats<T, N>(weight[t], own + t * step);
    }
#pragma unroll
    for (int r = 0; r < ROWS + K - 1; ++r) {
        if (r >= ROWS + count - 1) break;
        const int here = row + r * a.dilation_h;
        float x[N];
        source.element(x, inside && unsigned(here) < unsigned(a.seen_h), column + (long long)here * a.seen_w);
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            if (r - q >= 0 && r - q < K && r - q < count) add_product(sum[q], weight[r - q], x);
        }
    }
}

// The same where windows do not slide by one tap: one tap at a time.
template <class T, int N>
__device__ __forceinline__ void add_taps(float (&sum)[ROWS][N], const LastArguments<T>& a, const T* own, int step,
                                         const Source<T, N>& source, bool inside, long long column, int row, int count) {
    for (int t = 0; t < count; ++t) {
        float weight[N], x[N];
        load_floats<T, N>(weight, own + t * step);
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            const int here = row + q * a.stride_h + t * a.dilation_h;
            source.element(x, inside && unsigned(here) < unsigned(a.seen_h), column + (long long)here * a.seen_w);
            add_product(sum[q], weight, x);
        }
    }
}

// The way out: the bias, the activation.
template <class T, int N>
__device__ __forceinline__ void leave(const LastArguments<T>& a, T* to, const float (&sum)[N], const float (&bias)[N]) {
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) store_float(&v.item[i], activated(a.activation, sum[i] + bias[i]));
    store<T, N>(to, v);
}

template <class T, int K, int N>
__global__ void __launch_bounds__(THREADS, BLOCKS) depthwise_last_gather(const __grid_constant__ LastArguments<T> a) {
    extern __shared__ __align__(16) unsigned char room[];
    T* const shared = reinterpret_cast<T*>(room);
    const int lanes = int(blockDim.x) * N, tile = int(blockIdx.x) % a.tiles, width = lanes * a.times;
    const int output = tile * lanes + int(threadIdx.x) * N;
    share_weights(shared, a, tile * width, width);
    if (output >= a.outputs) return;
    const int seen = a.outputs / a.divide * a.times, channel = output / a.divide * a.times;
    float bias[N] = {};
    if (a.bias != nullptr) load_floats<T, N>(bias, a.bias + output);
    for (int r = 0; r < a.repeat; ++r) {
        const int item = (int(blockIdx.x) / a.tiles * a.repeat + r) * int(blockDim.y) + int(threadIdx.y);
        if (item >= a.images * a.items) return;
        const Walk at = Walk::to(a, item);
        const int h = strip_begin(at.strip, a.apart);
        const int left = at.w * a.stride_w - a.pad_w, top = h * a.stride_h - a.pad_h, front = at.d * a.stride_d - a.pad_d;
        float sum[ROWS][N] = {};
        for (int j = 0; j < a.times; ++j) {
            const Source<T, N> source{a.x + at.image * ((long long)a.seen_d * a.seen_h * a.seen_w * seen) + channel + j, seen};
            const T* weight = shared + (int(threadIdx.x) * N * a.times + j);
            for (int td = 0; td < a.taps_d; ++td) {
                const int z = front + td * a.dilation_d;
                for (int tw = 0; tw < a.taps_w; ++tw) {
                    const int x = left + tw * a.dilation_w;
                    const bool inside = unsigned(z) < unsigned(a.seen_d) && unsigned(x) < unsigned(a.seen_w);
                    const long long column = (long long)z * a.seen_h * a.seen_w + x;
                    const T* own = weight + (td * a.taps_h * a.taps_w + tw) * width;
                    const int step = a.taps_w * width;
                    if (!a.sliding) {
                        add_taps<T, N>(sum, a, own, step, source, inside, column, top, a.taps_h);
                        continue;
                    }
                    for (int th = 0; th < a.taps_h; th += K) {
                        add_column<T, K, N>(sum, a, own + th * step, step, source, inside, column, top + th * a.dilation_h,
                                            min(a.taps_h - th, K));
                    }
                }
            }
        }
        T* y = a.y + (((at.image * a.size_d + at.d) * a.size_h + h) * a.size_w + at.w) * a.outputs + output;
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            if (h + q * a.apart < a.size_h) leave<T, N>(a, y + (long long)q * a.apart * a.size_w * a.outputs, sum[q], bias);
        }
    }
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS, BLOCKS) depthwise_last_spread(const __grid_constant__ LastArguments<T> a) {
    extern __shared__ __align__(16) unsigned char room[];
    T* const shared = reinterpret_cast<T*>(room);
    const int lanes = int(blockDim.x) * N, tile = int(blockIdx.x) % a.tiles, width = lanes * a.times;
    const int output = tile * lanes + int(threadIdx.x) * N, seen = a.outputs * a.times;
    share_weights(shared, a, tile * width, width);
    if (output >= a.outputs) return;
    float bias[N] = {};
    if (a.bias != nullptr) load_floats<T, N>(bias, a.bias + output);
    for (int r = 0; r < a.repeat; ++r) {
        const int item = (int(blockIdx.x) / a.tiles * a.repeat + r) * int(blockDim.y) + int(threadIdx.y);
        if (item >= a.images * a.items) return;
        const Walk at = Walk::to(a, item);
        const Meeting along_d = meet(at.d + a.pad_d, a.taps_d, a.stride_d, a.dilation_d, a.hop_d);
        const Meeting along_h = meet(at.strip + a.pad_h, a.taps_h, a.stride_h, a.dilation_h, a.hop_h);
        const Meeting along_w = meet(at.w + a.pad_w, a.taps_w, a.stride_w, a.dilation_w, a.hop_w);
        float sum[N] = {};
        for (int j = 0; j < a.times; ++j) {
            const T* g = a.x + at.image * ((long long)a.seen_d * a.seen_h * a.seen_w * seen) + output * a.times + j;
            const T* weight = shared + (int(threadIdx.x) * N * a.times + j);
            for (int td = along_d.first, z = along_d.place; td < a.taps_d; td += a.hop_d, z -= along_d.back) {
                if (unsigned(z) >= unsigned(a.seen_d)) continue;
                for (int th = along_h.first, y = along_h.place; th < a.taps_h; th += a.hop_h, y -= along_h.back) {
                    if (unsigned(y) >= unsigned(a.seen_h)) continue;
                    const long long row = ((long long)z * a.seen_h + y) * a.seen_w;
                    for (int tw = along_w.first, x = along_w.place; tw < a.taps_w; tw += a.hop_w, x -= along_w.back) {
                        if (unsigned(x) >= unsigned(a.seen_w)) continue;
                        float own[N], value[N];
                        load_floats<T, N>(own, weight + ((td * a.taps_h + th) * a.taps_w + tw) * width);
                        load_floats<T, N>(value, g + (row + x) * seen);
                        add_product(sum, own, value);
                    }
                }
            }
        }
        leave<T, N>(a, a.y + (long long)item * a.outputs + output, sum, bias);
    }
}

template <class T>
struct LastWeightArguments {
    T* dweight;      // (filters, taps_d, taps_h, taps_w), or null: not wanted, or left to depthwise_sum
    T* db;           // (filters), or null: the same
    float* sums;     // (slices, columns): dweight, then db where it is wanted; null: there is one slice
    const T* g;      // (images, size_d, size_h, size_w, filters)
    const T* x;      // (images, seen_d, seen_h, seen_w, filters / multiplier)
    int strips_in_all, length;  // strips of a filter, in all images and in a slice
    int filters, multiplier, columns, tiles;
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
template <class T, int N>
__device__ __forceinline__ void add_to_taps(float (&sum)[TALL][N], const float (&g)[ROWS][N], const LastWeightArguments<T>& a,
                                            const Source<T, N>& source, bool inside, long long column, int row, int rows, int count) {
    if (a.sliding) {
#pragma unroll
        for (int r = 0; r < ROWS + TALL - 1; ++r) {
            if (r >= ROWS + count - 1) break;
            const int here = row + r * a.dilation_h;
            float x[N];
            source.element(x, inside && unsigned(here) < unsigned(a.seen_h), column + (long long)here * a.seen_w);
#pragma unroll
            for (int q = 0; q < ROWS; ++q) {
                if (r - q >= 0 && r - q < TALL && r - q < count && q < rows) add_product(sum[r - q], g[q], x);
            }
        }
        return;
    }
#pragma unroll
    for (int q = 0; q < ROWS; ++q) {
#pragma unroll
        for (int t = 0; t < TALL; ++t) {
            if (t >= count || q >= rows) continue;
            const int here = row + q * a.stride_h + t * a.dilation_h;
            float x[N];
            source.element(x, inside && unsigned(here) < unsigned(a.seen_h), column + (long long)here * a.seen_w);
            add_product(sum[t], g[q], x);
        }
    }
}

template <class T, int N>
__global__ void __launch_bounds__(THREADS, BLOCKS) depthwise_last_weight(const __grid_constant__ LastWeightArguments<T> a) {
    __shared__ float room[THREADS * N];
    const int lane = int(threadIdx.x), part = int(threadIdx.y), tile = int(blockIdx.x) / a.chunks % a.tiles;
    const int chunk = int(blockIdx.x) % a.chunks, slice = int(blockIdx.x) / a.chunks / a.tiles;
    const int tw = chunk % a.chunks_w * WIDE, th = chunk / a.chunks_w % a.chunks_h * TALL, td = chunk / a.chunks_w / a.chunks_h;
    const int count = min(a.taps_h - th, TALL), lanes = int(blockDim.x) * N, filter = tile * lanes + lane * N;
    const int seen = a.filters / a.multiplier, stop = filter < a.filters ? min((slice + 1) * a.length, a.strips_in_all) : 0;
    int item = slice * a.length + part;
    const Walk by = Walk::to(a, int(blockDim.y));
    Walk at = Walk::to(a, item);
    float sum[WIDE][TALL][N] = {}, bias[N] = {};
    for (; item < stop; item += int(blockDim.y), at.advance(a, by)) {
        const int h = strip_begin(at.strip, a.apart);
        const int rows = min((a.size_h - h + a.apart - 1) / a.apart, ROWS);
        const T* own = a.g + (((at.image * a.size_d + at.d) * a.size_h + h) * a.size_w + at.w) * a.filters + filter;
        float g[ROWS][N];
#pragma unroll
        for (int q = 0; q < ROWS; ++q) {
            if (q >= rows) break;
            load_floats<T, N>(g[q], own + (long long)q * a.apart * a.size_w * a.filters);
#pragma unroll
            for (int i = 0; i < N; ++i) bias[i] += g[q][i];
        }
        const int z = at.d * a.stride_d - a.pad_d + td * a.dilation_d;
        const int row = h * a.stride_h - a.pad_h + th * a.dilation_h;
        const Source<T, N> source{a.x + at.image * ((long long)a.seen_d * a.seen_h * a.seen_w * seen) + filter / a.multiplier, seen};
#pragma unroll
        for (int i = 0; i < WIDE; ++i) {
            if (tw + i >= a.taps_w) break;
            const int x = at.w * a.stride_w - a.pad_w + (tw + i) * a.dilation_w;
            const bool inside = unsigned(z) < unsigned(a.seen_d) && unsigned(x) < unsigned(a.seen_w);
            add_to_taps<T, N>(sum[i], g, a, source, inside, (long long)z * a.seen_h * a.seen_w + x, row, rows, count);
        }
    }

    const int taps = a.taps_d * a.taps_h * a.taps_w;
#pragma unroll
    for (int s = 0; s <= WIDE * TALL; ++s) {
        const int right = tw + s / TALL, below = s % TALL;
        if (s < WIDE * TALL ? right >= a.taps_w || below >= count : chunk > 0) continue;
#pragma unroll
        for (int i = 0; i < N; ++i) room[part * lanes + lane * N + i] = s < WIDE * TALL ? sum[s / TALL % WIDE][s % TALL][i] : bias[i];
        __syncthreads();
        for (int c = part * int(blockDim.x) + lane; c < lanes && tile * lanes + c < a.filters; c += THREADS) {
            float total = 0.0f;
            for (int y = 0; y < int(blockDim.y); ++y) total += room[y * lanes + c];
            const int k = tile * lanes + c;
            const int tap = (td * a.taps_h + th + below) * a.taps_w + right;
            store_total(a, slice, s < WIDE * TALL ? k * taps + tap : a.filters * taps + k, total);
        }
        __syncthreads();
    }
}
