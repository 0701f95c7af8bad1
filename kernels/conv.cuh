// What the convolution kernels share: phases and taps of xpnn/cuda/conv_taps.py, and the rows of a block; the way out is conv_out.cuh.
//
// A kernel computes a matrix product whose row m is a target position (n, i_0, i_1, i_2) of a phase, whose column is an output
// channel, and which is summed over (channel, tap); groups and phases are blocks of their own (blockIdx.y and .z).
#pragma once

#include "conv_out.cuh"

constexpr int AXES = 3;
constexpr int THREADS = 128;
constexpr int MOST_TAPS = 384;

// out (batch, groups * outputs, *target), in (batch, groups * channels, *source), or with the channels last: strides tell.
template <class T>
struct GatherArguments {
    T* out;
    float* parts;       // of the shares of a sum: conv_out.cuh; or null
    unsigned* tickets;
    float* moments;     // of the tiles, as conv_out.cuh has them; or null: not wanted
    const T* in;
    const T* weight;
    const T* scale;     // (groups * outputs), or null
    const T* bias;      // (groups * outputs), or null
    const T* residual;  // as out, or null
    long long batch, in_image, out_image;
    int groups, channels, outputs;  // of a group
    int in_channel, out_channel;
    int weight_group, weight_output, weight_channel, weight_tap;
    int activation, vector, shares;  // as conv_out.cuh has them
    int source[AXES], target[AXES], kernel[AXES];
    int out_step[AXES], in_step[AXES], shift[AXES], dilation[AXES], divisor[AXES], tap_step[AXES], inverse[AXES], shift_step[AXES];
    int in_stride[AXES], out_stride[AXES];
};

// A phase: along each axis its first target, its number of targets, and its taps.
struct Phase {
    int begin[AXES], places[AXES], taps[AXES], first_tap[AXES], first_shift[AXES];

    __device__ int all_taps() const { return taps[0] * taps[1] * taps[2]; }
    __device__ long long all_places() const { return (long long)places[0] * places[1] * places[2]; }
};

template <class A>
__device__ __forceinline__ Phase phase_of(const A& a, int index) {
    Phase p;
#pragma unroll
    for (int x = AXES - 1; x >= 0; --x) {
        const int b = index % a.out_step[x], at = b + a.shift[x];
        index /= a.out_step[x];
        p.begin[x] = b;
        p.places[x] = (a.target[x] - b + a.out_step[x] - 1) / a.out_step[x];
        // C++ rounds towards zero: `at` is negative in a forward only, where divisor, tap_step and out_step are 1.
        const int first = at / a.divisor[x] % a.tap_step[x] * a.inverse[x] % a.tap_step[x];
        const bool any = at % a.divisor[x] == 0 && first < a.kernel[x];
        p.taps[x] = any ? (a.kernel[x] - first + a.tap_step[x] - 1) / a.tap_step[x] : 0;
        p.first_tap[x] = first;
        p.first_shift[x] = any ? (at - first * a.dilation[x]) / a.out_step[x] : 0;
    }
    return p;
}

// The taps of a phase in shared memory: shifts along the axes, then the offset in the input; and the offset in the weight.
struct Taps {
    int4 place[MOST_TAPS];
    int weight[MOST_TAPS];
};

template <class A>
__device__ __forceinline__ void fill(Taps& taps, const A& a, const Phase& p) {
    for (int t = int(threadIdx.x); t < p.all_taps(); t += THREADS) {
        int rest = t, shift[AXES], tap[AXES];
#pragma unroll
        for (int x = AXES - 1; x >= 0; --x) {
            const int j = rest % p.taps[x];
            rest /= p.taps[x];
            shift[x] = p.first_shift[x] + a.shift_step[x] * j;
            tap[x] = p.first_tap[x] + a.tap_step[x] * j;
        }
        const int offset = shift[0] * a.in_stride[0] + shift[1] * a.in_stride[1] + shift[2] * a.in_stride[2];
        taps.place[t] = make_int4(shift[0], shift[1], shift[2], offset);
        taps.weight[t] = ((tap[0] * a.kernel[1] + tap[1]) * a.kernel[2] + tap[2]) * a.weight_tap;
    }
}

// A target position: where its element of channel 0 lies in `out`, and where tap shifts start from in `in`.
struct Row {
    long long in, out;
    int at[AXES];
    bool valid;
};

// A target position of a phase that moves on without a division.
struct Position {
    long long n;
    int i[AXES];

    __device__ Position(const Phase& p, long long m) {
        const long long per_image = p.all_places();
        n = m / per_image;
        int rest = int(m - n * per_image);
#pragma unroll
        for (int x = AXES - 1; x >= 0; --x) {
            i[x] = rest % p.places[x];
            rest /= p.places[x];
        }
    }

    __device__ void advance(const Phase& p, int by) {
        i[2] += by;
        while (i[2] >= p.places[2]) {
            i[2] -= p.places[2];
            if (++i[1] < p.places[1]) continue;
            i[1] = 0;
            if (++i[0] < p.places[0]) continue;
            i[0] = 0;
            ++n;
        }
    }

    template <class A>
    __device__ Row row(const A& a, const Phase& p) const {
        Row r = {n * a.in_image, n * a.out_image, {}, n < a.batch};
#pragma unroll
        for (int x = 0; x < AXES; ++x) {
            r.at[x] = i[x] * a.in_step[x];
            r.in += (long long)r.at[x] * a.in_stride[x];
            r.out += (long long)(p.begin[x] + i[x] * a.out_step[x]) * a.out_stride[x];
        }
        return r;
    }
};

// Whether the element that a tap wants lies in the input.
template <class A>
__device__ __forceinline__ bool inside(const A& a, const int (&at)[AXES], const int4& tap) {
    return unsigned(at[0] + tap.x) < unsigned(a.source[0]) && unsigned(at[1] + tap.y) < unsigned(a.source[1]) &&
           unsigned(at[2] + tap.z) < unsigned(a.source[2]);
}
