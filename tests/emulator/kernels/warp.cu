// Sums of rows: shuffles inside a warp, shared memory between warps. Each macro plants one fault.
#include "ptx.cuh"

struct Rows {
  const float* x;         // (R, N)
  float* sum;             // (R,)
  float* scan;            // (R, 32): running sums of the first 32 columns
  unsigned int* positive; // (R,): which of the first 32 columns are above 0, as bits
  int n;
};

template <int WARPS>
__global__ void row_sums(const __grid_constant__ Rows p) {
  __shared__ float partial[WARPS];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row = blockIdx.x;
  float s = 0.0f;
  for (int i = threadIdx.x; i < p.n; i += blockDim.x) s += p.x[row * p.n + i];
#ifdef DIVERGENT_SHUFFLE
  if (lane < 16)
    for (int m = 16; m; m >>= 1) s += __shfl_xor_sync(0xffffffffu, s, m);
#else
  for (int m = 16; m; m >>= 1) s += __shfl_xor_sync(0xffffffffu, s, m);
#endif
#ifdef LOST_UPDATE
  if (threadIdx.x == 0)
    for (int i = 0; i < WARPS; ++i) partial[i] = 0.0f;
  __syncthreads();
  if (lane == 0) partial[0] = partial[0] + s;
#else
  if (lane == 0) partial[warp] = s;
#endif
#ifndef RACE_BETWEEN_WARPS
  __syncthreads();
#endif
  if (threadIdx.x == 0) {
    float total = 0.0f;
    for (int i = 0; i < WARPS; ++i) total += partial[i];
    p.sum[row] = total;
  }
  if (warp) return;
  const float first = lane < p.n ? p.x[row * p.n + lane] : 0.0f;
  float run = first;
  for (int by = 1; by < 32; by *= 2) {
    const float left = __shfl_up_sync(0xffffffffu, run, by);
    if (lane >= by) run += left;
  }
  p.scan[row * 32 + lane] = run;
  const unsigned bits = __ballot_sync(0xffffffffu, first > 0.0f);
  if (lane == 0) p.positive[row] = bits;
  const float back = __shfl_down_sync(0xffffffffu, run, 1, 8);  // in segments of 8 lanes
  if (lane == 7 && back != run) __trap();
}

struct Exchange {
  const float* x;  // (128,)
  float* y;        // (128,): x reversed in each half
};

// Two pairs of warps, each with a named barrier of its own.
__global__ void pairs(const __grid_constant__ Exchange p) {
  __shared__ float buffer[128];
  const int i = threadIdx.x, half = i / 64;
  buffer[i] = p.x[i];
#ifdef WRONG_NAMED_BARRIER
  ptx::named_barrier_sync(1 + i / 32, 32);
#else
  ptx::named_barrier_sync(1 + half, 64);
#endif
  p.y[i] = buffer[64 * half + 63 - i % 64];
}

// Warp 0 fills a buffer of two halves, warp 1 empties it: each half has a barrier for "full" and one for "empty".
__global__ void producer(const __grid_constant__ Exchange p) {
  __shared__ float half[2][32];
  const int lane = threadIdx.x % 32;
  const bool fills = threadIdx.x < 32;
  for (int s = 0; s < 4; ++s) {
    const int b = s % 2;
    if (fills) {
      if (s > 1) ptx::named_barrier_sync(3 + b, 64);
      half[b][lane] = p.x[32 * s + lane];
      ptx::named_barrier_arrive(1 + b, 64);
    } else {
      ptx::named_barrier_sync(1 + b, 64);
#ifdef EMPTY_TOO_EARLY
      if (s < 2) ptx::named_barrier_arrive(3 + b, 64);
      p.y[32 * s + lane] = 2.0f * half[b][31 - lane];
#else
      p.y[32 * s + lane] = 2.0f * half[b][31 - lane];
      if (s < 2) ptx::named_barrier_arrive(3 + b, 64);
#endif
    }
  }
}

// Each warp rotates its own 32 values through shared memory: __syncwarp is enough.
__global__ void rotate(const __grid_constant__ Exchange p) {
  __shared__ float buffer[128];
  const int i = threadIdx.x, warp = i / 32, lane = i % 32;
  for (int s = 0; s < 3; ++s) {
    buffer[i] = s ? buffer[i] + 1.0f : p.x[i];
    __syncwarp();
    const float next = buffer[32 * warp + (lane + 1) % 32];
#ifndef MISSING_WARP_BARRIER
    __syncwarp();
#endif
    buffer[i] = next;
  }
  p.y[i] = buffer[i];
}
