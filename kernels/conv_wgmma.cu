// conv_wgmma: convolution in 16 bits by the products of whole warpgroups, for sm_90a: forward, and input gradient with stride 1.
//
//   out[n, o, k] = act(scale[k] (sum over t, c of in[n, o in_step + d_t, c] w[k, t, c]) + bias[k] + residual[n, o, k])
//
// in and w as conv_pack.cu lays them out: channels last. One thread of the first warpgroup fetches by TMA, for a tap and 64 channels
// of it, 128 positions of in (a map of pixels: its places are the targets, its offsets the taps, zeros around the images) and BN
// filters. Two warpgroups multiply them, 64 positions each, and keep one stage in flight. A ring of stages lies between, its turns
// counted by mbarriers: `full` awaits the bytes, `empty` the warps that have read them. A block takes tile after tile, so that the next
// one's stages come while one goes out. Fixed order of sums. On all other GPUs the kernel is empty.

#include "conv.cuh"
#include "wgmma.cuh"

#if defined(XPNN_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define WGMMA 1
#endif

using ptx::u32;

constexpr int BM = 128, BK = 64, CONSUMERS = 2, ROWS = BM / CONSUMERS;
constexpr int SLICE = 64;  // columns that leave at once
// Of a thread, 168 on average.
constexpr int PRODUCER_REGISTERS = 40, CONSUMER_REGISTERS = 232;

template <class T>
struct WgmmaArguments {
    ptx::TensorMap image;   // in (batch, *source, groups * channels)
    ptx::TensorMap weight;  // (filters of all groups, taps, channels); of a gradient (outputs, taps, groups * channels)
    T* out;                 // (batch, groups * outputs, *target), or with the channels last
    const T* scale;         // (groups * outputs), or null
    const T* bias;          // (groups * outputs), or null
    const T* residual;      // as out, or null
    long long batch, out_image;
    int channels, outputs;  // of a group; channels with their padding
    int out_channel, activation, vector;
    int weight_row, weight_column;  // from one group to the next
    int axes;                       // of the map: 2 or 3
    int target[AXES], kernel[AXES];
    int in_step[AXES], lower[AXES];     // where target i starts: lower + i in_step
    int offset[AXES], offset_step[AXES];  // of the taps from there
    int out_stride[AXES];
};

template <class T, int BN>
struct Stage {
    T a[BM * BK], b[BN * BK];  // rows of 128 bytes, in the order of the swizzle
};

template <class T, int BN, int STAGES>
struct Room {
    Stage<T, BN> stage[STAGES];
    float tile[CONSUMERS][SLICE * (ROWS + 4)];
    long long rows[CONSUMERS][ROWS];
    ptx::u64 full[STAGES], empty[STAGES];
};

// A place in the ring of stages, and the parity of the turn.
template <int STAGES>
struct Turn {
    int stage = 0;
    u32 parity = 0;

    __device__ __forceinline__ void next() {
        if (++stage < STAGES) return;
        stage = 0;
        parity ^= 1;
    }
};

// What a block does: tiles blockIdx.x, blockIdx.x + gridDim.x, ... of the group blockIdx.y; neighbours share positions.
template <class T, int BN>
struct Tiles {
    Phase phase;  // the only one
    int columns, chunks;
    long long count;

    __device__ explicit Tiles(const WgmmaArguments<T>& a) : phase() {
#pragma unroll
        for (int x = 0; x < AXES; ++x) phase.places[x] = a.target[x];
        columns = (a.outputs - 1) / BN + 1;
        chunks = (a.channels - 1) / BK + 1;
        count = ((a.batch * phase.all_places() - 1) / BM + 1) * columns;
    }

    __device__ long long row(long long tile) const { return tile / columns * BM; }
    __device__ int column(long long tile) const { return int(tile % columns) * BN; }
};

#ifdef WGMMA
// One thread fetches all that the block multiplies.
template <class T, int BN, int STAGES>
__device__ __forceinline__ void produce(const WgmmaArguments<T>& a, Room<T, BN, STAGES>& room) {
    const Tiles<T, BN> tiles(a);
    const int group = int(blockIdx.y);
    Turn<STAGES> turn;
    // A stage comes: a tap, and channels from c on.
    const auto fetch = [&](const Position& from, int column, int tap, const int (&by)[AXES], int c) {
        Stage<T, BN>& to = room.stage[turn.stage];
        ptx::u64* full = &room.full[turn.stage];
        int at[AXES];
#pragma unroll
        for (int x = 0; x < AXES; ++x) at[x] = a.lower[x] + from.i[x] * a.in_step[x];
        ptx::mbarrier_wait(&room.empty[turn.stage], turn.parity ^ 1);
        ptx::mbarrier_arrive_expect(full, sizeof(Stage<T, BN>));
        const int n = int(from.n), channel = group * a.channels + c;
        if (a.axes == 3) {
            ptx::load_pixels_3d(to.a, &a.image, full, channel, at[2], at[1], at[0], n, by[2], by[1], by[0]);
        } else {
            ptx::load_pixels_2d(to.a, &a.image, full, channel, at[2], at[1], n, by[2], by[1]);
        }
        ptx::load_tile_3d(to.b, &a.weight, full, group * a.weight_column + c, tap, group * a.weight_row + column);
        turn.next();
    };
    for (long long tile = blockIdx.x; tile < tiles.count; tile += gridDim.x) {
        const Position from(tiles.phase, tiles.row(tile));
        int tap = 0;
        for (int i = 0; i < a.kernel[0]; ++i)
            for (int j = 0; j < a.kernel[1]; ++j)
                for (int k = 0; k < a.kernel[2]; ++k, ++tap) {
                    const int by[AXES] = {a.offset[0] + i * a.offset_step[0], a.offset[1] + j * a.offset_step[1],
                                          a.offset[2] + k * a.offset_step[2]};
                    for (int chunk = 0; chunk < tiles.chunks; ++chunk) fetch(from, tiles.column(tile), tap, by, chunk * BK);
                }
    }
}

__device__ __forceinline__ void multiply(float (&d)[32], ptx::u64 a, ptx::u64 b, bool add, __half) {
    ptx::wgmma_n64_f16(d, a, b, add);
}
__device__ __forceinline__ void multiply(float (&d)[32], ptx::u64 a, ptx::u64 b, bool add, __nv_bfloat16) {
    ptx::wgmma_n64_bf16(d, a, b, add);
}
__device__ __forceinline__ void multiply(float (&d)[64], ptx::u64 a, ptx::u64 b, bool add, __half) {
    ptx::wgmma_n128_f16(d, a, b, add);
}
__device__ __forceinline__ void multiply(float (&d)[64], ptx::u64 a, ptx::u64 b, bool add, __nv_bfloat16) {
    ptx::wgmma_n128_bf16(d, a, b, add);
}

// The 64 positions of a warpgroup of a tile leave, 64 columns after the other.
template <class T, int BN, int STAGES>
__device__ __forceinline__ void leave(const WgmmaArguments<T>& a, Room<T, BN, STAGES>& room, const Tiles<T, BN>& tiles,
                                      long long tile, int consumer, const float (&d)[BN / 2]) {
    const int thread = int(threadIdx.x) % THREADS, warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
    static_assert(BN / SLICE <= 2, "the second slice is the last one");
    float* out = room.tile[consumer];
    long long* rows = room.rows[consumer];
#pragma unroll 1
    for (int s = 0; s < BN / SLICE; ++s) {
        ptx::named_barrier_sync(1 + consumer, THREADS);  // the last slice has left
        if (s == 0 && thread < ROWS) {
            const Position p(tiles.phase, tiles.row(tile) + consumer * ROWS + thread);
            const long long place = (long long)p.i[0] * a.out_stride[0] + (long long)p.i[1] * a.out_stride[1];
            rows[thread] = p.n < a.batch ? p.n * a.out_image + place + (long long)p.i[2] * a.out_stride[2] : -1;
        }
#pragma unroll
        for (int e = 0; e < SLICE / 2; ++e) {
            const int m = 16 * warp + g + e / 2 % 2 * 8, n = e / 4 * 8 + 2 * t + e % 2;
            out[n * (ROWS + 4) + m] = s == 0 ? d[e] : d[BN / 2 - SLICE / 2 + e];
        }
        ptx::named_barrier_sync(1 + consumer, THREADS);
        const Columns columns = {int(blockIdx.y) * a.outputs, tiles.column(tile) + s * SLICE};
        if (a.vector) {
            write_out<T, ROWS, SLICE, THREADS, 8>(a, out, rows, columns);
        } else {
            write_out<T, ROWS, SLICE, THREADS, 1>(a, out, rows, columns);
        }
    }
}

// A warpgroup multiplies its half of each stage.
template <class T, int BN, int STAGES>
__device__ __forceinline__ void consume(const WgmmaArguments<T>& a, Room<T, BN, STAGES>& room, int consumer) {
    const Tiles<T, BN> tiles(a);
    const int steps = tiles.chunks * a.kernel[0] * a.kernel[1] * a.kernel[2];
    Turn<STAGES> turn;
    const auto release = [&](int stage) {
        if (threadIdx.x % 32 == 0) ptx::mbarrier_arrive(&room.empty[stage]);
    };
    for (long long tile = blockIdx.x; tile < tiles.count; tile += gridDim.x) {
        float d[BN / 2];
        int before = 0;
        for (int step = 0; step < steps; ++step) {
            ptx::mbarrier_wait(&room.full[turn.stage], turn.parity);
            const Stage<T, BN>& now = room.stage[turn.stage];
            const ptx::u64 rows = ptx::wgmma_rows(now.a + consumer * ROWS * BK), columns = ptx::wgmma_rows(now.b);
            ptx::wgmma_hold(d);
            ptx::wgmma_fence();
#pragma unroll
            for (int k = 0; k < BK / 16; ++k) multiply(d, rows + 2 * k, columns + 2 * k, step > 0 || k > 0, T());
            ptx::wgmma_commit();
            ptx::wgmma_wait<1>();
            if (step > 0) release(before);
            before = turn.stage;
            turn.next();
        }
        ptx::wgmma_wait<0>();
        ptx::wgmma_hold(d);
        release(before);
        leave(a, room, tiles, tile, consumer, d);
    }
}
#endif

template <class T, int BN, int STAGES>
__global__ void __launch_bounds__(THREADS * (1 + CONSUMERS), 1) conv_wgmma(const __grid_constant__ WgmmaArguments<T> a) {
#ifdef WGMMA
    extern __shared__ __align__(1024) unsigned char memory[];
    // The operands must lie at multiples of 1024 bytes, whatever the driver puts in front.
    auto& room = *reinterpret_cast<Room<T, BN, STAGES>*>(memory + (1024 - ptx::shared_address(memory) % 1024) % 1024);
    if (threadIdx.x < STAGES) {
        ptx::mbarrier_init(&room.full[threadIdx.x], 1);
        ptx::mbarrier_init(&room.empty[threadIdx.x], CONSUMERS * THREADS / 32);
    }
    __syncthreads();
    const int role = int(threadIdx.x) / THREADS;
    if (role == 0) {
        ptx::decrease_registers<PRODUCER_REGISTERS>();
        if (threadIdx.x < 32 && ptx::elect_one()) produce(a, room);
    } else {
        ptx::increase_registers<CONSUMER_REGISTERS>();
        consume(a, room, role - 1);
    }
#endif
}
