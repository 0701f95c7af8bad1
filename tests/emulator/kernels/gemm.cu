// c = a b in tiles of 16: the smallest kernel with everything a tile needs. Each macro plants one fault.

struct Gemm {
  const float* a;  // (M, K)
  const float* b;  // (K, N)
  float* c;        // (M, N)
  int m, n, k;
};

template <int TILE>
__global__ void __launch_bounds__(TILE* TILE) gemm(const __grid_constant__ Gemm p) {
  __shared__ float tile_a[TILE][TILE];
  __shared__ __align__(16) float tile_b[TILE][TILE + 1];
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * TILE + y, column = blockIdx.x * TILE + x;
  float sum = 0.0f;
#ifdef EARLY_EXIT
  if (row >= p.m) return;
#endif
  for (int k = 0; k < p.k; k += TILE) {
#ifdef READS_PAST_END
    tile_a[y][x] = p.a[row * p.k + k + x];
#elif defined(UNINITIALISED)
    if (row < p.m && k + x < p.k) tile_a[y][x] = p.a[row * p.k + k + x];
#else
    tile_a[y][x] = row < p.m && k + x < p.k ? p.a[row * p.k + k + x] : 0.0f;
#endif
    tile_b[y][x] = k + y < p.k && column < p.n ? p.b[(k + y) * p.n + column] : 0.0f;
#ifdef DIVERGENT
    if (y < TILE / 2)
      __syncthreads();
    else
      __syncthreads();
#else
    __syncthreads();
#endif
#pragma unroll
    for (int i = 0; i < TILE; ++i) sum += tile_a[y][i] * tile_b[i][x];
#ifdef SHARED_PAST_END
    sum += tile_b[TILE][x];
#endif
#ifdef MISALIGNED
    const float4 four = *reinterpret_cast<const float4*>(&tile_b[0][1]);
    sum += four.x + four.w;
#endif
#ifndef MISSING_BARRIER
    __syncthreads();
#endif
  }
#ifdef WRITES_PAST_END
  if (column < p.n) p.c[row * p.n + column] = sum;
#else
  if (row < p.m && column < p.n) p.c[row * p.n + column] = sum;
#endif
}
