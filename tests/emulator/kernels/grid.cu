// All blocks at once: a barrier over the grid by a counter in global memory. And sums by atomics.
#include "ptx.cuh"

struct Grid {
  float* x;               // (2, blocks * threads)
  unsigned int* arrived;  // (1,), zero before the launch
  int steps;
};

__device__ void grid_barrier(unsigned int* arrived, unsigned int goal) {
  __syncthreads();
  if (threadIdx.x == 0) {
    ptx::add_release(arrived, 1);
    while (ptx::load_acquire(arrived) < goal) {
    }
  }
  __syncthreads();
}

// Every step, an element becomes the mean of its neighbours' last values.
__global__ void smooth(const Grid p) {
  const int n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
  for (int s = 0; s < p.steps; ++s) {
    const float* from = p.x + (s % 2) * n;
    p.x[(1 - s % 2) * n + i] = 0.5f * (from[(i + 1) % n] + from[(i + n - 1) % n]);
#ifdef MISSING_GRID_BARRIER
    __syncthreads();
#else
    grid_barrier(p.arrived, gridDim.x * (s + 1));
#endif
  }
}

struct Sums {
  const float* x;         // (blocks * threads,)
  float* total;           // (1,)
  unsigned int* counts;   // (8,): how many elements have |x| in [k, k + 1)
};

__global__ void sums(const Sums p) {
  const float x = p.x[blockIdx.x * blockDim.x + threadIdx.x];
  const int bin = fabsf(x) < 7.0f ? int(fabsf(x)) : 7;
#ifdef PLAIN_ADD
  p.counts[bin] += 1;
#else
  atomicAdd(&p.counts[bin], 1u);
#endif
#ifdef FLOAT_ATOMICS
  atomicAdd(p.total, x);
#else
  if (threadIdx.x == 0 && blockIdx.x == 0) *p.total = 0.0f;
#endif
}

struct Partial {
  const float* x;         // (blocks, threads)
  float* partial;         // (blocks,)
  float* total;           // (1,)
  unsigned int* arrived;  // (1,), zero before the launch
};

// The last block to arrive adds up what all have left, in a fixed order.
__global__ void last_block(const __grid_constant__ Partial p) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    float sum = 0.0f;
    for (int i = 0; i < blockDim.x; ++i) sum += p.x[blockIdx.x * blockDim.x + i];
    p.partial[blockIdx.x] = sum;
#ifndef MISSING_COUNTER
    __threadfence();
    last = atomicInc(p.arrived, gridDim.x - 1) == gridDim.x - 1;
#else
    last = blockIdx.x == gridDim.x - 1;
#endif
  }
  __syncthreads();
  if (!last || threadIdx.x) return;
  float sum = 0.0f;
  for (int i = 0; i < gridDim.x; ++i) sum += p.partial[i];
  *p.total = sum;
}

struct Spin {
  volatile int* flag;  // (1,)
};

__global__ void wait_for_ever(const Spin p) {
  while (*p.flag == 0) {
  }
}
