// Inline PTX of Hopper beside ptx.cuh: the products of a whole warpgroup (wgmma), copies of boxes of a tensor (TMA), and what goes along.
//
// Loads of tensors need compute capability 9.0, products exactly sm_90a. In the emulator a tensor map is a plain description of 128
// bytes (tests/emulator/runtime/tma.hpp), on a GPU what the driver makes of it (xpnn/cuda/tensor_map.py).
#pragma once
#include "ptx.cuh"

namespace ptx {

extern "C" __device__ void this_ptx_wrapper_needs_sm_90a();
#ifdef XPNN_EMULATED
#define PTX_90A(MEANING, ...) MEANING
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define PTX_90A(MEANING, ...) __VA_ARGS__
#else
#define PTX_90A(MEANING, ...) this_ptx_wrapper_needs_sm_90a()
#endif

// ---- Warps and their registers

// True in one lane of the warp, which all lanes ask together.
PTX_CALL bool elect_one() {
  u32 elected = 0;
  PTX_90(emu::gather(0xffffffffu, 0, "elect.sync", 0); elected = emu::lane() == 0,
         asm volatile("{ .reg .pred p; elect.sync _|p, 0xffffffff; selp.u32 %0, 1, 0, p; }" : "=r"(elected)));
  return elected;
}

// All warps of a warpgroup ask for N registers a thread from now on: more (increase), or fewer than the kernel started with.
template <int N>
PTX_CALL void decrease_registers() {
  PTX_90A((void)0, asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)));
}
template <int N>
PTX_CALL void increase_registers() {
  PTX_90A((void)0, asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)));
}

// What this thread wrote into shared memory by ordinary stores can be read by wgmma and overwritten by TMA.
PTX_CALL void fence_proxy_async() {
  PTX_90(emu::fence_proxy_async(), asm volatile("fence.proxy.async.shared::cta;" ::: "memory"));
}

// ---- TMA: boxes of a tensor from global to shared memory, their bytes counted by an mbarrier

struct alignas(64) TensorMap {
  u64 words[16];
};

// A box (z, y, x) of a tensor of three axes, from there on; x is the innermost. What lies outside of the tensor is 0.
PTX_CALL void load_tile_3d(void* to,              // shared, as the map says, aligned to 1024
                           const TensorMap* map,  // in the kernel's argument
                           u64* barrier,          // shared, (1,)
                           int x, int y, int z) {
  PTX_90(emu::load_tile(to, map, barrier, x, y, z),
         asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], "
                      "[%1, {%3,%4,%5}], [%2];" ::"r"(shared_address(to)), "l"(map), "r"(shared_address(barrier)), "r"(x),
                      "r"(y), "r"(z) : "memory"));
}

// As many pixels as the map says, from place (h, w) of image n on, along its rows, then its columns, then its images; of each the
// channels from c on. What is read is the pixel `down` and `right` of each place; 0 outside of the image.
PTX_CALL void load_pixels_2d(void* to, const TensorMap* map, u64* barrier, int c, int w, int h, int n, int right, int down) {
  PTX_90(emu::load_pixels(to, map, barrier, 4, c, w, h, 0, n, right, down, 0),
         asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], "
                      "[%1, {%3,%4,%5,%6}], [%2], {%7,%8};" ::"r"(shared_address(to)), "l"(map),
                      "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(n),
                      "h"(static_cast<unsigned short>(right)), "h"(static_cast<unsigned short>(down)) : "memory"));
}

// The same over three axes.
PTX_CALL void load_pixels_3d(void* to, const TensorMap* map, u64* barrier, int c, int w, int h, int d, int n, int right,
                             int down, int back) {
  PTX_90(emu::load_pixels(to, map, barrier, 5, c, w, h, d, n, right, down, back),
         asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], "
                      "[%1, {%3,%4,%5,%6,%7}], [%2], {%8,%9,%10};" ::"r"(shared_address(to)), "l"(map),
                      "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(d), "r"(n),
                      "h"(static_cast<unsigned short>(right)), "h"(static_cast<unsigned short>(down)),
                      "h"(static_cast<unsigned short>(back)) : "memory"));
}

// ---- wgmma: d (64, N) += a (64, 16) b (16, N) of 16 bits by the four warps of a warpgroup, from shared memory, in float32
//
// Asynchronous: a, b and d are in use until the wait for the group of the product. Thread 32 w + 4 g + t of the warpgroup has of d,
// in element 4 j + 2 i + e, row 16 w + g + 8 i and column 8 j + 2 t + e.

// Says where an operand lies: rows of 64 elements of 16 bits, 128 bytes, in groups of eight that are 1024 bytes and aligned to that,
// in the order of TMA's swizzle of 128 bytes. K goes along a row: 16 elements on are 2 more in the descriptor.
PTX_CALL u64 wgmma_rows(const void* tile) {  // shared, (rows, 64)
  constexpr u64 GROUP = 1024 >> 4, SWIZZLE_128 = 1;
  return static_cast<u64>((shared_address(tile) & 0x3ffff) >> 4) | 1 << 16 | GROUP << 32 | SWIZZLE_128 << 62;
}

// Before the first product, and after the registers d were touched otherwise.
PTX_CALL void wgmma_fence() { PTX_90A(emu::wgmma_fence(), asm volatile("wgmma.fence.sync.aligned;" ::: "memory")); }

// Closes the group of the products since the last commit.
PTX_CALL void wgmma_commit() { PTX_90A(emu::wgmma_commit(), asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory")); }

// Waits until at most LEFT of the newest groups are still in flight.
template <int LEFT>
PTX_CALL void wgmma_wait() {
  PTX_90A(emu::wgmma_wait(LEFT), asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory"));
}

// Keeps the compiler from moving a use of d to the other side of a wait.
template <int N>
PTX_CALL void wgmma_hold(float (&d)[N]) {
#ifndef XPNN_EMULATED
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i])::"memory");
#endif
}

#define PTX_F8(I) \
  "+f"(d[I]), "+f"(d[I + 1]), "+f"(d[I + 2]), "+f"(d[I + 3]), "+f"(d[I + 4]), "+f"(d[I + 5]), "+f"(d[I + 6]), "+f"(d[I + 7])
#define PTX_F32(I) PTX_F8(I), PTX_F8(I + 8), PTX_F8(I + 16), PTX_F8(I + 24)
#define PTX_R32                                                                                       \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26," \
  "%27,%28,%29,%30,%31"
#define PTX_R64                                                                                         \
  PTX_R32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54," \
          "%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define PTX_LIST2(...) __VA_ARGS__

// With add false d is overwritten. All threads of the warpgroup bring the same a, b and add.
#define PTX_WGMMA(NAME, N, TYPE, EMULATED, REGISTERS, A, B, ADD, OUTPUTS)                                             \
  PTX_CALL void NAME(float(&d)[N / 2], u64 a, u64 b, bool add) {                                                      \
    PTX_90A(emu::wgmma(d, N, a, b, add, EMULATED),                                                                    \
            asm volatile("{ .reg .pred p; setp.ne.b32 p, " ADD ", 0; wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." \
                         TYPE "." TYPE " {" REGISTERS "}, " A ", " B ", p, 1, 1, 0, 0; }"                             \
                         : PTX_LIST2 OUTPUTS : "l"(a), "l"(b), "r"(static_cast<int>(add))));                          \
  }
PTX_WGMMA(wgmma_n64_f16, 64, "f16", false, PTX_R32, "%32", "%33", "%34", (PTX_F32(0)))
PTX_WGMMA(wgmma_n64_bf16, 64, "bf16", true, PTX_R32, "%32", "%33", "%34", (PTX_F32(0)))
PTX_WGMMA(wgmma_n128_f16, 128, "f16", false, PTX_R64, "%64", "%65", "%66", (PTX_F32(0), PTX_F32(32)))
PTX_WGMMA(wgmma_n128_bf16, 128, "bf16", true, PTX_R64, "%64", "%65", "%66", (PTX_F32(0), PTX_F32(32)))

}  // namespace ptx
