// Rows of an array (outer, length, inner) along length: how the threads of a block share them, and what they know of one so far.
//
// A team of threads, 1 to all of a block, walks a row, or ACROSS N rows that lie side by side. Where inner is 1 the members of
// a team are neighbours and load N elements of their row at once; else neighbours belong to neighbouring rows and load one
// element of N rows. A row may be cut into pieces, for several blocks: one launch for what each piece says, one for the rest.
#pragma once

#include "reduce.cuh"
#include "storage.cuh"

constexpr int THREADS = 256;

// Loads that a thread has in flight; they stay in registers where they are the whole row.
template <int N>
constexpr int FLIGHT = N == 1 ? 4 : 2;
// Blocks that a multiprocessor shall hold, 0 for as many as the compiler likes. Where a thread has eight rows it spills unless told to
// take more registers, in the backwards also where it would save them for a fifth block.
template <int N, bool ACROSS>
constexpr int HELD = N == 8 && ACROSS ? 3 : 0;
template <int N, bool ACROSS>
constexpr int HELD_BACKWARD = N == 8 && ACROSS ? 2 : 4;

// What a launch does: everything; the statistics of the pieces only; the rest, from these.
enum Stage { WHOLE, PIECES, REST };

// The maximum of elements of a row, and their sum of exp(x - max). Rows of -inf only end with the sum 0, those with inf or nan
// with the sum nan: whatever is divided by it, or moved by its logarithm, is nan then.
struct Peak {
    float max, sum;

    __device__ static Peak none() { return {Max::neutral, 0.0f}; }

    __device__ __forceinline__ void add(float x) {
        if (x > max) {  // not of nan, which gets into the sum
            sum *= expf(max - x);
            max = x;
        }
        sum += expf(x - max);
    }

    // Rounded after each operation: a fused one would round the two sides differently, and lanes would disagree.
    __device__ __forceinline__ void merge(const Peak& b) {
        const float top = Max()(max, b.max);
        sum = __fadd_rn(__fmul_rn(sum, expf(max - top)), __fmul_rn(b.sum, expf(b.max - top)));
        max = top;
    }

    __device__ __forceinline__ Peak of_lane(int distance) const {
        return {__shfl_xor_sync(0xffffffffu, max, distance), __shfl_xor_sync(0xffffffffu, sum, distance)};
    }
};

struct Sum {
    float sum;

    __device__ static Sum none() { return {0.0f}; }
    __device__ __forceinline__ void merge(const Sum& b) { sum += b.sum; }
    __device__ __forceinline__ Sum of_lane(int distance) const {
        return {__shfl_xor_sync(0xffffffffu, sum, distance)};
    }
};

// The merged value of `members` threads, a power of two, which lie `gap` apart; for each of them. All threads of the block take
// part; room: a value a thread, free again when it returns.
template <class Value>
__device__ __forceinline__ Value tree(Value mine, Value* room, int member, int members, int gap) {
    const int thread = int(threadIdx.y * blockDim.x + threadIdx.x);
    room[thread] = mine;
    for (int distance = members / 2; distance > 0; distance /= 2) {
        __syncthreads();
        if (member < distance) room[thread].merge(room[thread + distance * gap]);
    }
    __syncthreads();
    mine = room[thread - member * gap];
    __syncthreads();
    return mine;
}

// A thread's place. Its row is row(line), ACROSS the first of N; line walks from first_line() by line_step(). On a row its
// vectors begin at elements first, first + step, …, before stop.
template <int N, bool ACROSS>
struct Team {
    static constexpr int ROWS = ACROSS ? N : 1;
    static constexpr int ELEMENTS = ACROSS ? 1 : N;

    long long inner;
    int length, piece, pieces, member, members, team, teams, first, stop, step;

    __device__ __forceinline__ Team(long long inner, int length, int span, int pieces)
        : inner(inner), length(length), pieces(pieces) {
        const bool side = beside();
        member = int(side ? threadIdx.y : threadIdx.x);
        members = int(side ? blockDim.y : blockDim.x);
        team = int(side ? threadIdx.x : threadIdx.y);
        teams = int(side ? blockDim.x : blockDim.y);
        piece = int(blockIdx.x) % pieces;
        step = members * ELEMENTS;
        first = piece * span + member * ELEMENTS;
        stop = min(length, (piece + 1) * span);
    }

    // Whether neighbouring threads are of neighbouring rows.
    __device__ __forceinline__ bool beside() const { return ACROSS || inner > 1; }

    __device__ __forceinline__ long long first_line() const { return (long long)(int(blockIdx.x) / pieces) * teams; }
    __device__ __forceinline__ long long line_step() const { return (long long)(int(gridDim.x) / pieces) * teams; }

    // Where a row begins in memory.
    __device__ __forceinline__ long long begin(long long row) const {
        return beside() ? row / inner * length * inner + row % inner : row * length;
    }

    // Whether one flight of the team brings all of a row.
    __device__ __forceinline__ bool at_once() const { return length <= FLIGHT<N> * step; }

    template <class T>
    __device__ __forceinline__ void load_flight(Vector<T, N> (&v)[FLIGHT<N>], const T* row, int c, int stop) const {
#pragma unroll
        for (int k = 0; k < FLIGHT<N>; ++k) {
            if (c + k * step < stop) v[k] = load<T, N>(row + (c + k * step) * inner);
        }
    }

    template <class Value>
    __device__ __forceinline__ Value reduce(Value mine, Value* room) const {
        if (members == 1) return mine;
        if (beside() || members > 32) return tree(mine, room, member, members, beside() ? int(blockDim.x) : 1);
        for (int distance = members / 2; distance > 0; distance /= 2) mine.merge(mine.of_lane(distance));
        return mine;
    }
};
