// Recurrent weights as operands of mma.m16n8k16 that stay in registers, and the product with the states of eight rows.
//
// Of every 32 k, a thread has 8 t .. 8 t + 7 in A and in B alike (t = lane % 4): 16 bytes, the first half for one mma and the second
// for the next. The sum does not mind in which order it gets its terms.
#pragma once

#include "ptx.cuh"
#include "storage.cuh"

constexpr int ROWS = 8;
// Rows of shared memory begin at 64 bytes modulo 128: the eight lanes that read 16 bytes at once find them in different banks.
constexpr int PAD = 32;

// c += a b without tensor cores: a lane asks the four lanes that have its row of a, and those that have its columns of b.
__device__ __forceinline__ void mma_of_shuffles(float (&c)[4], const ptx::u32 (&a)[4], const ptx::u32 (&b)[2]) {
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int from = i % 4, half = i / 4;
        ptx::u32 rows[2], columns[2];
#pragma unroll
        for (int j = 0; j < 2; ++j) {
            rows[j] = __shfl_sync(0xffffffffu, a[2 * half + j], 4 * g + from);
            columns[j] = __shfl_sync(0xffffffffu, b[half], 4 * (2 * t + j) + from);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            const ptx::u32 x = rows[j / 2], y = columns[j % 2];  // two bfloat16 each: the upper halves of floats
            c[j] = fmaf(__uint_as_float(x << 16), __uint_as_float(y << 16), c[j]);
            c[j] = fmaf(__uint_as_float(x & 0xffff0000u), __uint_as_float(y & 0xffff0000u), c[j]);
        }
    }
}

__device__ __forceinline__ void mma(float (&c)[4], const ptx::u32 (&a)[4], const ptx::u32 (&b)[2], __half) {
    ptx::mma_m16n8k16_f16(c, a, b);
}
__device__ __forceinline__ void mma(float (&c)[4], const ptx::u32 (&a)[4], const ptx::u32 (&b)[2], __nv_bfloat16) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    mma_of_shuffles(c, a, b);
#else
    ptx::mma_m16n8k16_bf16(c, a, b);
#endif
}

// How many of a thread's operands, of 16 bytes each, are brought in at once.
constexpr int ROOM = 4;

// A thread's part of 16 rows by K values of k.
template <class T, int K>
struct Weights {
    static_assert(K % (16 * ROOM) == 0, "whole turns");
    ptx::u32 a[K / 16][4];

    // room: shared, (ROOM, blockDim.x). element(row, k): row 0 .. 15.
    // NOTE: by way of shared memory, since a loop that fills registers is unrolled: all its loads at once spilled half of them.
    template <class Element>
    __device__ __forceinline__ void load(Vector<ptx::u32, 4>* room, const Element& element) {
        const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
        room += threadIdx.x;
#pragma unroll
        for (int first = 0; first < K / 16; first += ROOM) {
#pragma unroll 1
            for (int i = 0; i < ROOM; ++i) {
                Vector<T, 8> words;
#pragma unroll
                for (int j = 0; j < 8; ++j) {
                    const int k = 32 * ((first + i) / 2) + 8 * t + 4 * (i % 2) + 2 * (j / 4) + j % 2;
                    words.item[j] = element(g + 8 * (j / 2 % 2), k);
                }
                store<T, 8>(reinterpret_cast<T*>(room + i * blockDim.x), words);
            }
#pragma unroll
            for (int i = 0; i < ROOM; ++i) {
                const Vector<ptx::u32, 4> words = room[i * blockDim.x];
#pragma unroll
                for (int j = 0; j < 4; ++j) a[first + i][j] = words.item[j];
            }
        }
    }

    // c += the i-th 32 values of k times those of v, which a thread has loaded for its column.
    __device__ __forceinline__ void multiply(float (&c)[4], int i, const Vector<ptx::u32, 4>& v) const {
        const ptx::u32 low[2] = {v.item[0], v.item[1]}, high[2] = {v.item[2], v.item[3]};
        mma(c, a[2 * i], low, T());
        mma(c, a[2 * i + 1], high, T());
    }
};
