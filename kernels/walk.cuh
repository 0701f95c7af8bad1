// How the blocks and threads of batch_norm share channels: each thread's way through x (samples, channels, size), N elements at a
// time, and the sums over the threads that share a channel.
//
// With size > 1 a block has part of one channel (blockDim.x is 1), its threads side by side in the planes of the samples, one plane
// after another. With size 1, x is a matrix: blockDim.x * N channels are side by side in a block, whose threads walk down the rows.
#pragma once

#include "norm.cuh"

// Packs that a thread has in flight.
template <int N>
constexpr int FLIGHT = N == 1 ? 8 : 4;

// The thread's way: the packs that it reads, in order, and the channels of their elements.
template <int N>
struct Walk {
    int channel, channels, chunk, chunks;
    bool planes, inside;
    long long each, all;     // packs (in a matrix rows) of a channel: in a chunk, and in all
    long long index, stop;   // the next one, the end of the chunk
    int packs;               // of a plane
    int sample, pack;        // where the next one is
    int step, step_sample, step_pack;
    long long first, stride;  // the channel's first element; elements from sample to sample

    __device__ __forceinline__ Walk(int samples, int channels, int size, int chunks, long long each)
        : channels(channels), chunks(chunks), each(each) {
        const int lane = int(blockIdx.x) / chunks * int(blockDim.x) + int(threadIdx.x);
        chunk = int(blockIdx.x) % chunks;
        planes = size > 1;
        channel = planes ? lane : lane * N;
        inside = channel < channels;
        packs = planes ? size / N : 1;
        all = (long long)samples * packs;
        index = chunk * each + threadIdx.y;
        stop = inside ? min((chunk + 1) * each, all) : 0;
        sample = int(index / packs), pack = int(index % packs);
        step = int(blockDim.y), step_sample = step / packs, step_pack = step % packs;
        first = (long long)channel * size, stride = (long long)channels * size;
    }

    __device__ __forceinline__ bool more() const { return index < stop; }

    __device__ __forceinline__ long long offset() const { return first + sample * stride + (long long)pack * N; }

    __device__ __forceinline__ void advance() {
        index += step, sample += step_sample, pack += step_pack;
        if (pack >= packs) pack -= packs, ++sample;
    }

    // Elements of a channel: in a chunk, and in all of them.
    __device__ __forceinline__ float count(int chunk) const {
        return float(min(each, all - chunk * each) * (planes ? N : 1));
    }
    __device__ __forceinline__ float count() const { return float(all * (planes ? N : 1)); }

    // The channel of the i-th element of a pack, and whether the thread has a sum of its own for it.
    __device__ __forceinline__ int of(int i) const { return planes ? channel : channel + i; }
    __device__ __forceinline__ bool own(int i) const { return inside && (i == 0 || !planes); }
    __device__ __forceinline__ bool writes(int i) const { return own(i) && threadIdx.y == 0; }

    // Where a chunk's sum is for the i-th element's channel, in an array (chunks, 2, channels).
    __device__ __forceinline__ long long place(int chunk, int which, int i) const {
        return (2LL * chunk + which) * channels + of(i);
    }

    // Adds up the threads of the block that share channels, and in planes the elements of a pack. All of them get the sums.
    // room: THREADS * N floats of shared memory, free again when it returns.
    __device__ __forceinline__ void total(float (&x)[N], float* room) const {
        const int lanes = int(blockDim.x), warp = thread_index() / 32;
#pragma unroll
        for (int i = 1; i < N; ++i) {
            if (planes) x[0] += x[i];
        }
#pragma unroll
        for (int i = 0; i < N; ++i) {
            if (i > 0 && planes) break;
            for (int distance = 16; distance >= lanes; distance /= 2) {
                x[i] += __shfl_xor_sync(0xffffffffu, x[i], distance);
            }
            if (thread_index() % 32 < lanes) room[(i * WARPS + warp) * lanes + threadIdx.x] = x[i];
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const int from = planes ? 0 : i * WARPS;
            x[i] = 0.0f;
            for (int k = 0; k < WARPS; ++k) x[i] += room[(from + k) * lanes + threadIdx.x];
        }
        __syncthreads();
    }
};
