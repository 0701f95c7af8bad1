// conv_tf32: convolution in float32 on tensor cores that multiply tf32, 11 bits of the factors, and sum in float32: forward, input
// gradient, weight gradient. Compute capability 8.0.
//
// The main loops are those of conv_tensor.cuh. PRODUCTS 1: the factors are rounded to tf32. PRODUCTS 3: each factor is a big part and
// what that leaves out, both tf32, and of their four products the three that float32 can see are summed: as good as float32.

#include "conv_tensor.cuh"

// c += a b in float32, as the other units do: lane (g, t) gathers rows g and g + 8 of a, columns 2t and 2t + 1 of b.
__device__ __forceinline__ void multiply_exactly(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll 1
    for (int k = 0; k < 4; ++k) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const float low = __uint_as_float(__shfl_sync(0xffffffffu, a[2 * half], 4 * g + k));
            const float high = __uint_as_float(__shfl_sync(0xffffffffu, a[2 * half + 1], 4 * g + k));
            const float left = __uint_as_float(__shfl_sync(0xffffffffu, b[half], 8 * t + k));
            const float right = __uint_as_float(__shfl_sync(0xffffffffu, b[half], 8 * t + 4 + k));
            c[0] = fmaf(low, left, c[0]);
            c[1] = fmaf(low, right, c[1]);
            c[2] = fmaf(high, left, c[2]);
            c[3] = fmaf(high, right, c[3]);
        }
    }
}

// x is big + small; whether a product of three parts is safe, which is that no part and no product of parts can be infinite or nan.
__device__ __forceinline__ bool split(u32 x, u32& big, u32& small) {
    const float value = __uint_as_float(x);
    big = ptx::to_tf32(value);
    small = ptx::to_tf32(value - __uint_as_float(big));
    return fabsf(value) < 0x1p63f;
}

template <int PRODUCTS>
struct Tf32 {
    using T = float;

    template <int MI, int NI>
    static __device__ __forceinline__ void multiply(float (&sum)[MI][NI][4], const u32 (&a)[MI][4], const u32 (&b)[NI / 2][4]) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
        u32 big_a[MI][4], small_a[MI][4], big_b[NI / 2][4], small_b[NI / 2][4];
        bool safe = true;
#pragma unroll
        for (int i = 0; i < MI; ++i)
#pragma unroll
            for (int e = 0; e < 4; ++e) safe &= split(a[i][e], big_a[i][e], small_a[i][e]);
#pragma unroll
        for (int j = 0; j < NI / 2; ++j)
#pragma unroll
            for (int e = 0; e < 4; ++e) safe &= split(b[j][e], big_b[j][e], small_b[j][e]);
        if (PRODUCTS == 1 || __all_sync(0xffffffffu, safe)) {
#pragma unroll
            for (int i = 0; i < MI; ++i)
#pragma unroll
                for (int j = 0; j < NI; ++j) {
                    const u32 big[2] = {big_b[j / 2][j % 2 * 2], big_b[j / 2][j % 2 * 2 + 1]};
                    if (PRODUCTS == 1) {
                        ptx::mma_m16n8k8_tf32(sum[i][j], big_a[i], big);
                        continue;
                    }
                    // Tensor cores truncate what they sum: what they add to is short, the long sum is rounded.
                    const u32 small[2] = {small_b[j / 2][j % 2 * 2], small_b[j / 2][j % 2 * 2 + 1]};
                    float part[4] = {};
                    ptx::mma_m16n8k8_tf32(part, small_a[i], big);
                    ptx::mma_m16n8k8_tf32(part, big_a[i], small);
                    ptx::mma_m16n8k8_tf32(part, big_a[i], big);
#pragma unroll
                    for (int e = 0; e < 4; ++e) sum[i][j][e] += part[e];
                }
            return;
        }
#endif
        // Something infinite, nan or huge, or a GPU without such tensor cores.
#pragma unroll
        for (int i = 0; i < MI; ++i)
#pragma unroll
            for (int j = 0; j < NI; ++j) {
                const u32 own[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                multiply_exactly(sum[i][j], a[i], own);
            }
    }

    // Pairs of chunks change places, so that four rows of eight elements lie in all banks.
    static __device__ __forceinline__ int across(int row, int chunk) { return row * 16 + (chunk ^ (row % 4 * 2)); }

    static __device__ __forceinline__ u32 element(const Vector<T, 4>* tile, int row, int column) {
        return __float_as_uint(tile[across(row, column / 4)].item[column % 4]);
    }

    static __device__ __forceinline__ void rows(u32 (&r)[4], const Vector<T, 4>* tile, int k, int m) {
        const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
        for (int e = 0; e < 4; ++e) r[e] = element(tile, k + t + e / 2 * 4, m + g + e % 2 * 8);
    }

    static __device__ __forceinline__ void columns(u32 (&r)[4], const Vector<T, 4>* tile, int k, int n) {
        const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
        for (int e = 0; e < 4; ++e) r[e] = element(tile, k + t + e % 2 * 4, n + g + e / 2 * 8);
    }
};
