// activation: y = f(x) of single elements, and dx = g * f'(x); every activation in one pair of kernels.
//
// x, y, g, dx are contiguous, of any length and alignment. T is float, __half or __nv_bfloat16; arithmetic is in float.
// Which f it is is told at run time, once for a whole block: memory is what these kernels wait for, and one instantiation
// a dtype is all that has to be compiled. The backward reads x, or y for relu, tanh and sigmoid, whose slope y tells.
// 16 bytes move at once where both arrays allow it, else and in the tail single elements.

#include "activations.cuh"
#include "storage.cuh"

constexpr int THREADS = 256;

// As in xpnn/cuda/activation.py.
enum Kind { RELU, TANH, SIGMOID, SILU, GELU, GELU_TANH, SOFTPLUS, ELU, LEAKY_RELU };

template <class T>
struct ActivationArguments {
    T* out;       // (count): y, backward dx
    const T* g;   // (count); null forward
    const T* x;   // (count): x, backward of relu, tanh and sigmoid y
    long long count;
    int kind;
    int aligned;  // whether all arrays begin at multiples of 16 bytes
    float a, b;   // softplus: beta, threshold; elu: alpha; leaky_relu: negative_slope
};

// One whose slope its value tells.
template <class Activation>
struct OfValue {
    static __device__ float value(float x, float, float) { return Activation::apply(x); }
    static __device__ float gradient(float g, float y, float, float) { return g * Activation::slope(y); }
};

// NOTE: not a product with the slope, which would make nan of an infinite g; a nan in y lets g pass, as in the reference.
struct ReluOfValue : OfValue<Relu> {
    static __device__ float gradient(float g, float y, float, float) { return y <= 0.0f ? 0.0f : g; }
};

struct Silu {
    static __device__ float value(float x, float, float) { return x * Sigmoid::apply(x); }
    static __device__ float gradient(float g, float x, float, float) {
        const float s = Sigmoid::apply(x);
        return g * (s * (1.0f + x * (1.0f - s)));
    }
};

struct Gelu {
    static __device__ float cdf(float x) { return 0.5f * (1.0f + erff(x * 0.707106781f)); }
    static __device__ float value(float x, float, float) { return x * cdf(x); }
    static __device__ float gradient(float g, float x, float, float) {
        return g * (cdf(x) + x * (0.398942280f * expf(-0.5f * x * x)));
    }
};

struct GeluTanh {
    static constexpr float c = 0.044715f, k = 0.797884561f;  // sqrt(2 / pi)
    static __device__ float inner(float x) { return tanhf(k * (x + c * x * x * x)); }
    static __device__ float value(float x, float, float) { return 0.5f * x * (1.0f + inner(x)); }
    static __device__ float gradient(float g, float x, float, float) {
        const float t = inner(x), rise = 1.0f - t * t;
        // Where the tanh is flat, x * x may be infinite.
        const float bend = rise > 0.0f ? x * rise * (k * (1.0f + 3.0f * c * x * x)) : 0.0f;
        return g * (0.5f * (1.0f + t + bend));
    }
};

struct Softplus {
    static __device__ float value(float x, float beta, float threshold) {
        const float s = x * beta;
        return s > threshold ? x : (fmaxf(s, 0.0f) + log1pf(expf(-fabsf(s)))) / beta;
    }
    static __device__ float gradient(float g, float x, float beta, float threshold) {
        const float s = x * beta;
        return s > threshold ? g : g * Sigmoid::apply(s);
    }
};

struct Elu {
    static __device__ float value(float x, float alpha, float) { return x > 0.0f ? x : alpha * expm1f(x); }
    static __device__ float gradient(float g, float x, float alpha, float) { return x > 0.0f ? g : g * alpha * expf(x); }
};

struct LeakyRelu {
    static __device__ float value(float x, float slope, float) { return x > 0.0f ? x : slope * x; }
    static __device__ float gradient(float g, float x, float slope, float) { return x > 0.0f ? g : slope * g; }
};

// The elements from first on, up to the count, N at once, R times N of them in flight for a thread.
template <class F, bool BACKWARD, int N, int R, class T>
__device__ __forceinline__ void sweep(const ActivationArguments<T>& a, long long first, long long count) {
    const long long step = (long long)gridDim.x * THREADS * N;
    const long long start = first + ((long long)blockIdx.x * THREADS + threadIdx.x) * N;
    for (long long at = start; at < count; at += R * step) {
        Vector<T, N> v[R], g[R];
#pragma unroll
        for (int r = 0; r < R; ++r) {
            if (at + r * step >= count) break;
            v[r] = load<T, N>(a.x + at + r * step);
            if (BACKWARD) g[r] = load<T, N>(a.g + at + r * step);
        }
#pragma unroll
        for (int r = 0; r < R; ++r) {
            if (at + r * step >= count) break;
#pragma unroll
            for (int i = 0; i < N; ++i) {
                const float x = to_float(v[r].item[i]);
                const float y = BACKWARD ? F::gradient(to_float(g[r].item[i]), x, a.a, a.b) : F::value(x, a.a, a.b);
                store_float(&v[r].item[i], y);
            }
            store<T, N>(a.out + at + r * step, v[r]);
        }
    }
}

template <class F, bool BACKWARD, class T>
__device__ __forceinline__ void whole(const ActivationArguments<T>& a) {
    constexpr int N = 16 / sizeof(T);
    const long long vectors = a.aligned ? a.count / N * N : 0;
    sweep<F, BACKWARD, N, BACKWARD ? 1 : 8 / N>(a, 0, vectors);
    sweep<F, BACKWARD, 1, BACKWARD ? 2 : 4>(a, vectors, a.count);
}

template <bool BACKWARD, class T>
__device__ __forceinline__ void of_kind(const ActivationArguments<T>& a) {
    switch (a.kind) {
        case RELU: return whole<ReluOfValue, BACKWARD>(a);
        case TANH: return whole<OfValue<Tanh>, BACKWARD>(a);
        case SIGMOID: return whole<OfValue<Sigmoid>, BACKWARD>(a);
        case SILU: return whole<Silu, BACKWARD>(a);
        case GELU: return whole<Gelu, BACKWARD>(a);
        case GELU_TANH: return whole<GeluTanh, BACKWARD>(a);
        case SOFTPLUS: return whole<Softplus, BACKWARD>(a);
        case ELU: return whole<Elu, BACKWARD>(a);
        case LEAKY_RELU: return whole<LeakyRelu, BACKWARD>(a);
    }
}

template <class T>
__global__ void __launch_bounds__(THREADS) activation_forward(const __grid_constant__ ActivationArguments<T> a) {
    of_kind<false>(a);
}

template <class T>
__global__ void __launch_bounds__(THREADS) activation_backward(const __grid_constant__ ActivationArguments<T> a) {
    of_kind<true>(a);
}
