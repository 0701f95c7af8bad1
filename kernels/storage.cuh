// Elements in memory and in arithmetic: float, half and bfloat16 are stored, float is computed with; N of them move at once.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

// x rounded to nearest even, into the type that the pointer names.
__device__ __forceinline__ void store_float(float* p, float x) { *p = x; }
__device__ __forceinline__ void store_float(__half* p, float x) { *p = __float2half_rn(x); }
__device__ __forceinline__ void store_float(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }

// N elements that one instruction moves; the address must be a multiple of their size, at most 16 bytes.
template <class T, int N>
struct alignas(sizeof(T) * N) Vector {
    T item[N];
};

template <class T, int N>
__device__ __forceinline__ Vector<T, N> load(const T* p) {
    return *reinterpret_cast<const Vector<T, N>*>(p);
}

template <class T, int N>
__device__ __forceinline__ void store(T* p, const Vector<T, N>& v) {
    *reinterpret_cast<Vector<T, N>*>(p) = v;
}
