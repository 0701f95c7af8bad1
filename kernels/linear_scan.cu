// linear_scan: the linear recurrence h_t = a_t h_{t-1} + b_t along time, and its gradients.
//
//   dh_t = g_t + a_{t+1} dh_{t+1} = db_t,   da_t = dh_t h_{t-1},   dh0 = a_0 dh_0
//
// a, b, h, g, da, db (times, columns), h0, dh0 (columns): contiguous, of any size; reverse: from the last step to the first.
// T is float, __half or __nv_bfloat16; states are carried in float. N columns of a thread move at once: 16 bytes where every
// row begins at a multiple of 16, else one element.
//
// Steps are maps h -> factor h + value, and a run of steps is one such map. A thread takes STEPS of them into registers, and
// those of a block whose threadIdx.y follow one another make a tile of time. Each thread is told the maps of the threads
// before it through shared memory, so memory is read once. Long sequences of few columns are cut into chunks (blockIdx.y): a
// first launch leaves each chunk's map in `sums`, a second one carries the state through those and does the rest.
// Maps are applied in the order of time, always for STEPS steps each: neither block nor vector shows in the bits.

#include "storage.cuh"

constexpr int THREADS = 256;
constexpr int STEPS = 4;

// h -> factor h + value
struct alignas(8) Map {
    float factor, value;

    // NOTE: a product that overflowed has nothing to say to a state at rest. (nan and inf of `a` itself are in `value`.)
    __device__ __forceinline__ float operator()(float h) const { return h == 0.0f ? value : fmaf(factor, h, value); }

    __device__ __forceinline__ void then(float a, float b) {
        factor *= a;
        value = fmaf(a, value, b);
    }
};

// The part of time and columns that a thread has, in places: steps in the order in which they are taken.
struct Part {
    long long column, begin, end;
    bool inside;

    __device__ __forceinline__ long long first(long long tile) const { return tile + (long long)threadIdx.y * STEPS; }

    // How many steps from `first` on the thread takes.
    __device__ __forceinline__ int count(long long first) const {
        return inside && first < end ? int(min(end - first, (long long)STEPS)) : 0;
    }
};

template <int N>
__device__ __forceinline__ Part part(long long times, long long columns, long long length) {
    const long long column = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * N;
    const long long begin = (long long)blockIdx.y * length;
    return {column, begin, min(begin + length, times), column < columns};
}

template <class T, int N>
__device__ __forceinline__ void load_floats(float (&x)[N], const T* p) {
    const Vector<T, N> v = load<T, N>(p);
#pragma unroll
    for (int i = 0; i < N; ++i) x[i] = to_float(v.item[i]);
}

template <class T, int N>
__device__ __forceinline__ void store_floats(T* p, const float (&x)[N]) {
    Vector<T, N> v;
#pragma unroll
    for (int i = 0; i < N; ++i) store_float(&v.item[i], x[i]);
    store<T, N>(p, v);
}

// The maps of N columns through a tile, thread by thread: state becomes that after the tile, factor is multiplied by its
// factors, and own is the state before this thread's steps.
template <int N>
__device__ __forceinline__ void through_tile(const Map (&map)[N], float (&state)[N], float (&factor)[N], float (&own)[N],
                                             Map* room) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < N; ++i) room[(threadIdx.y * N + i) * blockDim.x + threadIdx.x] = map[i];
    __syncthreads();
    for (int y = 0; y < int(blockDim.y); ++y) {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (y == int(threadIdx.y)) own[i] = state[i];
            const Map found = room[(y * N + i) * blockDim.x + threadIdx.x];
            state[i] = found(state[i]);
            factor[i] *= found.factor;
        }
    }
}

// The chunks' maps: sums (chunks - 1, 2, columns), factors and values.
template <int N>
__device__ __forceinline__ void leave(float* sums, const Part& at, long long columns, const float (&factor)[N],
                                      const float (&value)[N]) {
    if (!at.inside || threadIdx.y > 0) return;
    float* place = sums + (long long)blockIdx.y * 2 * columns + at.column;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        place[i] = factor[i];
        place[columns + i] = value[i];
    }
}

// The state after the chunks before this one.
template <int N>
__device__ __forceinline__ void through_chunks(const float* sums, const Part& at, long long columns, float (&state)[N]) {
    if (!at.inside) return;
#pragma unroll 4
    for (int chunk = 0; chunk < int(blockIdx.y); ++chunk) {
        const float* place = sums + (long long)chunk * 2 * columns + at.column;
#pragma unroll
        for (int i = 0; i < N; ++i) state[i] = Map{place[i], place[columns + i]}(state[i]);
    }
}

template <class T>
struct ForwardArguments {
    T* h;         // (times, columns)
    float* sums;  // (chunks - 1, 2, columns), or null: one chunk
    const T* a;   // (times, columns)
    const T* b;   // (times, columns)
    const T* h0;  // (columns), or null: zeros
    long long times, columns;
    long long length;  // of a chunk, a multiple of STEPS
    int reverse;
    int maps;  // whether only the chunks' maps are wanted
};

template <class T, int N>
__global__ void __launch_bounds__(THREADS) linear_scan_forward(const __grid_constant__ ForwardArguments<T> a) {
    __shared__ Map room[THREADS * N];
    const Part at = part<N>(a.times, a.columns, a.length);
    float state[N] = {}, factor[N], own[N];
    for (int i = 0; i < N; ++i) factor[i] = 1.0f;
    if (!a.maps) {
        if (at.inside && a.h0 != nullptr) load_floats<T, N>(state, a.h0 + at.column);
        through_chunks<N>(a.sums, at, a.columns, state);
    }
    for (long long tile = at.begin; tile < at.end; tile += (long long)blockDim.y * STEPS) {
        const long long first = at.first(tile);
        const int count = at.count(first);
        const long long step = a.reverse ? -a.columns : a.columns;
        const long long start = (a.reverse ? a.times - 1 - first : first) * a.columns + at.column;
        Vector<T, N> x[STEPS], y[STEPS];
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (k >= count) break;
            x[k] = load<T, N>(a.a + start + k * step);
            y[k] = load<T, N>(a.b + start + k * step);
        }
        Map map[N];
#pragma unroll
        for (int i = 0; i < N; ++i) map[i] = {1.0f, 0.0f};
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (k >= count) break;
#pragma unroll
            for (int i = 0; i < N; ++i) map[i].then(to_float(x[k].item[i]), to_float(y[k].item[i]));
        }
        through_tile<N>(map, state, factor, own, room);
        if (a.maps) continue;
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (k >= count) break;
#pragma unroll
            for (int i = 0; i < N; ++i) own[i] = fmaf(to_float(x[k].item[i]), own[i], to_float(y[k].item[i]));
            store_floats<T, N>(a.h + start + k * step, own);
        }
    }
    if (a.maps) leave<N>(a.sums, at, a.columns, factor, state);
}

template <class T>
struct BackwardArguments {
    T* da;        // (times, columns), or null: not wanted
    T* db;        // (times, columns), or null: not wanted
    T* dh0;       // (columns), or null: not wanted
    float* sums;  // (chunks - 1, 2, columns), or null: one chunk
    const T* g;   // (times, columns)
    const T* a;   // (times, columns)
    const T* h;   // (times, columns)
    const T* h0;  // (columns), or null: zeros
    long long times, columns;
    long long length;  // of a chunk, a multiple of STEPS
    int reverse;       // that of the forward
    int maps;          // whether only the chunks' maps are wanted
};

// Takes the steps in the order opposite to the forward's. What dh of a step is multiplied by is `a` of the step taken before,
// and the state that da needs is that of the step taken next.
template <class T, int N>
__global__ void __launch_bounds__(THREADS) linear_scan_backward(const __grid_constant__ BackwardArguments<T> a) {
    __shared__ Map room[THREADS * N];
    const Part at = part<N>(a.times, a.columns, a.length);
    float state[N] = {}, factor[N], own[N];
    for (int i = 0; i < N; ++i) factor[i] = 1.0f;
    if (!a.maps) through_chunks<N>(a.sums, at, a.columns, state);
    for (long long tile = at.begin; tile < at.end; tile += (long long)blockDim.y * STEPS) {
        const long long first = at.first(tile);
        const int count = at.count(first);
        const long long step = a.reverse ? a.columns : -a.columns;
        const long long start = (a.reverse ? first : a.times - 1 - first) * a.columns + at.column;
        Vector<T, N> x[STEPS], y[STEPS];
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (k >= count) break;
            x[k] = first + k > 0 ? load<T, N>(a.a + start + (k - 1) * step) : Vector<T, N>{};
            y[k] = load<T, N>(a.g + start + k * step);
        }
        Map map[N];
#pragma unroll
        for (int i = 0; i < N; ++i) map[i] = {1.0f, 0.0f};
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (k >= count) break;
#pragma unroll
            for (int i = 0; i < N; ++i) map[i].then(to_float(x[k].item[i]), to_float(y[k].item[i]));
        }
        through_tile<N>(map, state, factor, own, room);
        if (a.maps) continue;
#pragma unroll
        for (int k = 0; k < STEPS; ++k) {
            if (k >= count) break;
            const bool last = first + k == a.times - 1;
            float before[N] = {};
            if (a.da != nullptr && !last) load_floats<T, N>(before, a.h + start + (k + 1) * step);
            if (a.da != nullptr && last && a.h0 != nullptr) load_floats<T, N>(before, a.h0 + at.column);
#pragma unroll
            for (int i = 0; i < N; ++i) {
                own[i] = fmaf(to_float(x[k].item[i]), own[i], to_float(y[k].item[i]));
                before[i] *= own[i];
            }
            if (a.db != nullptr) store_floats<T, N>(a.db + start + k * step, own);
            if (a.da != nullptr) store_floats<T, N>(a.da + start + k * step, before);
            if (a.dh0 == nullptr || !last) continue;
            load_floats<T, N>(before, a.a + start + k * step);
#pragma unroll
            for (int i = 0; i < N; ++i) before[i] *= own[i];
            store_floats<T, N>(a.dh0 + at.column, before);
        }
    }
    if (a.maps) leave<N>(a.sums, at, a.columns, factor, state);
}
