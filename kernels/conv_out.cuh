// The way out of a block of a convolution: from its sums, a tile in shared memory, to the output.
//
//   out[row, k] = act(scale[k] sum[row, k] + bias[k] + residual[row, k])
//
// With shares > 1 several blocks have the same tile and sum a share each. They leave their sums in memory, and the last of them to
// come, told by a ticket, adds all up in the order of the shares: the same input gives the same bits.
//
// A struct A of arguments has out, scale, bias, residual (the last three may be null), outputs (of a group), out_channel (elements
// of out from a channel to the next), activation (0 none, 1 relu, 2 tanh, 3 sigmoid) and vector (whether whole vectors may leave). For
// shares: shares, parts (tiles, shares, BN, BM) in float and tickets (tiles), which are all 0, and 0 again afterwards.
#pragma once

#include "activations.cuh"
#include "reduce.cuh"
#include "storage.cuh"

// The columns of a tile: output channels of a group from n0 on; the group's first one is `first` among those of all groups.
struct Columns {
    int first, n0;
};

// What a block computes: rows from m0 on and columns; of each sum the `share`-th of a.shares. tile: the number of this part of the
// output.
struct Work {
    Columns columns;
    long long m0, tile;
    int share;
};

// blockIdx.x: tiles of rows, then tiles of channels, then shares; .y: groups; .z: whatever else there is.
template <int BM, int BN, class A>
__device__ __forceinline__ Work work_of(const A& a) {
    const int across = (a.outputs - 1) / BN + 1, tile = int(blockIdx.x) / a.shares;
    const long long others = (long long)blockIdx.z * gridDim.y + blockIdx.y;
    return {{int(blockIdx.y) * a.outputs, tile % across * BN}, (long long)(tile / across) * BM,
            others * (int(gridDim.x) / a.shares) + tile, int(blockIdx.x) % a.shares};
}

// The steps of a sum that a share has: from `begin` on, so many.
struct Steps {
    int begin, count;

    __device__ Steps(int all, int share, int shares) {
        const int each = (all + shares - 1) / shares;
        begin = min(share * each, all);
        count = min(each, all - begin);
    }
};

template <class A>
__device__ __forceinline__ float scaled(const A& a, float sum, int channel) {
    if (a.scale != nullptr) sum *= to_float(a.scale[channel]);
    return a.bias != nullptr ? sum + to_float(a.bias[channel]) : sum;
}

// The work of COUNT threads, a block or an aligned part of one. N elements move at once. Neighbouring threads store neighbouring
// elements: along the positions, or with the channels last along the channels.
template <class T, int BM, int BN, int COUNT, int N, class A>
__device__ __forceinline__ void write_out(const A& a, const float* tile, const long long* rows, const Columns& columns) {
    constexpr int PITCH = BM + 4;
    const bool last = a.out_channel == 1;
#pragma unroll 2
    for (int e = int(threadIdx.x) % COUNT * N; e < BM * BN; e += COUNT * N) {
        const int m = last ? e / BN : e % BM, n = last ? e % BN : e / BM;
        if (rows[m] < 0 || columns.n0 + n >= a.outputs) continue;
        const int channel = columns.first + columns.n0 + n;
        const long long place = rows[m] + (long long)channel * a.out_channel;
        Vector<T, N> v, residual;
        if (a.residual != nullptr) residual = load<T, N>(a.residual + place);
#pragma unroll
        for (int i = 0; i < N; ++i) {
            float x = scaled(a, tile[(last ? n + i : n) * PITCH + (last ? m : m + i)], channel + (last ? i : 0));
            if (a.residual != nullptr) x += to_float(residual.item[i]);
            store_float(&v.item[i], activated(a.activation, x));
        }
        store<T, N>(a.out + place, v);
    }
}

// With a.shares > 1, of which the tile has one: leaves it in memory, and tells whether all others are there. Then the tile becomes
// the sum of all, added in order, behind the next barrier.
template <int BM, int BN, int COUNT, class A>
__device__ __forceinline__ bool adds_up(const A& a, float* tile, const Work& work) {
    constexpr int PITCH = BM + 4, ALL = BM * BN;
    float* parts = a.parts + work.tile * a.shares * ALL;
    __syncthreads();
#pragma unroll 4
    for (int e = int(threadIdx.x) * 4; e < ALL; e += COUNT * 4)
        store<float, 4>(parts + (long long)work.share * ALL + e, load<float, 4>(tile + e / BM * PITCH + e % BM));
    __threadfence();
    __syncthreads();
    const bool last = threadIdx.x == 0 && atomicAdd(a.tickets + work.tile, 1u) == unsigned(a.shares - 1);
    if (!__syncthreads_or(last)) return false;
    __threadfence();
    if (threadIdx.x == 0) a.tickets[work.tile] = 0;  // as the next launch wants it
#pragma unroll 2
    for (int e = int(threadIdx.x) * 4; e < ALL; e += COUNT * 4) {
        Vector<float, 4> sum = {};
#pragma unroll 4
        for (int s = 0; s < a.shares; ++s) {
            const Vector<float, 4> part = load<float, 4>(parts + (long long)s * ALL + e);
#pragma unroll
            for (int i = 0; i < 4; ++i) sum.item[i] += part.item[i];
        }
        store<float, 4>(tile + e / BM * PITCH + e % BM, sum);
    }
    return true;
}

// The mean of each column of what leaves the tile without residual and activation, as it is stored, and the sum of squares about it:
// a.moments (tiles of rows, 2, channels of all groups).
template <class T, int BM, int BN, int COUNT, class A>
__device__ __forceinline__ void take_moments(const A& a, const float* tile, const long long* rows, const Work& work) {
    constexpr int PITCH = BM + 4, EACH = BM / 32;
    const int lane = int(threadIdx.x) % 32, channels = int(gridDim.y) * a.outputs;
    __syncthreads();
    float count = 0.0f;
#pragma unroll
    for (int i = 0; i < EACH; ++i) count += rows[lane + 32 * i] >= 0 ? 1.0f : 0.0f;
    count = warp_reduce<Add>(count);
#pragma unroll 1
    for (int n = int(threadIdx.x) / 32; n < min(BN, a.outputs - work.columns.n0); n += COUNT / 32) {
        const int channel = work.columns.first + work.columns.n0 + n;
        float x[EACH], sum = 0.0f, squares = 0.0f;
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            T stored;
            store_float(&stored, scaled(a, tile[n * PITCH + lane + 32 * i], channel));
            x[i] = to_float(stored);
            if (rows[lane + 32 * i] >= 0) sum += x[i];
        }
        const float mean = warp_reduce<Add>(sum) / count;
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            if (rows[lane + 32 * i] >= 0) squares += (x[i] - mean) * (x[i] - mean);
        }
        squares = warp_reduce<Add>(squares);
        float* to = a.moments + work.m0 / BM * 2 * channels + channel;
        if (lane == 0) to[0] = mean, to[channels] = squares;
    }
}

// For a block of COUNT threads, each of which has put its sums into the tile (BN, BM + 4), aligned to 16 bytes. rows (BM), in shared
// memory too: where row m goes in channel 0 of out, -1 for nowhere. VECTOR: elements of 16 bytes.
template <class T, int BM, int BN, int COUNT, int VECTOR, class A>
__device__ __forceinline__ void finish(const A& a, float* tile, const long long* rows, const Columns& columns) {
    __syncthreads();
    if (a.vector) {
        write_out<T, BM, BN, COUNT, VECTOR>(a, tile, rows, columns);
    } else {
        write_out<T, BM, BN, COUNT, 1>(a, tile, rows, columns);
    }
}
