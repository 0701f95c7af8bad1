// Many arrays in one launch: each is cut into chunks, a block works on one chunk at a time.
//
// The host makes two tables in memory of the device, the same for all arrays of these sizes (xpnn/cuda/chunks.py):
//   rows (arrays, 4): elements, elements of a chunk, number of the first chunk, place in a flat buffer of all arrays
//   owner (chunks): the array that a chunk belongs to
// Chunks, and places in the flat buffer, begin at multiples of 16 bytes of their array.
#pragma once

#include "spans.cuh"

constexpr int CHUNK_THREADS = 256;
// As many pointers as fit into the 4 KB of arguments, with some room for numbers.
constexpr int ARRAYS = 480;

struct Chunk {
    int array;
    long long begin, end;   // elements of the array
    long long first, count; // chunks of the array
    long long place;        // of the array in the flat buffer
};

__device__ __forceinline__ Chunk find_chunk(const long long* rows, const int* owner, int chunk) {
    const int array = owner[chunk];
    const long long elements = rows[4 * array], step = rows[4 * array + 1], first = rows[4 * array + 2];
    const long long begin = (chunk - first) * step;
    const long long end = begin + step < elements ? begin + step : elements;
    return {array, begin, end, first, (elements - 1) / step + 1, rows[4 * array + 3]};
}

__device__ __forceinline__ bool on_vector(const void* p) { return reinterpret_cast<unsigned long long>(p) % 16 == 0; }

// How many elements of an array come before its first vector.
template <class T>
__device__ __forceinline__ int head_of(const T* p) {
    return (16 / int(sizeof(T)) - lead(p)) % (16 / int(sizeof(T)));
}

// Calls work.template run<N>(i) for elements i ... i + N - 1, until all of the chunk are done once: N = 16 / sizeof(T) from the
// `head`-th one on, 1 before it and for the tail, 1 for all if head is negative: the work's arrays are not on vectors together.
template <class T, class Work>
__device__ __forceinline__ void for_chunk(const Chunk& c, int head, Work& work) {
    constexpr int N = 16 / sizeof(T);
    const long long from = head < 0 ? c.end : min(c.begin + head, c.end), moved = (c.end - from) / N * N;
    for (long long i = from + int(threadIdx.x) * N; i < from + moved; i += CHUNK_THREADS * N) work.template run<N>(i);
    for (long long i = c.begin + int(threadIdx.x); i < c.end - moved; i += CHUNK_THREADS) {
        work.template run<1>(i < from ? i : i + moved);
    }
}
