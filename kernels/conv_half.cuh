// Products of float16 and of bfloat16 on tensor cores, summed in float32: what the main loops of conv_tensor.cuh and of conv_halo.cu
// multiply with. bfloat16 on a GPU without such tensor cores (sm_75) is multiplied by the other units.
#pragma once

#include "ptx.cuh"
#include "storage.cuh"

using ptx::u32;

__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], __half) {
    ptx::mma_m16n8k16_f16(c, a, b);
}

// The element of a register of two: 0 the low half.
__device__ __forceinline__ float bfloat16_at(u32 r, int i) { return __uint_as_float(i ? r & 0xffff0000u : r << 16); }

__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2], __nv_bfloat16) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    ptx::mma_m16n8k16_bf16(c, a, b);
#else
    // Lane (g, t) gathers row g and g + 8 of a from the lanes of its g, columns 2t and 2t + 1 of b from those of theirs.
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll 1
    for (int s = 0; s < 4; ++s) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const u32 low = __shfl_sync(0xffffffffu, a[2 * half], 4 * g + s);
            const u32 high = __shfl_sync(0xffffffffu, a[2 * half + 1], 4 * g + s);
            const u32 left = __shfl_sync(0xffffffffu, b[half], 8 * t + s);
            const u32 right = __shfl_sync(0xffffffffu, b[half], 8 * t + 4 + s);
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                c[0] = fmaf(bfloat16_at(low, i), bfloat16_at(left, i), c[0]);
                c[1] = fmaf(bfloat16_at(low, i), bfloat16_at(right, i), c[1]);
                c[2] = fmaf(bfloat16_at(high, i), bfloat16_at(left, i), c[2]);
                c[3] = fmaf(bfloat16_at(high, i), bfloat16_at(right, i), c[3]);
            }
        }
    }
#endif
}

template <class Element>
struct Half {
    using T = Element;

    template <int MI, int NI>
    static __device__ __forceinline__ void multiply(float (&sum)[MI][NI][4], const u32 (&a)[MI][4], const u32 (&b)[NI / 2][4]) {
#pragma unroll
        for (int i = 0; i < MI; ++i)
#pragma unroll
            for (int j = 0; j < NI; ++j) {
                const u32 own[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                ::multiply(sum[i][j], a[i], own, T());
            }
    }

    static __device__ __forceinline__ int across(int row, int chunk) { return row * 8 + (chunk ^ (row % 8)); }

    static __device__ __forceinline__ void rows(u32 (&r)[4], const Vector<T, 8>* tile, int k, int m) {
        const int lane = int(threadIdx.x) % 32;
        ptx::ldmatrix_x4_trans(r, &tile[across(k + lane % 8 + lane / 16 * 8, m / 8 + lane / 8 % 2)]);
    }

    static __device__ __forceinline__ void columns(u32 (&r)[4], const Vector<T, 8>* tile, int k, int n) {
        const int lane = int(threadIdx.x) % 32;
        ptx::ldmatrix_x4_trans(r, &tile[across(k + lane % 16, n / 8 + lane / 16)]);
    }
};
