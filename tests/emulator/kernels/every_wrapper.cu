// Uses every wrapper of ptx.cuh and wgmma.cuh that the target has: compiled, never run.
#include "wgmma.cuh"

struct Everything {
  ptx::TensorMap map;
  float* out;             // (blocks, 16, 8)
  const float* in;        // (64,)
  unsigned int* flag;     // (1,)
  int n;
};

__global__ void every_wrapper(const __grid_constant__ Everything p) {
  __shared__ __align__(16) unsigned short tile[32][8];
  __shared__ __align__(16) float buffer[64];
  ptx::u32 r1[1], r2[2], r4[4];
  float c[4] = {ptx::exp2_fast(p.in[0]), ptx::exp_fast(p.in[1]), ptx::sigmoid_fast(p.in[2]), ptx::tanh_fast(p.in[3])};
  c[0] += ptx::tanh_coarse(c[1]);
  ptx::copy_async<4>(buffer, p.in, p.n > 1);
  ptx::copy_async<8>(buffer + 2, p.in + 2, p.n > 2);
  ptx::copy_async<16>(buffer + 4, p.in + 4, p.n > 4);
  ptx::copy_async_commit();
  ptx::copy_async_wait<1>();
  ptx::copy_async_wait<0>();
  __syncthreads();
  ptx::ldmatrix_x1(r1, tile[threadIdx.x % 32]);
  ptx::ldmatrix_x2(r2, tile[threadIdx.x % 32]);
  ptx::ldmatrix_x4(r4, tile[threadIdx.x % 32]);
  ptx::mma_m16n8k8_f16(c, r4[0], r4[1], r1[0]);
  ptx::mma_m16n8k16_f16(c, r4, r2);
  ptx::ldmatrix_x1_trans(r1, tile[threadIdx.x % 32]);
  ptx::ldmatrix_x2_trans(r2, tile[threadIdx.x % 32]);
  ptx::ldmatrix_x4_trans(r4, tile[threadIdx.x % 32]);
  r4[0] ^= ptx::to_tf32(c[0]) ^ r1[0];
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  ptx::mma_m16n8k16_bf16(c, r4, r2);
  ptx::mma_m16n8k8_tf32(c, r4, r2);
#endif
  ptx::named_barrier_sync(1, 32);
  ptx::named_barrier_arrive(2, 64);
  ptx::add_release(p.flag, 1);
  ptx::store_release(p.flag, ptx::load_acquire(p.flag));
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900 || defined(FORCE_SM90)
  __shared__ unsigned long long barrier;
  ptx::mbarrier_init(&barrier, 1);
  ptx::cluster_arrive();
  ptx::cluster_wait();
  const ptx::u32 to = ptx::map_rank(ptx::shared_address(buffer), ptx::cluster_rank() ^ 1);
  const ptx::u32 at = ptx::map_rank(ptx::shared_address(&barrier), ptx::cluster_rank() ^ 1);
  ptx::mbarrier_arrive(&barrier);
  ptx::mbarrier_arrive_expect(&barrier, 28);
  ptx::store_async(to, r4[0], at);
  ptx::store_async(to + 8, make_uint2(r4[0], r4[1]), at);
  ptx::store_async(to + 16, make_uint4(r4[0], r4[1], r4[2], r4[3]), at);
  ptx::mbarrier_wait(&barrier, 0);
  if (ptx::elect_one()) {
    ptx::load_tile_3d(buffer, &p.map, &barrier, 0, 1, 2);
    ptx::load_pixels_2d(buffer, &p.map, &barrier, 0, 1, 2, 3, 4, 5);
    ptx::load_pixels_3d(buffer, &p.map, &barrier, 0, 1, 2, 3, 4, 5, 6, 7);
  }
  ptx::fence_proxy_async();
#endif
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(FORCE_SM90A)
  float d[32] = {}, e[64] = {};
  const ptx::u64 a = ptx::wgmma_rows(tile);
  ptx::decrease_registers<120>();
  ptx::increase_registers<160>();
  ptx::wgmma_fence();
  ptx::wgmma_n64_f16(d, a, a, p.n > 1);
  ptx::wgmma_n64_bf16(d, a, a, true);
  ptx::wgmma_n128_f16(e, a, a, false);
  ptx::wgmma_n128_bf16(e, a, a, true);
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
  ptx::wgmma_hold(d);
  ptx::wgmma_hold(e);
  for (int i = 0; i < 64; ++i) c[i % 4] += d[i % 32] + e[i];
#endif
  for (int i = 0; i < 4; ++i) p.out[threadIdx.x * 4 + i] = c[i] + buffer[i] + __uint_as_float(r4[i]);
}
