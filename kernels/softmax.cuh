// Rows of an array (outer, length, inner) along length: how the threads of a block share them, and what they know of one so far.
//
// A team of threads, 1 to all of a block, walks a row, or ACROSS N rows that lie side by side. Where inner is 1 the members of
// a team are neighbours and load N elements of their row at once; else neighbours belong to neighbouring rows and load one
// element of N rows. A row may be cut into pieces, for several blocks: one launch for what each piece says, one for the rest.
//
// Along a row vectors lie at multiples of 16 bytes, wherever it begins: the first and the last one may be partly outside of it, and
// only what is inside of them moves, element by element. Rows too short for that (spans) come and go through shared memory, those
// of a block in one piece. Arrays of one shape must begin at the same place within 16 bytes for either, else N is 1.
#pragma once

#include "reduce.cuh"
#include "spans.cuh"

constexpr int THREADS = 256;
constexpr int SPAN = 1024;  // elements of a block's short rows, at most

// Loads that a thread has in flight; they stay in registers where they are the whole row.
template <int N>
constexpr int FLIGHT = N == 1 ? 4 : 2;
// Blocks that a multiprocessor shall hold: WIDE where a thread has eight rows, else OTHER; 0 leaves it to the compiler, which is apt to
// save registers for one block more, and spills on some targets.
template <int N, bool ACROSS, int WIDE, int OTHER>
constexpr int HELD = ACROSS && N == 8 ? WIDE : OTHER;

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

__device__ __forceinline__ float minus_infinity() { return __int_as_float(int(0xff800000)); }

template <class T>
__device__ __forceinline__ T from_float(float x) {
    T stored;
    store_float(&stored, x);
    return stored;
}

// A thread's place. It takes rows by the block: those of the teams from first_line() on, ACROSS N a team, then line_step() further.
// On a row its vectors begin at elements first(shift), + step, …, before stop(shift).
template <int N, bool ACROSS>
struct Team {
    static constexpr int ROWS = ACROSS ? N : 1;
    static constexpr int ELEMENTS = ACROSS ? 1 : N;

    long long inner;
    int length, piece, pieces, member, members, team, teams, span, step;

    __device__ __forceinline__ Team(long long inner, int length, int span, int pieces)
        : inner(inner), length(length), pieces(pieces), span(span) {
        const bool side = beside();
        member = int(side ? threadIdx.y : threadIdx.x);
        members = int(side ? blockDim.y : blockDim.x);
        team = int(side ? threadIdx.x : threadIdx.y);
        teams = int(side ? blockDim.x : blockDim.y);
        piece = int(blockIdx.x) % pieces;
        step = members * ELEMENTS;
    }

    // Whether neighbouring threads are of neighbouring rows.
    __device__ __forceinline__ bool beside() const { return ACROSS || inner > 1; }

    __device__ __forceinline__ long long first_line() const { return (long long)(int(blockIdx.x) / pieces) * teams; }
    __device__ __forceinline__ long long line_step() const { return (long long)(int(gridDim.x) / pieces) * teams; }

    // Where a row begins in memory.
    __device__ __forceinline__ long long begin(long long row) const {
        return beside() ? row / inner * length * inner + row % inner : row * length;
    }

    // How many elements before a row the vector begins that has its first one.
    template <class T>
    __device__ __forceinline__ int shift(const T* row) const {
        return N == 1 || ACROSS ? 0 : lead(row);
    }

    __device__ __forceinline__ int first(int shift) const { return piece * span + member * ELEMENTS - shift; }
    __device__ __forceinline__ int stop(int shift) const {
        return piece == pieces - 1 ? length : min(length, (piece + 1) * span - shift);
    }

    // Whether one flight of the team brings all of a row.
    __device__ __forceinline__ bool at_once(int shift) const { return length + shift <= FLIGHT<N> * step; }

    // Whether element c + i of a row is there: some of a vector along it may not be.
    __device__ __forceinline__ bool has(int c, int i) const {
        return N == 1 || ACROSS || unsigned(c + i) < unsigned(length);
    }
    __device__ __forceinline__ bool has_all(int c) const {
        return N == 1 || ACROSS || (c >= 0 && c + N <= length);
    }

    __device__ __forceinline__ long long place(int c) const { return N > 1 && !ACROSS ? c : c * inner; }

    // The vector at element c of a row, with `none` for what is outside of it.
    template <class T>
    __device__ __forceinline__ Vector<T, N> read(const T* row, int c, float none) const {
        if (has_all(c)) return load<T, N>(row + place(c));
        Vector<T, N> v;
#pragma unroll
        for (int i = 0; i < N; ++i) v.item[i] = has(c, i) ? row[c + i] : from_float<T>(none);
        return v;
    }

    template <class T>
    __device__ __forceinline__ void write(T* row, int c, const Vector<T, N>& v) const {
        if (has_all(c)) return store<T, N>(row + place(c), v);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (has(c, i)) row[c + i] = v.item[i];
        }
    }

    template <class T>
    __device__ __forceinline__ void load_flight(Vector<T, N> (&v)[FLIGHT<N>], const T* row, int c, int stop,
                                                float none = 0.0f) const {
#pragma unroll
        for (int k = 0; k < FLIGHT<N>; ++k) {
            if (c + k * step < stop) v[k] = read(row, c + k * step, none);
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

// The short rows of a block in shared memory; every array has a room of its own there, and its place within 16 bytes.
template <class T>
struct Span {
    static constexpr int V = 16 / int(sizeof(T)), ROOM = SPAN + V;

    long long begin;         // the first row's first element
    int count, own, thread;  // elements of all rows; where the thread's row begins among them

    __device__ __forceinline__ Span(const Team<1, false>& at, long long row, long long rows)
        : begin(row * at.length), count(int(min((long long)at.teams, rows - row)) * at.length), own(at.team * at.length),
          thread(int(threadIdx.y * blockDim.x + threadIdx.x)) {}

    // Copies the span, which has a vector for each thread at most.
    __device__ __forceinline__ void copy(T* to, const T* from) const {
        const int head = min((V - lead(from)) % V, count), vectors = (count - head) / V;
        if (thread < vectors) store<T, V>(to + head + thread * V, load<T, V>(from + head + thread * V));
        const int at = thread < head ? thread : thread + vectors * V;
        if (at < count) to[at] = from[at];
    }

    // Where the thread's row will be, once all threads of the block are there.
    __device__ __forceinline__ T* bring(T* room, const T* array) const {
        T* here = room + lead(array + begin);
        copy(here, array + begin);
        return here + own;
    }

    __device__ __forceinline__ void take(T* array, const T* room) const {
        copy(array + begin, room + lead(array + begin));
    }
};
static_assert(SPAN <= THREADS * Span<float>::V, "a vector a thread");
