// recurrent_cluster: a whole sequence of a recurrent layer in 16 bits in one launch, its weights spread over a cluster of HP / 32 blocks.
// Compute capability 9.0; forward and backward. As recurrent_tensor.cu, for layers that are too large for one block.
//
// A cluster has 8 rows of the batch for all times, a block 32 units of them and their part of W_hh in registers. Outside of the
// products a warp has one row, a lane one unit. Clusters know nothing of each other, and each stops at the end of its longest row.
//
// Forward: two groups of warps have 16 units each, four warps of a group a quarter of K, the state before. The new states go to all
// blocks by st.async. Backward: a warp has an eighth of the columns of W_hh, K is the gates of the block's own units; what a block
// adds to the gradient of a unit goes to the block that has it, which adds up the parts in the order of the blocks.
//
// What is sent is its own signal: each buffer has an mbarrier that awaits so many bytes, and there are two buffers by turns. A block
// sends what overwrites a buffer only when it has all of the step after that buffer's, to which its receiver contributed only after
// all of its warps had read the buffer.

#include "recurrent_mma.cuh"
#include "recurrent_unit.cuh"

constexpr int THREADS = 256, WARPS = 8, UNITS = 32;

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define CLUSTERS 1
#define CLUSTER_OF(BLOCKS) __cluster_dims__(BLOCKS, 1, 1)
#else
#define CLUSTER_OF(BLOCKS)  // these kernels are empty, for older GPUs have no clusters
#endif

__device__ __forceinline__ void cluster_sync() {
    ptx::cluster_arrive();
    ptx::cluster_wait();
}

// Before anything is sent: two mbarriers, and all blocks of the cluster there.
__device__ __forceinline__ void start_cluster(ptx::u64* arrived) {
    if (threadIdx.x < 2) ptx::mbarrier_init(arrived + threadIdx.x, 1);
    cluster_sync();
}

// The 16 bytes of eight neighbouring lanes' values, in all of them.
template <class T>
__device__ __forceinline__ uint4 gathered(T x) {
    const int lane = int(threadIdx.x) % 32;
    const ptx::u32 own = *reinterpret_cast<const unsigned short*>(&x);
    const ptx::u32 other = __shfl_xor_sync(0xffffffffu, own, 1);
    const ptx::u32 two = lane & 1 ? other | own << 16 : own | other << 16;
    const ptx::u32 next = __shfl_xor_sync(0xffffffffu, two, 2);
    const uint2 four = lane & 2 ? make_uint2(next, two) : make_uint2(two, next);
    const ptx::u32 x4 = __shfl_xor_sync(0xffffffffu, four.x, 4), y4 = __shfl_xor_sync(0xffffffffu, four.y, 4);
    return lane & 4 ? make_uint4(x4, y4, four.x, four.y) : make_uint4(four.x, four.y, x4, y4);
}

template <class Cell, class T, int HP>
__global__ void __launch_bounds__(THREADS, 1) CLUSTER_OF(HP / UNITS) recurrent_cluster_forward(const __grid_constant__ Forward<T> a) {
#ifdef CLUSTERS
    constexpr int G = Cell::gates, BLOCKS = HP / UNITS, WIDTH = HP + PAD, SPLITS = 4, KW = HP / SPLITS;
    __shared__ __align__(16) T states[2 * ROWS * WIDTH];                // (2, ROWS, WIDTH)
    __shared__ __align__(16) Vector<ptx::u32, 4> room[ROOM * THREADS];  // later the products, (SPLITS, G, ROWS, UNITS)
    __shared__ ptx::u64 arrived[2];
    float* const products = reinterpret_cast<float*>(room);
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    const int split = warp / 2, group = warp % 2, rank = int(ptx::cluster_rank());
    const int first = int(blockIdx.x) / BLOCKS * ROWS;
    Weights<T, G * KW> weights;
    weights.load(room, [&](int row, int k) {
        const int u = rank * UNITS + group * 16 + row, from = split * KW + k % KW;
        return u < a.hidden && from < a.hidden ? a.w[((long long)(k / KW) * a.hidden + u) * a.hidden + from] : T(0.0f);
    });
    Bias<Cell, T> bias;
    bias.load(a, rank * UNITS + lane);
    ForwardUnit<Cell, T> unit;
    unit.start(a, first + warp, rank * UNITS + lane, true);
    for (int k = lane; k < HP; k += 32) {
        const bool inside = k < a.hidden && first + warp < a.batch;
        const float h = inside ? element_or_zero(a.h0, (long long)(first + warp) * a.hidden + k) : 0.0f;
        store_float(states + warp * WIDTH + k, h);
    }
    const int steps = longest(a, first, ROWS);
    if (a.reverse) unit.hold(a, steps);
    start_cluster(arrived);
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int time = a.reverse ? steps - 1 - step : step, now = step % 2, next = 1 - now;
        unit.fetch(a, time);
        if (step > 0) ptx::mbarrier_wait(arrived + now, (step - 1) / 2 % 2);
        if (threadIdx.x == 0 && step + 1 < steps) ptx::mbarrier_arrive_expect(arrived + next, BLOCKS * ROWS * UNITS * sizeof(T));
        const T* before = states + (now * ROWS + g) * WIDTH + split * KW + 8 * t;
        float sums[G][4] = {};
#pragma unroll
        for (int k2 = 0; k2 < KW / 32; ++k2) {
            const auto v = load<ptx::u32, 4>(reinterpret_cast<const ptx::u32*>(before + 32 * k2));
#pragma unroll
            for (int gate = 0; gate < G; ++gate) weights.multiply(sums[gate], gate * (KW / 32) + k2, v);
        }
#pragma unroll
        for (int gate = 0; gate < G; ++gate) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int row = 2 * t + i % 2, u = group * 16 + g + i / 2 * 8;
                products[((split * G + gate) * ROWS + row) * UNITS + u] = sums[gate][i];
            }
        }
        __syncthreads();
        float zh[G] = {};
#pragma unroll
        for (int gate = 0; gate < G; ++gate) {
#pragma unroll
            for (int s = 0; s < SPLITS; ++s) zh[gate] += products[((s * G + gate) * ROWS + warp) * UNITS + lane];
        }
        __syncthreads();  // products may be written again
        unit.step(a, time, zh, bias);
        if (step + 1 == steps) break;
        T h;
        store_float(&h, unit.h);
        const uint4 eight = gathered(h);
        const ptx::u32 to = ptx::shared_address(states + (next * ROWS + warp) * WIDTH + rank * UNITS + lane / 8 * 8);
        for (int block = lane % 8; block < BLOCKS; block += 8) {
            ptx::store_async(ptx::map_rank(to, block), eight, ptx::map_rank(ptx::shared_address(arrived + next), block));
        }
    }
    if (!a.reverse) unit.hold(a, steps);
    unit.finish(a);
    cluster_sync();  // no block ends while another may still look at it
#endif
}

template <class Cell, class T, int HP>
__global__ void __launch_bounds__(THREADS, 1) CLUSTER_OF(HP / UNITS) recurrent_cluster_backward(const __grid_constant__ Backward<T> a) {
#ifdef CLUSTERS
    constexpr int G = Cell::gates, BLOCKS = HP / UNITS, K = G * UNITS, WIDTH = K + PAD, TILES = HP / WARPS / 16;
    __shared__ __align__(16) T gradients[2 * ROWS * WIDTH];  // (2, ROWS, WIDTH), a row (G, UNITS)
    extern __shared__ __align__(16) float parts[];  // (2, BLOCKS, UNITS, ROWS), pairs of rows in the order that slot() says
    static_assert(2 * HP * ROWS * sizeof(float) >= ROOM * THREADS * 16, "weights are brought in by way of parts");
    __shared__ ptx::u64 arrived[2];
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
    const int rank = int(ptx::cluster_rank()), first = int(blockIdx.x) / BLOCKS * ROWS;
    // Where the pair t of rows of a unit lies in parts: lanes that read one row of 32 units then meet in a bank in twos only.
    const auto slot = [](int buffer, int block, int u, int pair) {
        return ((buffer * BLOCKS + block) * UNITS + u) * ROWS + 2 * (pair ^ (u / 4 % 4));
    };
    Weights<T, TILES * K> weights;
    weights.load(reinterpret_cast<Vector<ptx::u32, 4>*>(parts), [&](int row, int k) {
        const int u = (warp * TILES + k / K) * 16 + row, unit = rank * UNITS + k % UNITS, gate = k % K / UNITS;
        return u < a.hidden && unit < a.hidden ? a.w[((long long)gate * a.hidden + unit) * a.hidden + u] : T(0.0f);
    });
    const int steps = longest(a, first, ROWS);
    BackwardUnit<Cell, T> unit;
    unit.start(a, first + warp, rank * UNITS + lane, true);
    unit.clear(a, steps);
    if (steps > 0) unit.fetch(a, a.reverse ? 0 : steps - 1);
    start_cluster(arrived);
    float product = 0.0f;
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        const int time = a.reverse ? step : steps - 1 - step, now = step % 2;
        if (threadIdx.x == 0) ptx::mbarrier_arrive_expect(arrived + now, BLOCKS * ROWS * UNITS * sizeof(float));
        float dh[G];
        unit.step(a, time, product, dh);
        if (step + 1 < steps) unit.fetch(a, a.reverse ? time + 1 : time - 1);
        T* own = gradients + now * ROWS * WIDTH;
#pragma unroll
        for (int gate = 0; gate < G; ++gate) store_float(own + warp * WIDTH + gate * UNITS + lane, dh[gate]);
        __syncthreads();
        float sums[TILES][4] = {};
#pragma unroll
        for (int k2 = 0; k2 < G; ++k2) {
            const auto v = load<ptx::u32, 4>(reinterpret_cast<const ptx::u32*>(own + g * WIDTH + 8 * t + 32 * k2));
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) weights.multiply(sums[tile], tile * G + k2, v);
        }
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int u = (warp * TILES + tile) * 16 + g + 8 * half, block = u / UNITS;
                const uint2 pair = make_uint2(__float_as_uint(sums[tile][2 * half]), __float_as_uint(sums[tile][2 * half + 1]));
                const ptx::u32 to = ptx::shared_address(parts + slot(now, rank, u % UNITS, t));
                ptx::store_async(ptx::map_rank(to, block), pair, ptx::map_rank(ptx::shared_address(arrived + now), block));
            }
        }
        ptx::mbarrier_wait(arrived + now, step / 2 % 2);
        product = 0.0f;
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block) product += parts[slot(now, block, lane, warp / 2) + warp % 2];
    }
    unit.finish(a, product);
    cluster_sync();
#endif
}
