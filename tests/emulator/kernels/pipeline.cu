// y[i] = sum over tiles of a weighted, reversed tile: cp.async fetches tile s + 1 while tile s is used.
#include "ptx.cuh"

struct Stream {
  const float* x;  // (TILES * 256,), the last tile may be short
  float* y;        // (256,)
  int n;
};

// 64 threads, each copying 4 floats of a tile of 256.
__global__ void stream(const Stream p) {
  __shared__ __align__(16) float tile[2][256];
  const int i = threadIdx.x, tiles = (p.n + 255) / 256;
  const auto fetch = [&](int s) {
    const int at = 256 * s + 4 * i;
    ptx::copy_async<16>(&tile[s % 2][4 * i], p.x + (at < p.n ? at : 0), at < p.n);
    ptx::copy_async_commit();
  };
  float sum[4] = {};
  fetch(0);
  for (int s = 0; s < tiles; ++s) {
    if (s + 1 < tiles) fetch(s + 1);
#if defined(MISSING_WAIT)
#elif defined(WAIT_TOO_WEAK)
    ptx::copy_async_wait<1>();
#else
    if (s + 1 < tiles)
      ptx::copy_async_wait<1>();
    else
      ptx::copy_async_wait<0>();
#endif
#ifndef MISSING_BARRIER
    __syncthreads();
#endif
    for (int k = 0; k < 4; ++k) sum[k] += float(s + 1) * tile[s % 2][255 - (4 * i + k)];
    __syncthreads();
  }
#if defined(MISSING_WAIT) || defined(WAIT_TOO_WEAK)
  ptx::copy_async_wait<0>();
#endif
  for (int k = 0; k < 4; ++k) p.y[4 * i + k] = sum[k];
}
