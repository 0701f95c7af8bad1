// One warpgroup multiplies a (64, 64) by the transpose of b (N, 64), in four products; the operands are stored by hand.
#include "wgmma.cuh"

struct Product {
  const unsigned short* a;  // (64, 64), bits of half or bfloat16
  const unsigned short* b;  // (N, 64)
  const float* c;           // (64, N)
  float* d;                 // (64, N) = a b' + c
};

__device__ int swizzled(int row, int chunk) { return row * 64 + (chunk ^ row % 8) * 8; }
// Without a swizzle: eight rows of 16 bytes in a core matrix, those along K next to each other.
__device__ int in_cores(int row, int chunk) { return (row / 8 * 8 + chunk) * 64 + row % 8 * 8; }

template <int N, bool BFLOAT>
__device__ void multiply(float (&d)[N / 2], ptx::u64 a, ptx::u64 b) {
  if constexpr (N == 64 && BFLOAT) ptx::wgmma_n64_bf16(d, a, b, true);
  if constexpr (N == 64 && !BFLOAT) ptx::wgmma_n64_f16(d, a, b, true);
  if constexpr (N == 128 && BFLOAT) ptx::wgmma_n128_bf16(d, a, b, true);
  if constexpr (N == 128 && !BFLOAT) ptx::wgmma_n128_f16(d, a, b, true);
}

// The same for operands in core matrices: 128 bytes from one to the next along K, 1024 along the rows.
__device__ ptx::u64 cores(const void* tile) {
  return (ptx::shared_address(tile) & 0x3ffff) >> 4 | ptx::u64(128 >> 4) << 16 | ptx::u64(1024 >> 4) << 32;
}

template <int N, bool BFLOAT, bool SWIZZLE>
__global__ void product(const Product p) {
  __shared__ __align__(1024) unsigned short a[64 * 64];
  __shared__ __align__(1024) unsigned short b[N * 64];
  const int thread = threadIdx.x, warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
  for (int i = thread; i < 64 * 64; i += 128) a[(SWIZZLE ? swizzled : in_cores)(i / 64, i % 64 / 8) + i % 8] = p.a[i];
  for (int i = thread; i < N * 64; i += 128) b[(SWIZZLE ? swizzled : in_cores)(i / 64, i % 64 / 8) + i % 8] = p.b[i];
#ifndef MISSING_PROXY_FENCE
  ptx::fence_proxy_async();
#endif
#ifndef MISSING_BARRIER
  __syncthreads();
#endif
  float d[N / 2];
  const auto place = [&](int i) { return (16 * warp + g + i / 2 % 2 * 8) * N + i / 4 * 8 + 2 * t + i % 2; };
  for (int i = 0; i < N / 2; ++i) d[i] = p.c[place(i)];
  const ptx::u64 rows = SWIZZLE ? ptx::wgmma_rows(a) : cores(a);
  ptx::u64 columns = SWIZZLE ? ptx::wgmma_rows(b) : cores(b);
#ifdef WRONG_STRIDE
  columns ^= ptx::u64(3) << 37;  // 512 bytes from eight rows to the next
#endif
#ifdef WRONG_SWIZZLE
  columns ^= ptx::u64(1) << 62;
#endif
#ifdef WRONG_BASE
  columns |= ptx::u64(1) << 49;
#endif
#ifndef MISSING_FENCE
  ptx::wgmma_fence();
#endif
  for (int k = 0; k < 4; ++k) {
    const int step = k * (SWIZZLE ? 2 : 16);
#ifdef WARPS_DIFFER
    multiply<N, BFLOAT>(d, rows + step, columns + (warp == 3 ? 0 : step));
#else
    multiply<N, BFLOAT>(d, rows + step, columns + step);
#endif
  }
#ifdef OVERWRITES_EARLY
  a[thread] = 0;
#endif
#ifndef MISSING_COMMIT
  ptx::wgmma_commit();
#endif
#ifdef MISSING_WAIT
  ptx::wgmma_wait<1>();
#else
  ptx::wgmma_wait<0>();
#endif
  ptx::wgmma_hold(d);
  for (int i = 0; i < N / 2; ++i) p.d[place(i)] = d[i];
#ifdef MISSING_WAIT
  ptx::wgmma_wait<0>();
#endif
}
