// What depthwise convolution has in common, with the channels first (conv_depthwise.cu) and last (conv_depthwise_last.cu): strips of
// outputs along h, which windows meet an element, the way through strips, where sums go.
#pragma once

#include "activations.cuh"
#include "storage.cuh"

constexpr int ROWS = 4;

// Where a strip's outputs begin along h.
__device__ __forceinline__ int strip_begin(int strip, int apart) {
    return apart == 1 ? strip * ROWS : strip / apart * (ROWS * apart) + strip % apart;
}

// Along one axis, the taps that meet an element: first, first + hop, ...; the windows of these begin at place, place - back, ...
struct Meeting {
    int first, place, back;
};

__device__ __forceinline__ Meeting meet(int padded, int taps, int stride, int dilation, int hop) {
    for (int t = 0; t < hop && t < taps; ++t) {
        const int from = padded - t * dilation;
        if (from % stride == 0) return {t, from / stride, dilation / (stride / hop)};
    }
    return {taps, 0, 0};
}

// A strip of the outputs of a filter: image, depth, number along h, column. It steps a number of strips ahead without a division.
struct Walk {
    long long image;
    int d, strip, w;

    template <class A, class Number>
    __device__ __forceinline__ static Walk to(const A& a, Number item) {
        const Number image = item / a.items;
        const int rest = int(item - image * a.items), line = rest / a.size_w;
        return {image, line / a.strips, line % a.strips, rest % a.size_w};
    }
    template <class A>
    __device__ __forceinline__ void advance(const A& a, const Walk& by) {
        w += by.w;
        strip += by.strip;
        d += by.d;
        image += by.image;
        if (w >= a.size_w) w -= a.size_w, ++strip;
        if (strip >= a.strips) strip -= a.strips, ++d;
        if (d >= a.size_d) d -= a.size_d, ++image;
    }
};

// A total of dweight, or behind them of db: to sums if another launch adds slices, else to its place.
template <class A>
__device__ __forceinline__ void store_total(const A& a, int slice, int column, float total) {
    const int weights = a.filters * a.taps_d * a.taps_h * a.taps_w;
    if (column >= a.columns) return;
    if (a.sums != nullptr) {
        a.sums[(long long)slice * a.columns + column] = total;
    } else if (column < weights) {
        store_float(a.dweight + column, total);
    } else {
        store_float(a.db + (column - weights), total);
    }
}
