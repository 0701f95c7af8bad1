// Sums and maxima over a warp or a block, in a fixed order: the same input gives the same bits, and every thread gets the result.
#pragma once

struct Add {
    static constexpr float neutral = 0.0f;
    __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

// nan wins, as in NumPy; fmaxf would lose it.
struct Max {
    static constexpr float neutral = -3.402823466e38f;
    __device__ __forceinline__ float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};

// Over groups of WIDTH neighbouring lanes (a power of two up to 32); all 32 lanes take part.
template <class Op, int WIDTH = 32>
__device__ __forceinline__ float warp_reduce(float x) {
#pragma unroll
    for (int distance = WIDTH / 2; distance > 0; distance /= 2) x = Op()(x, __shfl_xor_sync(0xffffffffu, x, distance));
    return x;
}

// Over a block of THREADS threads along x, a multiple of 32; room: 32 floats of shared memory, free again when it returns.
template <class Op, int THREADS>
__device__ __forceinline__ float block_reduce(float x, float* room) {
    static_assert(THREADS % 32 == 0 && THREADS <= 1024, "whole warps, at most 32");
    x = warp_reduce<Op>(x);
    if (THREADS == 32) return x;
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    if (lane == 0) room[warp] = x;
    __syncthreads();
    x = warp_reduce<Op>(lane < THREADS / 32 ? room[lane] : Op::neutral);
    __syncthreads();
    return x;
}
