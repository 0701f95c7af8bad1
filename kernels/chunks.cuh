// Many arrays in one launch: each is cut into chunks, a block works on one chunk at a time.
//
// The host makes two tables in memory of the device, the same for all arrays of these sizes (xpnn/cuda/chunks.py):
//   rows (arrays, 4): elements, elements of a chunk, number of the first chunk, place in a flat buffer of all arrays
//   owner (chunks): the array that a chunk belongs to
// Chunks, and places in the flat buffer, begin at multiples of 16 bytes of their array.
#pragma once

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

// Calls work.template run<N>(i) for elements i ... i + N - 1, until all of the chunk are done once: N = 16 / sizeof(T) where
// that is aligned, 1 for the tail and where it is not.
template <class T, class Work>
__device__ __forceinline__ void for_chunk(const Chunk& c, bool aligned, Work& work) {
    constexpr int N = 16 / sizeof(T);
    const long long whole = aligned ? c.end - (c.end - c.begin) % N : c.begin;
    for (long long i = c.begin + int(threadIdx.x) * N; i < whole; i += CHUNK_THREADS * N) work.template run<N>(i);
    for (long long i = whole + int(threadIdx.x); i < c.end; i += CHUNK_THREADS) work.template run<1>(i);
}
