// One box of a tensor comes by TMA and goes out as it lies, its swizzle undone; by way of two stages, LOADS times.
#include "wgmma.cuh"

struct alignas(64) Box {
  ptx::TensorMap map;
  unsigned short* y;  // (LOADS, rows, 64)
  int rows, c, w, h, d, n;
  int right, down, back;
  int more[5];
};

// KIND: 1 tiles of three axes, which start at (c, w, h); 2 and 3 pixels over so many axes.
template <int KIND>
__global__ void box(const __grid_constant__ Box p) {
  constexpr int LOADS = 5;
  extern __shared__ __align__(1024) unsigned short stage[];  // (2, rows, 64)
  __shared__ ptx::u64 full[2], empty[2];
  const int thread = threadIdx.x, size = p.rows * 64;
  if (thread < 2) {
    ptx::mbarrier_init(&full[thread], 1);
    ptx::mbarrier_init(&empty[thread], 32);
  }
#ifdef STORES_BEFORE
  stage[thread] = 1;
#endif
#ifndef MISSING_BARRIER
  __syncthreads();
#endif
  if (thread < 32) {
    if (!ptx::elect_one()) return;
    for (int i = 0; i < LOADS; ++i) {
      const int s = i % 2;
#ifdef WRONG_PHASE
      ptx::mbarrier_wait(&empty[s], i / 2 % 2);
#elif !defined(MISSING_EMPTY)
      ptx::mbarrier_wait(&empty[s], i / 2 % 2 ^ 1);
#endif
#ifdef SHORT_EXPECT
      ptx::mbarrier_arrive_expect(&full[s], size * 2 - 16);
#else
      ptx::mbarrier_arrive_expect(&full[s], size * 2);
#endif
      unsigned short* to = stage + s * size;
      if (KIND == 1) ptx::load_tile_3d(to, &p.map, &full[s], p.c, p.w, p.h);
      if (KIND == 2) ptx::load_pixels_2d(to, &p.map, &full[s], p.c, p.w, p.h, p.n, p.right, p.down);
      if (KIND == 3) ptx::load_pixels_3d(to, &p.map, &full[s], p.c, p.w, p.h, p.d, p.n, p.right, p.down, p.back);
    }
    return;
  }
  for (int i = 0; i < LOADS; ++i) {
    const int s = i % 2;
#ifndef MISSING_WAIT
    ptx::mbarrier_wait(&full[s], i / 2 % 2);
#endif
    for (int e = thread - 32; e < size; e += 32) {
      const int row = e / 64, chunk = e % 64 / 8 ^ row % 8;
      p.y[i * size + e] = stage[s * size + row * 64 + chunk * 8 + e % 8];
    }
    ptx::mbarrier_arrive(&empty[s]);
  }
}
