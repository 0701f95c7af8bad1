// Windows that slide along three axes: where they lie, which of their taps are inside, and which windows see an element.
//
//   Window o of an axis begins at floor(o move / part) - before. Plain pooling has part = 1 and looks at every step-th of
//   `kernel` elements. Adaptive pooling has move / part = size / out in lowest terms, step = 1 and before = 0; its window
//   ends before ceil((o + 1) size / out), and `kernel` is the length of the longest.
//
// Arrays are (outer, D, H, W, inner): with channels first inner = 1, with channels last it is the number of channels, or of
// vectors of V channels, which are the elements then.
// A thread has one position (d, h, w, channel) of a plane and works at it in several planes, so that it computes the
// position and its windows once. Several lanes may share a position. Planes have at most 2^30 elements, and so has all that
// is counted along an axis; offsets of planes are 64 bits wide.
#pragma once

#include "spans.cuh"

constexpr int THREADS = 256;

// Of a multiprocessor at least; without this the compiler took fewer registers on some targets, and spilled.
constexpr int BLOCKS = 4, SPAN_BLOCKS = 3;

// Planes in which a thread works at once: as many loads are in flight. One where an element is a vector of them.
template <int V>
constexpr int PLANES = V > 1 ? 1 : 4;

// n / d for 0 <= n < 2^31; m = floor(2^32 (2^s - d) / d) + 1, s = ceil(log2 d) (Granlund and Montgomery 1994).
__device__ __forceinline__ int quotient(int n, int d, unsigned m) {
    return int((__umulhi(unsigned(n), m) + unsigned(n)) >> (32 - __clz(d - 1)));
}

struct Axis {
    int size, out, kernel, step, before, move, part;
    unsigned by_move, by_part;  // the m of quotient

    __device__ __forceinline__ int begin(int o) const {
        return (part == 1 ? o * move : quotient(o * move, part, by_part)) - before;
    }

    // Behind the last element of window o.
    __device__ __forceinline__ int end(int o) const {
        if (part == 1) return o * move - before + (kernel - 1) * step + 1;
        return quotient(o * move + move + part - 1, part, by_part) - before;
    }

    // The first and the last window that may see element i; with a dilation some between them do not.
    __device__ __forceinline__ int first_window(int i) const {
        const int n = part == 1 ? i + before - (kernel - 1) * step + move - 1 : (i + before) * part;
        return n <= 0 ? 0 : quotient(n, move, by_move);
    }
    __device__ __forceinline__ int last_window(int i) const {
        return min(quotient((i + before + 1) * part - 1, move, by_move), out - 1);
    }

    // Which tap of window o element i is; -1 if it lies between two.
    __device__ __forceinline__ int tap(int o, int i) const {
        const int distance = i - begin(o);
        if (step == 1) return distance;
        return distance % step == 0 ? distance / step : -1;
    }
};

template <class A>
__device__ __forceinline__ Axis depth(const A& a) {
    return {a.size_d, a.out_d, a.kernel_d, a.step_d, a.before_d, a.move_d, a.part_d, a.by_move_d, a.by_part_d};
}

template <class A>
__device__ __forceinline__ Axis height(const A& a) {
    return {a.size_h, a.out_h, a.kernel_h, a.step_h, a.before_h, a.move_h, a.part_h, a.by_move_h, a.by_part_h};
}

template <class A>
__device__ __forceinline__ Axis width(const A& a) {
    return {a.size_w, a.out_w, a.kernel_w, a.step_w, a.before_w, a.move_w, a.part_w, a.by_move_w, a.by_part_w};
}

// The taps of window o that lie inside of the axis, and the element that tap 0 would see.
struct Taps {
    int first, last, begin;  // last: behind it

    __device__ __forceinline__ Taps(const Axis& axis, int o) : first(0), begin(axis.begin(o)) {
        const int inside = min(axis.size, axis.end(o)) - begin;
        last = axis.step == 1 ? inside : (inside + axis.step - 1) / axis.step;
        if (begin < 0) first = axis.step == 1 ? -begin : (axis.step - 1 - begin) / axis.step;
    }
};

// A position of a plane of `extent`, and whether the plane has it.
struct Place {
    int d, h, w, channel, lane;
    bool inside;
};

// Blocks are side by side along x over the positions, each of which has 2^lane_bits threads, and along y over the planes.
template <class A>
__device__ __forceinline__ Place place(const A& a, int extent_d, int extent_h, int extent_w) {
    const int position = int(blockIdx.x) * (int(blockDim.x) >> a.lane_bits) + (int(threadIdx.x) >> a.lane_bits);
    const int row = quotient(position, a.inner, a.by_inner);
    const int column = quotient(row, extent_w, a.by_w);
    const int slice = quotient(column, extent_h, a.by_h);
    const int lane = int(threadIdx.x) & ((1 << a.lane_bits) - 1);
    if (slice >= extent_d) return {0, 0, 0, 0, lane, false};
    return {slice, column - slice * extent_h, row - column * extent_w, position - row * a.inner, lane, true};
}

// The planes that a thread works in: plane(first, u) for u < P, for every first of a loop that a block goes through together.
// Beyond the last plane it reads that one again, so that loads are unconditional and stay in flight together.
__device__ __forceinline__ long long plane(long long first, int u) {
    return first + u * int(blockDim.y) + int(threadIdx.y);
}
__device__ __forceinline__ long long readable(long long first, int u, long long outer) {
    return min(plane(first, u), outer - 1);
}
template <int P>
__device__ __forceinline__ long long first_plane() { return (long long)blockIdx.y * blockDim.y * P; }
template <int P>
__device__ __forceinline__ long long plane_step() { return (long long)gridDim.y * blockDim.y * P; }

// What a block of a *_span kernel does: all of some planes, or some rows (along the first axis) of one plane. Channels come first.
// The source goes through shared memory in one piece, and so does the target: 16 bytes at a time, whatever their lengths.
struct Span {
    long long source, target;        // where they begin
    int sources, targets;            // their elements
    int first_source, first_target;  // rows
};

template <bool FORWARD, class A>
__device__ __forceinline__ Span span_of(const A& a, const Axis& d, const Axis& h, const Axis& w) {
    const int outputs = h.out * w.out, inputs = h.size * w.size;  // of a row
    const int source_row = FORWARD ? inputs : outputs, target_row = FORWARD ? outputs : inputs;
    const int extent = FORWARD ? d.out : d.size, other = FORWARD ? d.size : d.out;
    const long long plane = (long long)(int(blockIdx.x) / a.bands) * a.planes;
    const int planes = int(min((long long)a.planes, a.outer - plane));
    const int begin = int(blockIdx.x) % a.bands * a.band, rows = min(a.band, extent - begin);
    int first = 0, seen = other;
    if (a.bands > 1) {
        first = FORWARD ? max(d.begin(begin), 0) : d.first_window(begin);
        const int last = FORWARD ? min(d.end(begin + rows - 1), other) : d.last_window(begin + rows - 1) + 1;
        seen = max(last - first, 0);
    }
    return {(plane * other + first) * source_row,
            (plane * extent + begin) * target_row,
            ((planes - 1) * other + seen) * source_row,
            ((planes - 1) * extent + rows) * target_row,
            first,
            begin};
}

// An element of the target of a span: its place, and the number of its plane within the span.
struct Element {
    int plane, d, h, w;
};

template <bool FORWARD, class A>
__device__ __forceinline__ Element element(const A& a, const Span& s, int e, const Axis& d, const Axis& h, const Axis& w) {
    const int extent_d = FORWARD ? d.out : d.size, extent_h = FORWARD ? h.out : h.size, extent_w = FORWARD ? w.out : w.size;
    const int plane = quotient(e, extent_d * extent_h * extent_w, a.by_plane);
    const int rest = e - plane * extent_d * extent_h * extent_w;
    const int row = quotient(rest, extent_w, a.by_w), slice = quotient(row, extent_h, a.by_h);
    return {plane, s.first_target + slice, row - slice * extent_h, rest - row * extent_w};
}

// Brings the source of a span into shared memory, stores what each(e, element, source, where its plane begins there) gives for element e of the target, and
// brings that back. What the block wrote into shared memory before is there in `each`, and what `each` wrote there is behind it.
template <bool FORWARD, class T, class A, class Each>
__device__ __forceinline__ void over_span(
    const A& a, const Span& s, const Axis& d, const Axis& h, const Axis& w, unsigned char* memory, const Each& each) {
    T* source = reinterpret_cast<T*>(memory) + lead(a.source + s.source);
    T* target = reinterpret_cast<T*>(memory + a.source_room) + lead(a.target + s.target);
    move<THREADS>(source, a.source + s.source, s.sources);
    __syncthreads();
    const int row = FORWARD ? h.size * w.size : h.out * w.out;
    for (int e = int(threadIdx.x); e < s.targets; e += THREADS) {
        const Element at = element<FORWARD>(a, s, e, d, h, w);
        store_float(target + e, each(e, at, source, (at.plane * (FORWARD ? d.size : d.out) - s.first_source) * row));
    }
    __syncthreads();
    move<THREADS>(a.target + s.target, target, s.targets);
}
