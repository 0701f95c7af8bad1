// c = a b on tensor cores, as the real kernels do it: cp.async two stages deep, ldmatrix, mma. Each macro plants one fault.
// A block of 4 warps computes 32 x 16 of c, a warp 16 x 8. Rows of a and b begin at multiples of 16 bytes; tails are zeros.
#include "ptx.cuh"

template <class T>
struct Gemm {
  const T* a;  // (M, K), K a multiple of 8
  const T* b;  // (K, N), N a multiple of 8
  float* c;    // (M, N)
  int m, n, k;
};

constexpr int PAD = 8;  // keeps the 8 rows of an ldmatrix in different banks

__device__ __forceinline__ void mma(float (&c)[4], const ptx::u32 (&a)[4], const ptx::u32 (&b)[2], __half) {
  ptx::mma_m16n8k16_f16(c, a, b);
}
__device__ __forceinline__ void mma(float (&c)[4], const ptx::u32 (&a)[4], const ptx::u32 (&b)[2], __nv_bfloat16) {
  ptx::mma_m16n8k16_bf16(c, a, b);
}

template <class T>
__global__ void __launch_bounds__(128) tensor_gemm(const __grid_constant__ Gemm<T> p) {
  __shared__ __align__(16) T tile_a[2][32][16 + PAD], tile_b[2][16][16 + PAD];
  const int i = threadIdx.x, lane = i % 32, warp = i / 32;
  const int row0 = blockIdx.y * 32, column0 = blockIdx.x * 16, steps = (p.k + 15) / 16;
  const auto fetch = [&](int s) {
    const int r = i % 64 / 2, part = i % 2 * 8;
    if (i < 64) {
      const bool valid = row0 + r < p.m && 16 * s + part < p.k;
      ptx::copy_async<16>(&tile_a[s % 2][r][part], p.a + (valid ? (row0 + r) * p.k + 16 * s + part : 0), valid);
    } else if (i < 96) {
      const bool valid = 16 * s + r < p.k && column0 + part < p.n;
      ptx::copy_async<16>(&tile_b[s % 2][r][part], p.b + (valid ? (16 * s + r) * p.n + column0 + part : 0), valid);
    }
  };
  float c[4] = {};
  fetch(0);
  ptx::copy_async_commit();
  for (int s = 0; s < steps; ++s) {
    if (s + 1 < steps) fetch(s + 1);
    ptx::copy_async_commit();  // empty in the last step: the count of groups stays the same
    ptx::copy_async_wait<1>();
    __syncthreads();
    ptx::u32 a[4], b[2];
#ifdef WRONG_LDMATRIX
    ptx::ldmatrix_x4(a, &tile_a[s % 2][warp / 2 * 16 + lane / 2][lane % 2 * 8]);
#else
    ptx::ldmatrix_x4(a, &tile_a[s % 2][warp / 2 * 16 + lane % 16][lane / 16 * 8]);
#endif
#ifdef NOT_TRANSPOSED
    ptx::ldmatrix_x2(b, &tile_b[s % 2][lane % 16][warp % 2 * 8]);
#else
    ptx::ldmatrix_x2_trans(b, &tile_b[s % 2][lane % 16][warp % 2 * 8]);
#endif
    mma(c, a, b, T());
#ifndef MISSING_BARRIER
    __syncthreads();
#endif
  }
  for (int j = 0; j < 4; ++j) {
    const int row = row0 + warp / 2 * 16 + lane / 4 + j / 2 * 8, column = column0 + warp % 2 * 8 + lane % 4 * 2 + j % 2;
    if (row < p.m && column < p.n) p.c[row * p.n + column] = c[j];
  }
}
