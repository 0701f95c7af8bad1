// softmax_cross_entropy: the loss of rows of logits (outer, length, inner) along length, and its gradient.
//
//   loss = -sum_c q_c log p_c = mass log(sum) - sum_c q_c (x_c - max),  p = softmax(x), mass = sum_c q_c
//   dx_c = g (p_c mass - q_c)
//   q_c = w_c ((1 - s) t_c + s / length), t the given distribution, or 1 at the label and 0 elsewhere; w weights, s smoothing
//
// One pass over the logits: a new maximum rescales the sums (Milakov and Gimelshein 2018). The forward keeps max, log(sum) and
// mass of each row; logits of 1e4 would lose three digits in max + log(sum). A row whose label is ignore_index counts for
// nothing, its gradient is 0. A label that is no class makes loss and gradient of its row nan: nobody waits to raise an error.
// T is float, __half or __nv_bfloat16; arithmetic and sums are in float, each sum in one order, which depends on the shape only.

#include "softmax.cuh"

enum Reduction { NONE, SUM, MEAN };
// What stands for the label of a row without one: a distribution is given, the row is ignored, the label is no class.
enum { DISTRIBUTION = -1, IGNORED = -2, OUTSIDE = -3 };

// Peak, and of the distribution q: dot = sum of q (x - max), mass = sum of q.
struct Cross {
    float max, sum, dot, mass;

    __device__ static Cross none() { return {Max::neutral, 0.0f, 0.0f, 0.0f}; }

    // dot about another maximum; nothing is moved by an infinite way where there is nothing to move.
    __device__ __forceinline__ float dot_about(float top) const {
        return mass == 0.0f ? dot : __fadd_rn(dot, __fmul_rn(mass, max - top));
    }

    __device__ __forceinline__ void add(float x) {
        if (x > max) {
            dot = dot_about(x);
            sum *= expf(max - x);
            max = x;
        }
        sum += expf(x - max);
    }

    __device__ __forceinline__ void add(float x, float q) {
        add(x);
        dot += q * (x - max);
        mass += q;
    }

    // As of Peak: the same bits from both sides.
    __device__ __forceinline__ void merge(const Cross& b) {
        const float top = Max()(max, b.max);
        sum = __fadd_rn(__fmul_rn(sum, expf(max - top)), __fmul_rn(b.sum, expf(b.max - top)));
        dot = dot_about(top) + b.dot_about(top);
        mass += b.mass;
        max = top;
    }

    __device__ __forceinline__ Cross of_lane(int distance) const {
        constexpr unsigned ALL = 0xffffffffu;
        return {__shfl_xor_sync(ALL, max, distance), __shfl_xor_sync(ALL, sum, distance),
                __shfl_xor_sync(ALL, dot, distance), __shfl_xor_sync(ALL, mass, distance)};
    }
};

// Losses of several rows, and by how much these count in the mean.
struct Total {
    float loss, count;

    __device__ __forceinline__ void merge(const Total& b) {
        loss += b.loss;
        count += b.count;
    }
};

// What the rows are compared with.
template <class T>
struct Target {
    const T* shares;               // (outer, length, inner), or null: labels
    const int* labels;             // (rows), or null
    const long long* long_labels;  // (rows), or null
    const T* weight;               // (length), or null
    long long ignore_index;
    int length;
    float smoothing;

    __device__ __forceinline__ int label(long long row) const {
        if (shares != nullptr) return DISTRIBUTION;
        const long long y = labels != nullptr ? labels[row] : long_labels[row];
        if (y == ignore_index) return IGNORED;
        return y >= 0 && y < length ? int(y) : OUTSIDE;
    }

    // Whether q is more than a label.
    __device__ __forceinline__ bool spread() const { return shares != nullptr || smoothing != 0.0f; }

    __device__ __forceinline__ float weight_of(int c) const { return weight == nullptr ? 1.0f : to_float(weight[c]); }

    // q_c without what the label adds; given: the share, 0 of a label.
    __device__ __forceinline__ float share(int c, float given) const {
        return weight_of(c) * (given * (1.0f - smoothing) + smoothing / float(length));
    }

    // The shares at element c of the row that begins there.
    template <int N, bool ACROSS>
    __device__ __forceinline__ Vector<T, N> given(const Team<N, ACROSS>& at, long long begin, int c) const {
        return shares == nullptr ? Vector<T, N>{} : at.read(shares + begin, c, 0.0f);
    }

    // What the label adds to q at its class, and by how much its row counts in the mean.
    __device__ __forceinline__ float hit(int label) const {
        if (label == OUTSIDE) return nan();
        return label >= 0 ? (1.0f - smoothing) * weight_of(label) : 0.0f;
    }
    __device__ __forceinline__ float count(int label) const {
        if (label == OUTSIDE) return nan();
        return label >= 0 ? weight_of(label) : label == DISTRIBUTION ? 1.0f : 0.0f;
    }

    __device__ static float nan() { return __int_as_float(0x7fffffff); }
};

// The loss of all rows, and for the mean their count, by which the backward divides as well; the mean of nothing is nan.
template <class T>
__device__ __forceinline__ void finish(Total all, T* loss, float* count, int reduction) {
    if (all.count == 0.0f) all.count = Target<T>::nan();
    store_float(loss, reduction == MEAN ? all.loss / all.count : all.loss);
    if (count != nullptr) *count = all.count;
}

template <class T>
struct ForwardArguments {
    T* loss;          // (rows) for NONE, else ()
    float* kept;      // (3 * rows + 1): max, log(sum), mass of each row; their count; or null
    float* sums;      // (blocks, 2): loss and count; null for NONE and for one block
    float* parts;     // (rows, pieces, 4): a Cross for each piece; null for one piece
    const T* x;       // (outer, length, inner)
    const T* shares;  // and what else Target has
    const int* labels;
    const long long* long_labels;
    const T* weight;
    long long ignore_index;
    long long rows;  // outer * inner
    long long inner;
    int length;
    int span;  // elements of a piece
    int pieces;
    int spans;  // whether rows come through shared memory
    int stage;
    int reduction;
    float smoothing;
};

template <class T>
__device__ __forceinline__ Total row_loss(const ForwardArguments<T>& a, const Target<T>& target, const Cross& of,
                                          long long row, const T* x_row) {
    const int label = target.label(row);
    const float hit = target.hit(label);
    const float x = label >= 0 ? to_float(x_row[label * a.inner]) - of.max : 0.0f;
    const float mass = of.mass + hit, log_sum = logf(of.sum);
    const float loss = label == IGNORED ? 0.0f : mass * log_sum - (of.dot + hit * x);
    if (a.kept != nullptr) {
        a.kept[row] = of.max;
        a.kept[a.rows + row] = log_sum;
        a.kept[2 * a.rows + row] = mass;
    }
    if (a.reduction == NONE) store_float(a.loss + row, loss);
    return {loss, target.count(label)};
}

template <class T, int N, bool ACROSS>
__global__ void __launch_bounds__(THREADS, HELD<N, ACROSS, 2, 0>)
    softmax_cross_entropy_forward(const __grid_constant__ ForwardArguments<T> a) {
    __shared__ Cross room[THREADS];
    __shared__ Total totals[THREADS];
    constexpr int ROOM = N == 1 ? Span<T>::ROOM : 1;
    __shared__ __align__(16) T span[ROOM];
    constexpr int ROWS = Team<N, ACROSS>::ROWS;
    const Team<N, ACROSS> at(a.inner, a.length, a.span, a.stage == REST ? 1 : a.pieces);  // the rest: one block for all rows
    const Target<T> target{a.shares, a.labels, a.long_labels, a.weight, a.ignore_index, a.length, a.smoothing};
    const bool spread = target.spread();
    Total total = {0.0f, 0.0f};
    for (long long block = at.first_line() * ROWS; block < a.rows; block += at.line_step() * ROWS) {
        const long long row = block + at.team * ROWS;
        const bool inside = row < a.rows;
        const long long begin = inside ? at.begin(row) : 0;
        const T* x = a.x + begin;
        if constexpr (N == 1) {
            if (a.spans) {
                __syncthreads();
                x = Span<T>(at, block, a.rows).bring(span, a.x);
                __syncthreads();
            }
        }
        Cross of[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) of[i] = Cross::none();
        if (a.stage == REST) {
            for (int p = at.member; inside && p < a.pieces; p += at.members) {
#pragma unroll
                for (int i = 0; i < ROWS; ++i) {
                    const float* part = a.parts + ((row + i) * a.pieces + p) * 4;
                    of[i].merge({part[0], part[1], part[2], part[3]});
                }
            }
        } else {
            const int shift = inside ? at.shift(x) : 0, first = at.first(shift), stop = inside ? at.stop(shift) : 0;
            for (int c = first; c < stop; c += FLIGHT<N> * at.step) {
                Vector<T, N> v[FLIGHT<N>];
                at.load_flight(v, x, c, stop, minus_infinity());
#pragma unroll
                for (int k = 0; k < FLIGHT<N>; ++k) {
                    const int here = c + k * at.step;
                    if (here >= stop) break;
                    if (!spread) {
#pragma unroll
                        for (int i = 0; i < N; ++i) of[ACROSS ? i : 0].add(to_float(v[k].item[i]));
                        continue;
                    }
                    const Vector<T, N> given = target.given(at, begin, here);
#pragma unroll
                    for (int i = 0; i < N; ++i) {
                        if (!at.has(here, i)) continue;
                        const float share = target.share(ACROSS ? here : here + i, to_float(given.item[i]));
                        of[ACROSS ? i : 0].add(to_float(v[k].item[i]), share);
                    }
                }
            }
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            of[i] = at.reduce(of[i], room);
            if (!inside || at.member > 0) continue;
            if (a.stage == PIECES) {
                float* part = a.parts + ((row + i) * a.pieces + at.piece) * 4;
                part[0] = of[i].max;
                part[1] = of[i].sum;
                part[2] = of[i].dot;
                part[3] = of[i].mass;
            } else {
                total.merge(row_loss(a, target, of[i], row + i, x + i));
            }
        }
    }
    if (a.stage == PIECES || a.reduction == NONE) return;
    const int thread = int(threadIdx.y * blockDim.x + threadIdx.x);
    total = tree(total, totals, thread, THREADS, 1);
    if (thread > 0) return;
    if (a.sums == nullptr) {
        finish(total, a.loss, a.kept == nullptr ? nullptr : a.kept + 3 * a.rows, a.reduction);
    } else {
        a.sums[2 * blockIdx.x] = total.loss;
        a.sums[2 * blockIdx.x + 1] = total.count;
    }
}

template <class T>
struct SumArguments {
    T* loss;            // ()
    float* kept;        // (3 * rows + 1), or null
    const float* sums;  // (blocks, 2)
    long long rows;
    int blocks;
    int reduction;
};

template <class T>
__global__ void __launch_bounds__(THREADS) softmax_cross_entropy_sum(const __grid_constant__ SumArguments<T> a) {
    __shared__ Total room[THREADS];
    const int thread = int(threadIdx.x);
    Total total = {0.0f, 0.0f};
    for (int i = thread; i < a.blocks; i += THREADS) total.merge({a.sums[2 * i], a.sums[2 * i + 1]});
    total = tree(total, room, thread, THREADS, 1);
    if (thread == 0) finish(total, a.loss, a.kept == nullptr ? nullptr : a.kept + 3 * a.rows, a.reduction);
}

template <class T>
struct BackwardArguments {
    T* dx;              // (outer, length, inner)
    const T* g;         // (rows) for NONE, else ()
    const float* kept;  // (3 * rows + 1), of the forward
    const T* x;         // (outer, length, inner)
    const T* shares;    // and what else Target has
    const int* labels;
    const long long* long_labels;
    const T* weight;
    long long ignore_index;
    long long rows;  // outer * inner
    long long inner;
    int length;
    int span;  // elements of a piece
    int pieces;
    int spans;  // whether rows come through shared memory
    int reduction;
    float smoothing;
};

// What the gradient of a row's elements needs.
struct Slope {
    float max, log_sum, mass, hit, g;
    int label;

    template <class T>
    __device__ static Slope of(const BackwardArguments<T>& a, const Target<T>& target, long long row) {
        const float g = to_float(a.g[a.reduction == NONE ? row : 0]);
        const int label = target.label(row);
        return {a.kept[row], a.kept[a.rows + row], a.kept[2 * a.rows + row], target.hit(label),
                a.reduction == MEAN ? g / a.kept[3 * a.rows] : g, label};
    }

    __device__ __forceinline__ float at(float x, int c, float share) const {
        const float q = c == label ? share + hit : share;
        return label == IGNORED ? 0.0f : g * (expf(x - max - log_sum) * mass - q);
    }
};

template <class T, int N, bool ACROSS>
__global__ void __launch_bounds__(THREADS, HELD<N, ACROSS, 2, ACROSS ? 3 : 4>)
    softmax_cross_entropy_backward(const __grid_constant__ BackwardArguments<T> a) {
    constexpr int ROOM = N == 1 ? Span<T>::ROOM : 1;
    __shared__ __align__(16) T span[ROOM];
    constexpr int ROWS = Team<N, ACROSS>::ROWS;
    const Team<N, ACROSS> at(a.inner, a.length, a.span, a.pieces);
    const Target<T> target{a.shares, a.labels, a.long_labels, a.weight, a.ignore_index, a.length, a.smoothing};
    const bool spread = target.spread();
    for (long long block = at.first_line() * ROWS; block < a.rows; block += at.line_step() * ROWS) {
        const long long row = block + at.team * ROWS;
        const bool inside = row < a.rows;
        const long long begin = inside ? at.begin(row) : 0;
        const T* x = a.x + begin;
        T* dx = a.dx + begin;
        if constexpr (N == 1) {
            if (a.spans) {
                __syncthreads();
                x = dx = Span<T>(at, block, a.rows).bring(span, a.x);
                __syncthreads();
            }
        }
        const int shift = inside ? at.shift(x) : 0, stop = inside ? at.stop(shift) : 0;
        Slope slope[ROWS] = {};
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            if (inside) slope[i] = Slope::of(a, target, row + i);
        }
        for (int c = at.first(shift); c < stop; c += FLIGHT<N> * at.step) {
            Vector<T, N> v[FLIGHT<N>];
            at.load_flight(v, x, c, stop);
#pragma unroll
            for (int k = 0; k < FLIGHT<N>; ++k) {
                const int here = c + k * at.step;
                if (here >= stop) break;
                const Vector<T, N> given = target.given(at, begin, here);
#pragma unroll
                for (int i = 0; i < N; ++i) {
                    const int own = ACROSS ? here : here + i;
                    const float share = spread && at.has(here, i) ? target.share(own, to_float(given.item[i])) : 0.0f;
                    store_float(&v[k].item[i], slope[ACROSS ? i : 0].at(to_float(v[k].item[i]), own, share));
                }
                at.write(dx, here, v[k]);
            }
        }
        if constexpr (N == 1) {
            if (!a.spans) continue;
            __syncthreads();
            Span<T>(at, block, a.rows).take(a.dx, span);
        }
    }
}
