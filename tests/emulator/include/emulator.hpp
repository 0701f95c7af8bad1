// CUDA's words for g++: what a kernel needs to compile as C++17 and run on the CPU, one fiber a thread.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#define XPNN_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define __restrict__ __restrict
#define __align__(n) alignas(n)
#define EMU_PLAIN __attribute__((noinline, no_sanitize("thread")))  // its loads and stores are not watched

#include "emulator_types.hpp"

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emu {

struct Buffer {
  char* begin;
  size_t bytes;
  const char* name;
};

struct Launch {  // mirrored by ctypes in __init__.py
  dim3 grid, block;
  uint32_t cluster, cooperative, shared_bytes, order;
  uint64_t seed, limit, bands, buffer_count;
  const Buffer* buffers;
  const void* arguments;
};

[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
void touch(const void* address, size_t bytes, int kind);
void* shared_slot(int& slot, size_t bytes, size_t align, const char* array);
void* dynamic_shared();
int block_barrier(int predicate, int line);
void named_barrier(int id, int count, bool wait);
void warp_exchange(unsigned mask, const void* value, size_t bytes, void* all, const char* what, int line);
unsigned existing_lanes();
void atomic_order(const void* address, size_t bytes, int kind);
void fence();
void poll(const char* what);
void copy_async(void* to, const void* from, size_t bytes, size_t valid);
void copy_async_commit();
void copy_async_wait(size_t groups_left);
void mbarrier_init(void* barrier, int count);
void mbarrier_arrive(void* barrier, long expected_bytes);
bool mbarrier_test(void* barrier, unsigned parity);
void store_async(void* to, const void* value, size_t bytes, void* barrier);
void load_tile(void* to, const void* map, void* barrier, int x, int y, int z);
void load_pixels(void* to, const void* map, void* barrier, int rank, int c, int w, int h, int d, int n, int right, int down, int back);
void fence_proxy_async();
void wgmma(float* d, int n, uint64_t a, uint64_t b, bool add, bool bfloat);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(size_t groups_left);
void cluster_arrive();
void cluster_wait();
unsigned cluster_rank();
unsigned cluster_size();
uint32_t shared_address(const void* p);
void* shared_pointer(uint32_t address);
uint32_t map_rank(uint32_t address, unsigned rank);

inline int lane() {
  return int(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

// What every lane of the warp brought to this call. The values outside `mask` are meaningless.
template <class T>
struct Lanes {
  T of[32];
};
template <class T>
Lanes<T> gather(unsigned mask, const T& mine, const char* what, int line) {
  static_assert(sizeof(T) <= 64 && std::is_trivially_copyable<T>::value, "at most 64 plain bytes a lane");
  Lanes<T> lanes;
  warp_exchange(mask, &mine, sizeof(T), lanes.of, what, line);
  return lanes;
}

template <class T>
EMU_PLAIN T plain_load(const T* p) { return *p; }
template <class T>
EMU_PLAIN void plain_store(T* p, T v) { *p = v; }

template <class T, class F>
T atomic(T* p, F change) {
  atomic_order(p, sizeof(T), 3);
  const T old = plain_load(p);
  plain_store(p, T(change(old)));
  return old;
}

template <class P>
void call(void (*kernel)(P), const void* arguments) {
  kernel(*static_cast<const P*>(arguments));
}
template <class P>
constexpr size_t argument_bytes(void (*)(P)) {
  static_assert(std::is_trivially_copyable<P>::value && sizeof(P) <= 4096, "a kernel takes one plain struct");
  return sizeof(P);
}

}  // namespace emu

// Written by the Python side behind the kernel: the chosen instantiation.
extern "C" void emu_body(const void* arguments);
extern "C" const size_t emu_argument_bytes;

// `__shared__ T name[n];` becomes EMU_SHARED: a reference to storage of the running block.
#define EMU_SHARED(ALIGN, TYPE, NAME, DIMS)                                                             \
  typedef TYPE NAME##_shared_type DIMS;                                                                 \
  static int NAME##_shared_slot = -1;                                                                   \
  NAME##_shared_type& NAME = *static_cast<NAME##_shared_type*>(emu::shared_slot(                        \
      NAME##_shared_slot, sizeof(NAME##_shared_type),                                                   \
      alignof(NAME##_shared_type) > (ALIGN) ? alignof(NAME##_shared_type) : (ALIGN), #NAME))

#define EMU_PACK(...) __VA_ARGS__
#define EMU_LINE int line = __builtin_LINE()
inline void __syncthreads(EMU_LINE) { emu::block_barrier(0, line); }
inline int __syncthreads_count(int p, EMU_LINE) { return emu::block_barrier(p != 0, line); }
inline int __syncthreads_or(int p, EMU_LINE) { return emu::block_barrier(p != 0, line) != 0; }
inline int __syncthreads_and(int p, EMU_LINE) { return emu::block_barrier(p == 0, line) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu, EMU_LINE) {
  const int nothing = 0;
  emu::warp_exchange(mask, &nothing, 0, nullptr, "__syncwarp", line);
}
inline void __threadfence() { emu::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { emu::fence(); }
inline void __nanosleep(unsigned) { emu::poll("in __nanosleep"); }
inline void __trap() { emu::fail("__trap()"); }
inline long long clock64() { return 0; }

namespace emu {
template <class T>
T shuffle(unsigned mask, T value, int from, const char* what, int line) {
  const Lanes<T> all = gather(mask, value, what, line);
  if (!(mask >> from & 1)) fail("%s in line %d: lane %d reads lane %d, which is not in the mask", what, line, lane(), from);
  return all.of[from];
}
}  // namespace emu

template <class T>
T __shfl_sync(unsigned mask, T v, int from, int width = 32, EMU_LINE) {
  return emu::shuffle(mask, v, (emu::lane() & ~(width - 1)) | (from & (width - 1)), "__shfl_sync", line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, EMU_LINE) {
  const int lane = emu::lane(), from = lane ^ bits;
  return emu::shuffle(mask, v, from < (lane | (width - 1)) + 1 ? from : lane, "__shfl_xor_sync", line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, EMU_LINE) {
  const int lane = emu::lane(), from = lane + int(by);
  return emu::shuffle(mask, v, from <= (lane | (width - 1)) ? from : lane, "__shfl_down_sync", line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, EMU_LINE) {
  const int lane = emu::lane(), from = lane - int(by);
  return emu::shuffle(mask, v, from >= (lane & ~(width - 1)) ? from : lane, "__shfl_up_sync", line);
}
inline unsigned __ballot_sync(unsigned mask, int p, EMU_LINE) {
  const auto all = emu::gather(mask, p, "__ballot_sync", line);
  unsigned bits = 0;
  for (int i = 0; i < 32; ++i)
    if ((mask & emu::existing_lanes()) >> i & 1 && all.of[i]) bits |= 1u << i;
  return bits;
}
inline int __any_sync(unsigned mask, int p, EMU_LINE) { return __ballot_sync(mask, p, line) != 0; }
inline int __all_sync(unsigned mask, int p, EMU_LINE) { return __ballot_sync(mask, !p, line) == 0; }
inline unsigned __activemask() { return emu::existing_lanes(); }

template <class T, class V>
T atomicAdd(T* p, V v) { return emu::atomic(p, [=](T x) { return T(x + T(v)); }); }
template <class T, class V>
T atomicSub(T* p, V v) { return emu::atomic(p, [=](T x) { return T(x - T(v)); }); }
template <class T, class V>
T atomicMax(T* p, V v) { return emu::atomic(p, [=](T x) { return x > T(v) ? x : T(v); }); }
template <class T, class V>
T atomicMin(T* p, V v) { return emu::atomic(p, [=](T x) { return x < T(v) ? x : T(v); }); }
template <class T, class V>
T atomicAnd(T* p, V v) { return emu::atomic(p, [=](T x) { return T(x & T(v)); }); }
template <class T, class V>
T atomicOr(T* p, V v) { return emu::atomic(p, [=](T x) { return T(x | T(v)); }); }
template <class T, class V>
T atomicExch(T* p, V v) { return emu::atomic(p, [=](T) { return T(v); }); }
template <class T, class C, class V>
T atomicCAS(T* p, C c, V v) { return emu::atomic(p, [=](T x) { return x == T(c) ? T(v) : x; }); }
inline unsigned atomicInc(unsigned* p, unsigned n) {
  return emu::atomic(p, [=](unsigned x) { return x >= n ? 0u : x + 1; });
}

#include "emulator_math.hpp"
