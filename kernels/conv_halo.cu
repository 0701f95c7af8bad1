// conv_halo: convolution of stride 1 in float16 and bfloat16 on tensor cores, summed in float32: forward and input gradient.
//
//   out[n, o, k] = act(scale[k] (sum over t, c of in[n, o + lower + reach(t), c] w[k, t, c]) + bias[k] + residual[n, o, k])
//
// reach(t) >= 0 along each axis.
//
// A block computes a box of target positions, of one or more images, for BN channels. What all taps see of the input, the box and
// its halo, is loaded once and stays in shared memory; the weights stream through it. Both are packed (conv_pack.cu) and move in
// chunks of 16 bytes; the sum runs over chunks (tap, channels of the tap), two at once, and ends with a chunk of zeros where their
// number is odd. A pixel takes an odd number of chunks, so that eight neighbours lie in all banks. Fixed order of sums.
//
// Products M: as in conv_tensor.cuh.

#include "conv_half.cuh"
#include "conv_tensor.cuh"

constexpr int PLACES = 4;      // the image, and the axes
constexpr int SUM_CHUNKS = 8;  // of the sum in a stage
constexpr int OUT_ROWS = 128;  // that leave at once

template <class T>
struct HaloArguments {
    T* out;
    const T* in;      // (batch, *source, chunks, CHUNK)
    const T* weight;  // (outputs, *kernel, chunks, CHUNK)
    const T *scale, *bias, *residual;  // (outputs), (outputs), as out, or null
    long long in_image;  // chunks
    int chunks, pitch;   // of a pixel in `in`, and in shared memory
    int outputs, out_channel, activation, vector;  // as in conv_out.cuh
    int source[PLACES], target[PLACES], box[PLACES], halo[PLACES], kernel[PLACES];
    int lower[PLACES];                  // where the halo of target 0 begins
    int first[PLACES], step[PLACES];    // tap j reaches first + j step
    int out_stride[PLACES];
};

// A number's place in an array of these sizes, the last axis the fastest; the first one has no end.
struct Place {
    int at[PLACES];

    __device__ Place(int index, const int (&sizes)[PLACES]) {
#pragma unroll
        for (int x = PLACES - 1; x > 0; --x) {
            at[x] = index % sizes[x];
            index /= sizes[x];
        }
        at[0] = index;
    }

    __device__ void advance(const Place& by, const int (&sizes)[PLACES]) {
#pragma unroll
        for (int x = PLACES - 1; x > 0; --x) {
            at[x] += by.at[x];
            if (at[x] < sizes[x]) continue;
            at[x] -= sizes[x];
            ++at[x - 1];
        }
        at[0] += by.at[0];
    }
};

__device__ __forceinline__ int flat(const int (&at)[PLACES], const int (&sizes)[PLACES]) {
    return ((at[0] * sizes[1] + at[1]) * sizes[2] + at[2]) * sizes[3] + at[3];
}

// Four warps, each of WM positions for all of BN channels.
template <class M, int WM, int BN, class T = typename M::T>
__global__ void __launch_bounds__(THREADS, 1) conv_halo(const __grid_constant__ HaloArguments<T> a) {
    constexpr int MI = WM / 16, NI = BN / 8, WARPS = THREADS / 32, BM = WARPS * WM;
    static_assert(BM % OUT_ROWS == 0 && OUT_ROWS % WM == 0 && NI % 2 == 0, "a box for 4 warps");
    using Chunk = Vector<T, CHUNK<T>>;
    // (BM) where they go, -1 for none; two stages of the weights; the halo; a chunk of zeros; how far each chunk of the sum reaches.
    extern __shared__ __align__(128) unsigned char memory[];
    auto* rows = reinterpret_cast<long long*>(memory);
    auto* stages = reinterpret_cast<Chunk*>(memory + BM * sizeof(long long));
    Chunk* halo = stages + 2 * BN * SUM_CHUNKS;
    const int pixels = a.halo[0] * a.halo[1] * a.halo[2] * a.halo[3], zero = pixels * a.pitch;
    int* reach = reinterpret_cast<int*>(halo + zero + 1);

    const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
    const int tiles = (a.outputs - 1) / BN + 1, n0 = int(blockIdx.x) % tiles * BN;
    int begin[PLACES], box = int(blockIdx.x) / tiles;
#pragma unroll
    for (int x = PLACES - 1; x >= 0; --x) {
        const int boxes = (a.target[x] - 1) / a.box[x] + 1;
        begin[x] = box % boxes * a.box[x];
        box /= boxes;
    }

    const Chunk* in = reinterpret_cast<const Chunk*>(a.in);
    const int side = THREADS / a.chunks, own = thread / a.chunks, chunk = thread % a.chunks;
    if (own < side) {
        Place place(own, a.halo);
        const Place by(side, a.halo);
        for (int p = own; p < pixels; p += side) {
            int at[PLACES];
            bool valid = true;
#pragma unroll
            for (int x = 0; x < PLACES; ++x) {
                at[x] = begin[x] + a.lower[x] + place.at[x];
                valid &= unsigned(at[x]) < unsigned(a.source[x]);
            }
            const int inner = (at[1] * a.source[2] + at[2]) * a.source[3] + at[3];
            const Chunk* from = in + at[0] * a.in_image + (long long)inner * a.chunks + chunk;
            ptx::copy_async<16>(&halo[p * a.pitch + chunk], valid ? from : in, valid);
            place.advance(by, a.halo);
        }
    }

    const Chunk* weight = reinterpret_cast<const Chunk*>(a.weight);
    const int all = a.kernel[1] * a.kernel[2] * a.kernel[3] * a.chunks;
    const auto fetch = [&](int stage) {
        Chunk* to = stages + stage % 2 * BN * SUM_CHUNKS;
        const int c = thread % SUM_CHUNKS, q = stage * SUM_CHUNKS + c;
#pragma unroll
        for (int n = thread / SUM_CHUNKS; n < BN; n += THREADS / SUM_CHUNKS) {
            const bool valid = q < all && n0 + n < a.outputs;
            ptx::copy_async<16>(&to[n * SUM_CHUNKS + (c ^ n % 8)], valid ? weight + (n0 + n) * all + q : weight, valid);
        }
    };
    fetch(0);
    ptx::copy_async_commit();

    for (int q = thread; q < all + all % 2; q += THREADS) {
        Place tap(q / a.chunks, a.kernel);
#pragma unroll
        for (int x = 0; x < PLACES; ++x) tap.at[x] = a.first[x] + tap.at[x] * a.step[x];
        reach[q] = q < all ? flat(tap.at, a.halo) * a.pitch + q % a.chunks : -1;
    }
    for (int m = thread; m < BM; m += THREADS) {
        const Place place(m, a.box);
        bool valid = place.at[0] < a.box[0];
        long long to = 0;
#pragma unroll
        for (int x = 0; x < PLACES; ++x) {
            valid &= begin[x] + place.at[x] < a.target[x];
            to += (long long)(begin[x] + place.at[x]) * a.out_stride[x];
        }
        rows[m] = valid ? to : -1;
    }
    if (thread == 0) halo[zero] = Chunk{};
    // This lane's pixels. Rows behind the box read the first one: nobody asks for what comes of it.
    int pixel[MI];
#pragma unroll
    for (int i = 0; i < MI; ++i) {
        const Place place(warp * WM + i * 16 + lane % 16, a.box);
        pixel[i] = place.at[0] < a.box[0] ? flat(place.at, a.halo) * a.pitch : 0;
    }

    float sum[MI][NI][4] = {};
    const auto step = [&](int stage, int k) {
        const Chunk* b = stages + stage % 2 * BN * SUM_CHUNKS;
        const int far = reach[stage * SUM_CHUNKS + 2 * k + lane / 16];
        u32 fa[MI][4], fb[NI / 2][4];
#pragma unroll
        for (int i = 0; i < MI; ++i) ptx::ldmatrix_x4(fa[i], &halo[far < 0 ? zero : pixel[i] + far]);
#pragma unroll
        for (int j = 0; j < NI / 2; ++j) {
            const int n = j * 16 + lane % 8 + lane / 16 * 8;
            ptx::ldmatrix_x4(fb[j], &b[n * SUM_CHUNKS + ((2 * k + lane / 8 % 2) ^ n % 8)]);
        }
        M::multiply(sum, fa, fb);
    };
    for (int s = 0; s * SUM_CHUNKS < all; ++s) {
        ptx::copy_async_wait<0>();
        __syncthreads();
        if ((s + 1) * SUM_CHUNKS < all) fetch(s + 1);
        ptx::copy_async_commit();
        const int left = (all - s * SUM_CHUNKS + 1) / 2;
        if (left >= SUM_CHUNKS / 2) {
#pragma unroll
            for (int k = 0; k < SUM_CHUNKS / 2; ++k) step(s, k);
        } else {
#pragma unroll 1
            for (int k = 0; k < left; ++k) step(s, k);
        }
    }

    auto* tile = reinterpret_cast<float*>(stages);
#pragma unroll 1
    for (int m0 = 0; m0 < BM; m0 += OUT_ROWS) {
        __syncthreads();
        if (warp * WM / OUT_ROWS * OUT_ROWS == m0) put<OUT_ROWS, MI, NI>(tile, sum, warp * WM - m0, 0);
        finish<T, OUT_ROWS, BN, THREADS, CHUNK<T>>(a, tile, rows + m0, {0, n0});
    }
}
