// The words that the other kernels do not use: dynamic shared memory, voting barriers, 3-D blocks, half arithmetic.
#include "ptx.cuh"

struct Words {
  const float* x;     // (blocks, 64)
  __half* halves;     // (blocks, 64): 2 x + 1 in float16
  int* votes;         // (blocks, 3): how many x > 0, whether any is > 2, whether all are > -2
  int* most;          // (2,): the largest int(100 x); how often a thread of an even index took a turn
};

__constant__ float SCALE = 2.0f;

// Blocks of (4, 4, 4) threads; 64 floats of dynamic shared memory.
__global__ void words(const __grid_constant__ Words p) {
  extern __shared__ __align__(16) float values[];
  __shared__ int first, count[2];
  const int i = threadIdx.x + 4 * threadIdx.y + 16 * threadIdx.z, at = blockIdx.x * 64 + i;
  if (i == 0) first = 63, count[0] = 0;
  values[i] = p.x[at];
  const int positive = __syncthreads_count(values[i] > 0.0f);
#ifdef DYNAMIC_PAST_END
  const float mirrored = values[first - i + 1];
#else
  const float mirrored = values[first - i];
#endif
  const int any = __syncthreads_or(mirrored > 2.0f), all = __syncthreads_and(mirrored > -2.0f);
  if (i == 0) p.votes[3 * blockIdx.x] = positive, p.votes[3 * blockIdx.x + 1] = any, p.votes[3 * blockIdx.x + 2] = all;
  const __half2 pair = __hfma2(__floats2half2_rn(values[i], values[i]), __float2half2_rn(SCALE), __float2half2_rn(1.0f));
  p.halves[at] = __low2half(pair);
  atomicMax(&p.most[0], int(100.0f * values[i]));
  if (i % 2 == 0) {
    for (int seen = 0, next; (next = atomicCAS(&count[0], seen, seen + 1)) != seen;) seen = next;
    atomicAdd(&p.most[1], 1);
  }
  __syncthreads();
  if (count[0] != 32) __trap();
#ifdef MEMSET_PAST_END
  if (at == 0) memset(p.halves + 64 * gridDim.x, 0, 4);
#endif
}

struct Locals {
  float* y;  // (32,)
  int n;
};

// An index past the end of a local array: only AddressSanitizer sees it.
__global__ void locals(const Locals p) {
  float table[4] = {1.0f, 2.0f, 3.0f, 4.0f};
  p.y[threadIdx.x] = 0.0f;
  for (int i = 0; i < p.n; ++i) table[i] *= p.y[threadIdx.x] + float(i);
  p.y[threadIdx.x] = table[threadIdx.x % 4];
}
