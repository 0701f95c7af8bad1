// Blocks of a cluster pass 32 vectors of 4 floats round the ring for some steps: st.async, counted by an mbarrier.
#include "ptx.cuh"

struct Ring {
  const float* x;  // (blocks, 32, 4)
  float* y;        // (blocks, 32, 4): x of the block `steps` places back, times 2 for each step
  int steps;
};

template <int BLOCKS>
__global__ void __cluster_dims__(BLOCKS, 1, 1) ring(const __grid_constant__ Ring p) {
  __shared__ __align__(16) float4 inbox[2][32];
  __shared__ ptx::u64 full[2];
  const int i = threadIdx.x;
  const ptx::u32 next = (ptx::cluster_rank() + 1) % BLOCKS;
  if (i < 2) ptx::mbarrier_init(&full[i], 1);
#ifndef MISSING_CLUSTER_BARRIER
  ptx::cluster_arrive();
  ptx::cluster_wait();
#endif
  float4 v = reinterpret_cast<const float4*>(p.x)[blockIdx.x * 32 + i];
  for (int s = 0; s < p.steps; ++s) {
    const int b = s % 2;
#ifndef MISSING_EXPECT
    if (i == 0) ptx::mbarrier_arrive_expect(&full[b], sizeof inbox[b]);
#endif
    const uint4 words = make_uint4(__float_as_uint(v.x), __float_as_uint(v.y), __float_as_uint(v.z), __float_as_uint(v.w));
    ptx::store_async(ptx::map_rank(ptx::shared_address(&inbox[b][i]), next), words,
                     ptx::map_rank(ptx::shared_address(&full[b]), next));
#ifdef LEAVES_EARLY
    if (s + 1 == p.steps) return;
#endif
#ifndef DROPPED_WAIT
    ptx::mbarrier_wait(&full[b], s / 2 % 2);
#endif
    v = inbox[b][31 - i];
    v = make_float4(2 * v.x, 2 * v.y, 2 * v.z, 2 * v.w);
#ifndef MISSING_STEP_BARRIER
    ptx::cluster_arrive();
    ptx::cluster_wait();
#endif
  }
  reinterpret_cast<float4*>(p.y)[blockIdx.x * 32 + i] = v;
}
