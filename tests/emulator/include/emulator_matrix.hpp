// What a warp's tensor-core instructions compute, element by element, from the documented fragment layouts.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace emu {

struct tf32;  // names the format: float32 bits whose low 13 are ignored

template <int A, int B>
struct Fragments {
  unsigned a[A], b[B];
};

// Which lane holds element (row, k) of a or (k, column) of b, in which register, and where in it.
template <class T>
struct Layout {
  static constexpr int span = 8;  // k of one register column
  static int lane(int i, int k) { return i % 8 * 4 + k % 8 / 2; }
  static float value(unsigned r, int k) {
    const auto raw = static_cast<unsigned short>(r >> (k % 2 * 16));
    T half;
    __builtin_memcpy(&half, &raw, 2);
    return float(half);
  }
};
template <>
struct Layout<tf32> {
  static constexpr int span = 4;
  static int lane(int i, int k) { return i % 8 * 4 + k % 4; }
  static float value(unsigned r, int) { return bits<float>(r & 0xffffe000u); }
};

// c (16, 8) += a (16, K) b (K, 8). Each sum is rounded once; a GPU truncates more often, in an order of its own.
template <class T, int K, int A = K / Layout<T>::span * 2, int B = A / 2>
void mma(float (&c)[4], const unsigned (&a)[A], const unsigned (&b)[B]) {
  using At = Layout<T>;
  Fragments<A, B> mine;
  __builtin_memcpy(mine.a, a, sizeof a);
  __builtin_memcpy(mine.b, b, sizeof b);
  const auto warp = gather(0xffffffffu, mine, K == 16 ? "mma.m16n8k16" : "mma.m16n8k8", 0);
  const int g = lane() / 4, t = lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    double sum = c[i];
    for (int k = 0; k < K; ++k)
      sum += double(At::value(warp.of[At::lane(row, k)].a[row / 8 + k / At::span * 2], k)) *
             double(At::value(warp.of[At::lane(column, k)].b[k / At::span], k));
    c[i] = float(sum);
  }
}

struct Row {
  uint4 words;
};

// N 8x8 matrices of 16-bit elements; lane 8 n + i points at row i of matrix n.
template <int N, bool TRANSPOSED>
void ldmatrix(unsigned (&r)[N], const void* row) {
  const int g = lane() / 4, t = lane() % 4;
  Row mine{};
  if (lane() < 8 * N) {
    if (reinterpret_cast<uintptr_t>(row) % 16) fail("misaligned: ldmatrix needs rows aligned to 16 bytes");
    shared_address(row);
    touch(row, 16, 0);
    mine = plain_load(static_cast<const Row*>(row));
  }
  const auto warp = gather(0xffffffffu, mine, N == 4 ? "ldmatrix.x4" : N == 2 ? "ldmatrix.x2" : "ldmatrix.x1", 0);
  const auto element = [&](int matrix, int i, int j) {
    unsigned short value;
    __builtin_memcpy(&value, reinterpret_cast<const char*>(&warp.of[8 * matrix + i]) + 2 * j, 2);
    return unsigned(value);
  };
  for (int n = 0; n < N; ++n)
    r[n] = TRANSPOSED ? element(n, 2 * t, g) | element(n, 2 * t + 1, g) << 16
                      : element(n, g, 2 * t) | element(n, g, 2 * t + 1) << 16;
}

}  // namespace emu
