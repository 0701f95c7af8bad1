// All inline PTX of the project but what wgmma.cuh has: one tiny wrapper an instruction, each with its plain C++ meaning for the kernel emulator
// (XPNN_EMULATED) and, where an older GPU lacks the instruction, a fallback or a compile error that names what it needs.
//
// Warp-wide calls (mma_*, ldmatrix_*) are made by all 32 lanes. Below, g = lane / 4 and t = lane % 4. A 32-bit register
// of two 16-bit values holds the one with the smaller index in its low half.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#ifdef XPNN_EMULATED
#include <emulator_matrix.hpp>
#endif

namespace ptx {

using u32 = unsigned int;
using u64 = unsigned long long;

#define PTX_CALL __device__ __forceinline__
// Declared, never defined: ptxas names it when a kernel for an older GPU uses the wrapper, and only then.
extern "C" __device__ void this_ptx_wrapper_needs_compute_capability_8_0();
extern "C" __device__ void this_ptx_wrapper_needs_compute_capability_9_0();
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define PTX_SM80 1
#endif
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define PTX_SM90 1
#endif

// ---- Numbers

// x rounded to the 10 mantissa bits of tf32, to nearest, ties away from zero; the low 13 bits are zero.
PTX_CALL u32 to_tf32(float x) {
#if !defined(XPNN_EMULATED) && defined(PTX_SM80)
  u32 y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
#else
  const u32 u = __float_as_uint(x);
  return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;
#endif
}

// 2^x; relative error at most 2^-22 (ex2.approx), subnormal results are 0.
PTX_CALL float exp2_fast(float x) {
#ifdef XPNN_EMULATED
  return exp2f(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// e^x; relative error at most 2^-21 + |x| 2^-23: rounding x log2(e) moves the result by a part of |x|.
PTX_CALL float exp_fast(float x) { return exp2_fast(x * 1.44269504f); }

// 1 / (1 + e^-x); relative error at most 2^-20 for x > -4, absolute error at most 2^-21 everywhere.
PTX_CALL float sigmoid_fast(float x) { return __fdividef(1.0f, 1.0f + exp_fast(-x)); }

// tanh(x); relative error at most 2^-20. Near 0 an odd polynomial: 1 - 2 / (1 + e^2x) cancels there.
PTX_CALL float tanh_fast(float x) {
  const float a = fabsf(x), s = x * x;
  const float p = fmaf(fmaf(fmaf(1.6419191e-2f, s, -5.266402e-2f), s, 0.1332064f), s, -0.33332944f);
  const float small = fmaf(x * s, p, x);
  const float large = copysignf(1.0f - __fdividef(2.0f, 1.0f + exp_fast(2.0f * a)), x);
  return a < 0.55f ? small : large;
}

// tanh(x) in one instruction; relative error at most 2^-10.9: enough for values that are stored as bfloat16.
PTX_CALL float tanh_coarse(float x) {
#ifdef XPNN_EMULATED
  return tanhf(x);
#else
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// ---- Matrix products: c (16, 8) += a (16, K) b (K, 8), accumulated in float32

// float16, K = 8.
PTX_CALL void mma_m16n8k8_f16(float (&c)[4],   // (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1)
                              u32 a0,          // (g, 2t), (g, 2t+1)
                              u32 a1,          // (g+8, 2t), (g+8, 2t+1)
                              u32 b0) {        // (2t, g), (2t+1, g)
#ifdef XPNN_EMULATED
  emu::mma<__half, 8>(c, {a0, a1}, {b0});
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a0), "r"(a1), "r"(b0));
#endif
}

// float16, K = 16; before compute capability 8.0 two of K = 8.
PTX_CALL void mma_m16n8k16_f16(float (&c)[4],         // as above
                               const u32 (&a)[4],     // a[0], a[1] as above; a[2], a[3] the same for k + 8
                               const u32 (&b)[2]) {   // b[0] as above; b[1] the same for k + 8
#ifdef XPNN_EMULATED
  emu::mma<__half, 16>(c, {a[0], a[1], a[2], a[3]}, {b[0], b[1]});
#elif defined(PTX_SM80)
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  mma_m16n8k8_f16(c, a[0], a[1], b[0]);
  mma_m16n8k8_f16(c, a[2], a[3], b[1]);
#endif
}

// bfloat16, K = 16, laid out like float16. Compute capability 8.0.
PTX_CALL void mma_m16n8k16_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#ifdef XPNN_EMULATED
  emu::mma<__nv_bfloat16, 16>(c, {a[0], a[1], a[2], a[3]}, {b[0], b[1]});
#elif defined(PTX_SM80)
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  this_ptx_wrapper_needs_compute_capability_8_0();
#endif
}

// tf32, K = 8: float32 bits of which the low 13 are ignored (to_tf32 rounds them off first). Compute capability 8.0.
PTX_CALL void mma_m16n8k8_tf32(float (&c)[4],         // as above
                               const u32 (&a)[4],     // (g, t), (g+8, t), (g, t+4), (g+8, t+4)
                               const u32 (&b)[2]) {   // (t, g), (t+4, g)
#ifdef XPNN_EMULATED
  emu::mma<emu::tf32, 8>(c, {a[0], a[1], a[2], a[3]}, {b[0], b[1]});
#elif defined(PTX_SM80)
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  this_ptx_wrapper_needs_compute_capability_8_0();
#endif
}

// ---- Addresses

// The 32-bit address in the shared window of a pointer into this block's shared memory.
PTX_CALL u32 shared_address(const void* p) {  // any shared array
#ifdef XPNN_EMULATED
  return emu::shared_address(p);
#else
  return static_cast<u32>(__cvta_generic_to_shared(p));
#endif
}

// ---- ldmatrix: N 8x8 matrices of 16-bit elements from shared memory into registers

// Lane 8 n + i points at row i of matrix n: 8 elements, 16 bytes, aligned to 16. Register n then holds, of matrix n, the
// elements (g, 2t) and (g, 2t+1); transposed: (2t, g) and (2t+1, g).
#define PTX_LDMATRIX(NAME, N, SUFFIX, TRANSPOSED, REGISTERS, OUTPUTS)                                        \
  PTX_CALL void NAME(u32(&r)[N], const void* row) { /* row: shared, (8,) of 16 bits */                       \
    PTX_LDMATRIX_BODY(N, SUFFIX, TRANSPOSED, REGISTERS, OUTPUTS)                                             \
  }
#ifdef XPNN_EMULATED
#define PTX_LDMATRIX_BODY(N, SUFFIX, TRANSPOSED, REGISTERS, OUTPUTS) emu::ldmatrix<N, TRANSPOSED>(r, row);
#else
#define PTX_LIST(...) __VA_ARGS__
#define PTX_LDMATRIX_BODY(N, SUFFIX, TRANSPOSED, REGISTERS, OUTPUTS)                                          \
  asm volatile("ldmatrix.sync.aligned.m8n8." SUFFIX ".shared.b16 " REGISTERS ";"                              \
               : PTX_LIST OUTPUTS : "r"(shared_address(row)) : "memory");
#endif
#define PTX_OUT1 ("=r"(r[0]))
#define PTX_OUT2 ("=r"(r[0]), "=r"(r[1]))
#define PTX_OUT4 ("=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]))
PTX_LDMATRIX(ldmatrix_x1, 1, "x1", false, "{%0}, [%1]", PTX_OUT1)
PTX_LDMATRIX(ldmatrix_x2, 2, "x2", false, "{%0,%1}, [%2]", PTX_OUT2)
PTX_LDMATRIX(ldmatrix_x4, 4, "x4", false, "{%0,%1,%2,%3}, [%4]", PTX_OUT4)
PTX_LDMATRIX(ldmatrix_x1_trans, 1, "x1.trans", true, "{%0}, [%1]", PTX_OUT1)
PTX_LDMATRIX(ldmatrix_x2_trans, 2, "x2.trans", true, "{%0,%1}, [%2]", PTX_OUT2)
PTX_LDMATRIX(ldmatrix_x4_trans, 4, "x4.trans", true, "{%0,%1,%2,%3}, [%4]", PTX_OUT4)

// ---- cp.async: global to shared memory past the registers

template <int BYTES>
struct Word;
template <>
struct Word<4> { using type = u32; };
template <>
struct Word<8> { using type = uint2; };
template <>
struct Word<16> { using type = uint4; };

// Starts the copy of BYTES = 4, 8 or 16 bytes; with valid false, zeros are written and `from` is not read. The bytes are
// there for this thread after copy_async_wait, for others after a barrier that follows it. A plain copy before 8.0.
template <int BYTES>
PTX_CALL void copy_async(void* to,           // shared, (BYTES,), aligned to BYTES
                         const void* from,   // global, (BYTES,), aligned to BYTES
                         bool valid = true) {
#ifdef XPNN_EMULATED
  emu::copy_async(to, from, BYTES, valid ? BYTES : 0);
#elif defined(PTX_SM80)
  const u32 read = valid ? BYTES : 0;
  if (BYTES == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(read) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES), "r"(read)
                 : "memory");
#else
  using T = typename Word<BYTES>::type;
  T value = {};
  if (valid) value = *static_cast<const T*>(from);
  *static_cast<T*>(to) = value;
#endif
}

// Closes the group of copies that this thread started since the last commit.
PTX_CALL void copy_async_commit() {
#ifdef XPNN_EMULATED
  emu::copy_async_commit();
#elif defined(PTX_SM80)
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most LEFT of this thread's newest groups are still in flight.
template <int LEFT>
PTX_CALL void copy_async_wait() {
#ifdef XPNN_EMULATED
  emu::copy_async_wait(LEFT);
#elif defined(PTX_SM80)
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

// ---- Barriers of some warps of a block

// Waits for `threads` threads (a multiple of 32) at barrier id 1 .. 15; 0 is __syncthreads.
PTX_CALL void named_barrier_sync(int id, int threads) {
#ifdef XPNN_EMULATED
  emu::named_barrier(id, threads, true);
#else
  asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// Counts as one of the `threads` threads, without waiting.
PTX_CALL void named_barrier_arrive(int id, int threads) {
#ifdef XPNN_EMULATED
  emu::named_barrier(id, threads, false);
#else
  asm volatile("barrier.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

// ---- Flags in global memory, between blocks that run at the same time

// Reads a flag; what the writer did before its add_release or store_release is visible afterwards.
PTX_CALL u32 load_acquire(const u32* flag) {  // global, (1,)
#ifdef XPNN_EMULATED
  emu::poll("a flag");
  emu::atomic_order(flag, 4, 0);
  return emu::plain_load(flag);
#else
  u32 value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(flag) : "memory");
  return value;
#endif
}

PTX_CALL void store_release(u32* flag, u32 value) {  // global, (1,)
#ifdef XPNN_EMULATED
  atomicExch(flag, value);
#else
  asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
#endif
}

PTX_CALL void add_release(u32* flag, u32 value) {  // global, (1,)
#ifdef XPNN_EMULATED
  atomicAdd(flag, value);
#else
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(flag), "r"(value) : "memory");
#endif
}

// ---- mbarrier: arrivals and bytes that must be in before a phase ends. Compute capability 9.0 from here on.

#ifdef XPNN_EMULATED
#define PTX_90(MEANING, ...) MEANING
#elif defined(PTX_SM90)
#define PTX_90(MEANING, ...) __VA_ARGS__
#else
#define PTX_90(MEANING, ...) this_ptx_wrapper_needs_compute_capability_9_0()
#endif

// For one thread, before a barrier that all users pass: a phase ends after `count` arrivals and all expected bytes.
PTX_CALL void mbarrier_init(u64* barrier, int count) {  // barrier: shared, (1,)
  PTX_90(emu::mbarrier_init(barrier, count),
         asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
         asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"));
}

PTX_CALL void mbarrier_arrive(u64* barrier) {  // barrier: shared, (1,)
  PTX_90(emu::mbarrier_arrive(barrier, 0),
         asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory"));
}

// Arrives and announces that `bytes` bytes will come in this phase, by store_async or by TMA.
PTX_CALL void mbarrier_arrive_expect(u64* barrier, u32 bytes) {  // barrier: shared, (1,)
  PTX_90(emu::mbarrier_arrive(barrier, bytes),
         asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                      : "memory"));
}

// Whether the phase of this parity (0 for the first, then 1, 0, ...) has ended; acquires what came with it if so.
PTX_CALL bool mbarrier_try_wait(u64* barrier, u32 parity) {  // barrier: shared, (1,)
  u32 done = 0;
  PTX_90(done = emu::mbarrier_test(barrier, parity),
         asm volatile("{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2; "
                      "selp.u32 %0, 1, 0, p; }"
                      : "=r"(done) : "r"(shared_address(barrier)), "r"(parity) : "memory"));
  return done;
}

PTX_CALL void mbarrier_wait(u64* barrier, u32 parity) {  // barrier: shared, (1,)
  while (!mbarrier_try_wait(barrier, parity)) {
  }
}

// ---- Clusters

PTX_CALL u32 cluster_rank() {
  u32 rank = 0;
  PTX_90(rank = emu::cluster_rank(), asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank)));
  return rank;
}

// All threads of all blocks of the cluster arrive, then wait: what was written before is visible after.
PTX_CALL void cluster_arrive() {
  PTX_90(emu::cluster_arrive(), asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"));
}
PTX_CALL void cluster_wait() {
  PTX_90(emu::cluster_wait(), asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"));
}

// The address, in the block of that rank, of what lies at `address` (from shared_address) in this block.
PTX_CALL u32 map_rank(u32 address, u32 rank) {
  u32 mapped = 0;
  PTX_90(mapped = emu::map_rank(address, rank),
         asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank)));
  return mapped;
}

// Sends 4, 8 or 16 bytes to a block of the cluster. They are there when the phase of that block's mbarrier that expects
// them has ended; a block must not end before what is sent to it has come.
#define PTX_STORE_ASYNC(T, SUFFIX, VALUES, ...)                                                                       \
  PTX_CALL void store_async(u32 to, T v, u32 barrier) { /* both from map_rank, of one block; to aligned like T */     \
    PTX_90(emu::store_async(emu::shared_pointer(to), &v, sizeof(T), emu::shared_pointer(barrier)),                    \
           asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes." SUFFIX " [%0], " VALUES ", [%1];" :: \
                        "r"(to), "r"(barrier), __VA_ARGS__ : "memory"));                                              \
  }
PTX_STORE_ASYNC(u32, "b32", "%2", "r"(v))
PTX_STORE_ASYNC(uint2, "v2.b32", "{%2,%3}", "r"(v.x), "r"(v.y))
PTX_STORE_ASYNC(uint4, "v4.b32", "{%2,%3,%4,%5}", "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w))

}  // namespace ptx
