// One warp, one tensor-core product; every fragment is gathered by hand from the documented layout.
#include "ptx.cuh"

template <class T>
struct Product {
  const T* a;      // (16, K)
  const T* b;      // (K, 8)
  const float* c;  // (16, 8)
  float* d;        // (16, 8) = a b + c
};

__device__ unsigned pair(unsigned low, unsigned high) { return low | high << 16; }

// 16-bit operands, passed as their bits.
template <int K, bool BFLOAT>
__global__ void product16(const Product<unsigned short> p) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  ptx::u32 a[K / 4], b[K / 8];
  for (int h = 0; h < K / 8; ++h) {
    for (int r = 0; r < 2; ++r) {
      const unsigned short* at = p.a + (g + 8 * r) * K + 8 * h + 2 * t;
      a[2 * h + r] = pair(at[0], at[1]);
    }
#ifdef WRONG_INDEX
    const unsigned short* at = p.b + (8 * h + t) * 8 + g;
#else
    const unsigned short* at = p.b + (8 * h + 2 * t) * 8 + g;
#endif
    b[h] = pair(at[0], at[8]);
  }
  float c[4];
  for (int i = 0; i < 4; ++i) c[i] = p.c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  if constexpr (K == 8)
    ptx::mma_m16n8k8_f16(c, a[0], a[1], b[0]);
  else if constexpr (BFLOAT)
    ptx::mma_m16n8k16_bf16(c, a, b);
  else
    ptx::mma_m16n8k16_f16(c, a, b);
  for (int i = 0; i < 4; ++i) p.d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = c[i];
}

template <bool ROUND>
__global__ void product_tf32(const Product<float> p) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  const auto operand = [](float x) { return ROUND ? ptx::to_tf32(x) : __float_as_uint(x); };
  ptx::u32 a[4], b[2];
  for (int i = 0; i < 4; ++i) a[i] = operand(p.a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
  for (int i = 0; i < 2; ++i) b[i] = operand(p.b[(t + 4 * i) * 8 + g]);
  float c[4];
  for (int i = 0; i < 4; ++i) c[i] = p.c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
  ptx::mma_m16n8k8_tf32(c, a, b);
  for (int i = 0; i < 4; ++i) p.d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = c[i];
}

struct Load {
  const unsigned short* x;  // (N, 8, 8)
  unsigned int* y;          // (N, 32): register n of each lane
};

template <int N, bool TRANSPOSED>
__global__ void load_matrix(const Load p) {
  __shared__ __align__(16) unsigned short x[N][8][8];
  const int lane = threadIdx.x;
  for (int i = lane; i < N * 64; i += 32) x[i / 64][i / 8 % 8][i % 8] = p.x[i];
  __syncwarp();
  ptx::u32 r[N];
  const void* row = x[lane / 8 % N][lane % 8];
  if constexpr (N == 1 && TRANSPOSED) ptx::ldmatrix_x1_trans(r, row);
  if constexpr (N == 2 && TRANSPOSED) ptx::ldmatrix_x2_trans(r, row);
  if constexpr (N == 4 && TRANSPOSED) ptx::ldmatrix_x4_trans(r, row);
  if constexpr (N == 1 && !TRANSPOSED) ptx::ldmatrix_x1(r, row);
  if constexpr (N == 2 && !TRANSPOSED) ptx::ldmatrix_x2(r, row);
  if constexpr (N == 4 && !TRANSPOSED) ptx::ldmatrix_x4(r, row);
  for (int n = 0; n < N; ++n) p.y[n * 32 + lane] = r[n];
}
