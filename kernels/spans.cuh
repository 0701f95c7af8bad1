// Spans of elements between global and shared memory, 16 bytes at a time, whatever their address and length.
#pragma once

#include "storage.cuh"

// Where a span begins within 16 bytes, in elements: in shared memory it is given the same place, so that vectors are aligned on both sides.
template <class T>
__device__ __forceinline__ int lead(const T* p) {
    return int((unsigned long long)p / sizeof(T) % (16 / sizeof(T)));
}

// Copies count elements; to and from have the same lead. All THREADS threads of a block do it together.
template <int THREADS, class T>
__device__ __forceinline__ void move(T* to, const T* from, int count) {
    constexpr int V = 16 / sizeof(T);
    const int head = min((V - lead(from)) % V, count), vectors = (count - head) / V;
    for (int i = int(threadIdx.x); i < vectors; i += THREADS) store<T, V>(to + head + i * V, load<T, V>(from + head + i * V));
    for (int i = int(threadIdx.x); i < count - vectors * V; i += THREADS) {
        const int at = i < head ? i : i + vectors * V;
        to[at] = from[at];
    }
}
