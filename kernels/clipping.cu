// clipping: gradients scaled so that the norm of all of them together is at most max_norm.
//
//   norm = sqrt(sum of g^2 over all arrays),   out = g * min(max_norm / (norm + 1e-6), 1)
//
// Two launches: square_sums leaves a sum for each of its blocks, clip_scale adds these up, in every block anew and in the same order,
// and scales. T is float, __half or __nv_bfloat16; squares, sums and norm are float. A nan anywhere makes all of out nan.

#include "chunks.cuh"
#include "reduce.cuh"
#include "storage.cuh"

template <class T>
struct SquareSumsArguments {
    const T* g[ARRAYS];     // gradients; the last ones may be missing
    const long long* rows;  // (arrays, 4)
    const int* owner;       // (chunks)
    float* sums;            // (blocks)
    int chunks;
};

template <class T>
struct Squares {
    const T* g;
    float sum;

    template <int N>
    __device__ __forceinline__ void run(long long i) {
        const Vector<T, N> v = load<T, N>(g + i);
#pragma unroll
        for (int n = 0; n < N; ++n) {
            const float x = to_float(v.item[n]);
            sum += x * x;
        }
    }
};

template <class T>
__global__ void __launch_bounds__(CHUNK_THREADS) square_sums(const __grid_constant__ SquareSumsArguments<T> a) {
    __shared__ float room[32];
    Squares<T> work = {nullptr, 0.0f};
    for (int chunk = int(blockIdx.x); chunk < a.chunks; chunk += int(gridDim.x)) {
        const Chunk c = find_chunk(a.rows, a.owner, chunk);
        work.g = a.g[c.array];
        for_chunk<T>(c, head_of(work.g), work);
    }
    const float sum = block_reduce<Add, CHUNK_THREADS>(work.sum, room);
    if (threadIdx.x == 0) a.sums[blockIdx.x] = sum;
}

template <class T>
struct ClipScaleArguments {
    const T* g[ARRAYS];     // gradients; the last ones may be missing
    const long long* rows;  // (arrays, 4)
    const int* owner;       // (chunks)
    T* out;                 // the flat buffer of all arrays
    float* norm;            // (1), or null: not wanted
    const float* sums;      // (count), of all launches of square_sums
    int count;
    int chunks;
    float max_norm;
};

template <class T>
struct Scaling {
    const T* g;
    T* out;
    float scale;

    template <int N>
    __device__ __forceinline__ void run(long long i) {
        Vector<T, N> v = load<T, N>(g + i);
#pragma unroll
        for (int n = 0; n < N; ++n) store_float(&v.item[n], to_float(v.item[n]) * scale);
        store<T, N>(out + i, v);
    }
};

template <class T>
__global__ void __launch_bounds__(CHUNK_THREADS) clip_scale(const __grid_constant__ ClipScaleArguments<T> a) {
    __shared__ float room[32];
    float sum = 0.0f;
    for (int i = int(threadIdx.x); i < a.count; i += CHUNK_THREADS) sum += a.sums[i];
    const float norm = sqrtf(block_reduce<Add, CHUNK_THREADS>(sum, room));
    if (a.norm != nullptr && blockIdx.x == 0 && threadIdx.x == 0) a.norm[0] = norm;
    const float wanted = a.max_norm / (norm + 1e-6f);
    Scaling<T> work = {nullptr, nullptr, wanted > 1.0f ? 1.0f : wanted};  // not fminf, which would lose a nan
    for (int chunk = int(blockIdx.x); chunk < a.chunks; chunk += int(gridDim.x)) {
        const Chunk c = find_chunk(a.rows, a.owner, chunk);
        work.g = a.g[c.array];
        work.out = a.out + c.place;
        for_chunk<T>(c, lead(work.g) == lead(work.out) ? head_of(work.g) : -1, work);
    }
}
