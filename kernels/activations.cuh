// Activations whose slope can be told from their value: a kernel that applies one needs to keep its output only.
//   apply(x): the value at x. slope(y): the derivative where the value is y. flat: the slope is 1 everywhere.
#pragma once

struct Identity {
    static constexpr bool flat = true;
    __device__ static float apply(float x) { return x; }
    __device__ static float slope(float) { return 1.0f; }
};

struct Relu {
    static constexpr bool flat = false;
    __device__ static float apply(float x) { return x < 0.0f ? 0.0f : x; }  // not fmaxf, which would lose a nan
    __device__ static float slope(float y) { return y > 0.0f ? 1.0f : 0.0f; }
};

struct Tanh {
    static constexpr bool flat = false;
    __device__ static float apply(float x) { return tanhf(x); }
    __device__ static float slope(float y) { return 1.0f - y * y; }
};

struct Sigmoid {
    static constexpr bool flat = false;
    __device__ static float apply(float x) { return 1.0f / (1.0f + expf(-x)); }
    __device__ static float slope(float y) { return y * (1.0f - y); }
};

// One that is told at run time: 0 none, 1 relu, 2 tanh, 3 sigmoid.
__device__ __forceinline__ float activated(int activation, float x) {
    switch (activation) {
        case 1: return Relu::apply(x);
        case 2: return Tanh::apply(x);
        case 3: return Sigmoid::apply(x);
        default: return x;
    }
}
