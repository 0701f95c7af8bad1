// The way out of a block of a convolution: from its sums, a tile in shared memory, to the output.
//
//   out[row, k] = act(scale[k] sum[row, k] + bias[k] + residual[row, k])
//
// A struct A of arguments has out, scale, bias, residual (the last three may be null), outputs (of a group), out_channel (elements
// of out from a channel to the next), activation (0 none, 1 relu, 2 tanh, 3 sigmoid) and vector (whether whole vectors may leave).
#pragma once

#include "activations.cuh"
#include "storage.cuh"

__device__ __forceinline__ float activated(int activation, float x) {
    switch (activation) {
        case 1: return Relu::apply(x);
        case 2: return Tanh::apply(x);
        case 3: return Sigmoid::apply(x);
        default: return x;
    }
}

// The columns of a tile: output channels of a group from n0 on; the group's first one is `first` among those of all groups.
struct Columns {
    int first, n0;
};

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
            float x = tile[(last ? n + i : n) * PITCH + (last ? m : m + i)];
            if (a.scale != nullptr) x *= to_float(a.scale[channel + (last ? i : 0)]);
            if (a.bias != nullptr) x += to_float(a.bias[channel + (last ? i : 0)]);
            if (a.residual != nullptr) x += to_float(residual.item[i]);
            store_float(&v.item[i], activated(a.activation, x));
        }
        store<T, N>(a.out + place, v);
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
