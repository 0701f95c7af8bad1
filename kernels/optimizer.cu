// optimizer: one step of an optimiser for all arrays of a model, in one launch (two for LAMB).
//
// p and g are of T = float, __half or __nv_bfloat16, the state and all arithmetic of float. Arrays of any length; elements move
// 16 bytes of T at once from where an array's p, g and state are aligned together, one by one before and behind, and everywhere if
// they never are. The rules, with g := g + decay * p first where the paper adds the weight decay to the gradient, and
// p := shrink * p where it is decoupled:
//
//   Sgd          v := keep1 * v + take1 * g,  p -= lr * (g + keep1 * v with nesterov, v with momentum, else g)
//   Adam         m := keep1 * m + take1 * g,  v := keep2 * v + take2 * g^2,  p -= lr * m / (sqrt(v) * root + eps)
//   RmsProp      s := keep2 * s + take2 * g^2,  m := m + take2 * (g - m) if centered,
//                d = g / (sqrt(s - m^2) + eps),  v := keep1 * v + d and d = v with momentum,  p -= lr * d
//   Lion         p -= lr * sign(keep1 * m + take1 * g),  m := keep2 * m + take2 * g
//   LambMoments  m and v of Adam; the sums of p^2 and u^2 over a chunk, u = m * unbias / (sqrt(v) * root + eps) + decay * p
//   LambStep     p -= lr * |p| / |u| * u, the norms from the sums of the array's chunks, added in their order
//
// Bias corrections are the host's. A nan in g is a nan in p. Sources: the files of xpnn/optim.

#include "chunks.cuh"
#include "reduce.cuh"
#include "storage.cuh"

template <class T>
struct StepArguments {
    const T* g[ARRAYS];       // gradients; the last ones may be missing
    T* const* p;              // (arrays) parameters
    float* const* first;      // (arrays) state as the rule names it, shaped like p; null: not kept
    float* const* second;     // (arrays)
    float* const* third;      // (arrays)
    const long long* rows;    // (arrays, 4)
    const int* owner;         // (chunks)
    float* sums;              // (chunks, 2), of LAMB only
    float lr, shrink, decay;
    float keep1, take1, keep2, take2;
    float eps, root, unbias;
    int nesterov;
};

// What a rule does with an element: p, g and its state s, numbers a. What it does not do is left out of the kernel.
struct Defaults {
    static constexpr int states = 2;
    static constexpr bool reads_gradient = true, writes_state = true, writes_parameter = true, sums = false, scales = false;
};

struct Sgd : Defaults {
    static constexpr int states = 1;
    template <class A>
    __device__ static void apply(const A& a, float& p, float g, float (&s)[states], float*, float) {
        g += a.decay * p;
        if (a.first != nullptr) {
            s[0] = a.keep1 * s[0] + a.take1 * g;
            g = a.nesterov ? g + a.keep1 * s[0] : s[0];
        }
        p -= a.lr * g;
    }
};

template <class A>
__device__ __forceinline__ float adam_direction(const A& a, float g, float (&s)[2]) {
    s[0] = a.keep1 * s[0] + a.take1 * g;
    s[1] = a.keep2 * s[1] + a.take2 * (g * g);
    return s[0] / (sqrtf(s[1]) * a.root + a.eps);
}

struct Adam : Defaults {
    template <class A>
    __device__ static void apply(const A& a, float& p, float g, float (&s)[states], float*, float) {
        const float direction = adam_direction(a, g + a.decay * p, s);
        p = a.shrink * p - a.lr * direction;
    }
};

struct RmsProp : Defaults {
    static constexpr int states = 3;
    template <class A>
    __device__ static void apply(const A& a, float& p, float g, float (&s)[states], float*, float) {
        g += a.decay * p;
        s[0] = a.keep2 * s[0] + a.take2 * (g * g);
        float square = s[0];
        if (a.second != nullptr) {
            s[1] += a.take2 * (g - s[1]);
            square -= s[1] * s[1];
            if (square < 0.0f) square = 0.0f;  // not fmaxf, which would lose a nan
        }
        float d = g / (sqrtf(square) + a.eps);
        if (a.third != nullptr) d = s[2] = a.keep1 * s[2] + d;
        p -= a.lr * d;
    }
};

struct Lion : Defaults {
    static constexpr int states = 1;
    template <class A>
    __device__ static void apply(const A& a, float& p, float g, float (&s)[states], float*, float) {
        const float c = a.keep1 * s[0] + a.take1 * g;
        s[0] = a.keep2 * s[0] + a.take2 * g;
        p = a.shrink * p - a.lr * (c > 0.0f ? 1.0f : c < 0.0f ? -1.0f : c);
    }
};

struct LambMoments : Defaults {
    static constexpr bool writes_parameter = false, sums = true;
    template <class A>
    __device__ static void apply(const A& a, float& p, float g, float (&s)[states], float* sum, float) {
        const float u = adam_direction(a, g, s) * a.unbias + a.decay * p;
        sum[0] += p * p;
        sum[1] += u * u;
    }
};

struct LambStep : Defaults {
    static constexpr bool reads_gradient = false, writes_state = false, scales = true;
    template <class A>
    __device__ static void apply(const A& a, float& p, float, float (&s)[states], float*, float ratio) {
        const float u = s[0] / (sqrtf(s[1]) * a.root + a.eps) * a.unbias + a.decay * p;
        p -= a.lr * ratio * u;
    }
};

// N floats from or to memory, 16 bytes at once.
template <int N>
__device__ __forceinline__ void load_floats(float (&x)[N], const float* from) {
    constexpr int PART = N < 4 ? N : 4;
#pragma unroll
    for (int k = 0; k < N; k += PART) {
        const Vector<float, PART> v = load<float, PART>(from + k);
#pragma unroll
        for (int i = 0; i < PART; ++i) x[k + i] = v.item[i];
    }
}

template <int N>
__device__ __forceinline__ void store_floats(float* to, const float (&x)[N]) {
    constexpr int PART = N < 4 ? N : 4;
#pragma unroll
    for (int k = 0; k < N; k += PART) {
        Vector<float, PART> v;
#pragma unroll
        for (int i = 0; i < PART; ++i) v.item[i] = x[k + i];
        store<float, PART>(to + k, v);
    }
}

// One array of the launch, as for_chunk wants it.
template <class T, class Rule>
struct Update {
    const StepArguments<T>& a;
    T* p;
    const T* g;
    float* state[Rule::states];
    float ratio;
    float sum[2];

    // The element from which on all arrays are on vectors, negative if there is none.
    __device__ __forceinline__ int head() const {
        const int first = head_of(p);
        bool all = !Rule::reads_gradient || on_vector(g + first);
#pragma unroll
        for (int k = 0; k < Rule::states; ++k) all = all && (state[k] == nullptr || on_vector(state[k] + first));
        return all ? first : -1;
    }

    template <int N>
    __device__ __forceinline__ void run(long long i) {
        Vector<T, N> here = load<T, N>(p + i), slope = {};
        if (Rule::reads_gradient) slope = load<T, N>(g + i);
        float s[Rule::states][N] = {};
#pragma unroll
        for (int k = 0; k < Rule::states; ++k) {
            if (state[k] != nullptr) load_floats<N>(s[k], state[k] + i);
        }
#pragma unroll
        for (int n = 0; n < N; ++n) {
            float x = to_float(here.item[n]), own[Rule::states];
#pragma unroll
            for (int k = 0; k < Rule::states; ++k) own[k] = s[k][n];
            Rule::apply(a, x, to_float(slope.item[n]), own, sum, ratio);
#pragma unroll
            for (int k = 0; k < Rule::states; ++k) s[k][n] = own[k];
            store_float(&here.item[n], x);
        }
        if (Rule::writes_parameter) store<T, N>(p + i, here);
#pragma unroll
        for (int k = 0; k < Rule::states; ++k) {
            if (Rule::writes_state && state[k] != nullptr) store_floats<N>(state[k] + i, s[k]);
        }
    }
};

// |p| / |u| of an array from the sums of its chunks; 1 where one of the norms is 0.
__device__ __forceinline__ float trust_ratio(const float* sums, const Chunk& c, float* room) {
    float p = 0.0f, u = 0.0f;
    for (long long i = c.first + int(threadIdx.x); i < c.first + c.count; i += CHUNK_THREADS) {
        p += sums[2 * i];
        u += sums[2 * i + 1];
    }
    p = sqrtf(block_reduce<Add, CHUNK_THREADS>(p, room));
    u = sqrtf(block_reduce<Add, CHUNK_THREADS>(u, room));
    return p > 0.0f && u > 0.0f ? p / u : 1.0f;
}

template <class T, class Rule>
__global__ void __launch_bounds__(CHUNK_THREADS, 3) optimizer_step(const __grid_constant__ StepArguments<T> a) {
    __shared__ float room[32];
    const Chunk c = find_chunk(a.rows, a.owner, int(blockIdx.x));
    Update<T, Rule> update = {a, a.p[c.array], a.g[c.array], {}, 1.0f, {}};
    float* const* const tables[] = {a.first, a.second, a.third};
#pragma unroll
    for (int k = 0; k < Rule::states; ++k) update.state[k] = tables[k] != nullptr ? tables[k][c.array] : nullptr;
    if (Rule::scales) update.ratio = trust_ratio(a.sums, c, room);
    for_chunk<T>(c, update.head(), update);
    if (!Rule::sums) return;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
        const float sum = block_reduce<Add, CHUNK_THREADS>(update.sum[k], room);
        if (threadIdx.x == 0) a.sums[2 * (long long)blockIdx.x + k] = sum;
    }
}
