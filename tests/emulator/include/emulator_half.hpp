// float16 and bfloat16 as CUDA's headers name them: stored in 16 bits, rounded to nearest even after every operation.
#pragma once
#include <cstdint>

namespace emu {

inline uint16_t half_bits(float x) {
  const uint32_t u = bits<uint32_t>(x), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return uint16_t(sign | 0x7e00u | (a >> 13 & 0x1ffu));  // NaN, its payload kept
  if (a >= 0x477ff000u) return uint16_t(sign | 0x7c00u);                      // rounds beyond 65504
  if (a < 0x38800000u)  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
    return uint16_t(sign | (bits<uint32_t>(bits<float>(a) + 0.5f) - 0x3f000000u));
  return uint16_t(sign | ((a + 0xfffu + (a >> 13 & 1u) - 0x38000000u) >> 13));
}
inline float half_value(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000u) << 16, a = h & 0x7fffu;
  if (a >= 0x7c00u) return bits<float>(sign | 0x7f800000u | (a & 0x3ffu) << 13);
  if (a < 0x400u) return bits<float>(sign | bits<uint32_t>(float(a) * 0x1p-24f));
  return bits<float>(sign | ((a << 13) + 0x38000000u));
}
inline uint16_t bfloat_bits(float x) {
  const uint32_t u = bits<uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return uint16_t(u >> 16 | 0x40u);
  return uint16_t((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}
inline float bfloat_value(uint16_t b) { return bits<float>(uint32_t(b) << 16); }

}  // namespace emu

// One class for both formats: NAME with TO (float -> bits) and FROM (bits -> float).
#define EMU_FLOAT16(NAME, NAME2, TO, FROM)                                                    \
  struct alignas(2) NAME {                                                                    \
    uint16_t raw;                                                                             \
    NAME() = default;                                                                         \
    NAME(float x) : raw(emu::TO(x)) {}                                                        \
    NAME(double x) : raw(emu::TO(float(x))) {}                                                \
    NAME(int x) : raw(emu::TO(float(x))) {}                                                   \
    operator float() const { return emu::FROM(raw); }                                         \
    NAME& operator+=(NAME b) { return *this = NAME(float(*this) + float(b)); }                \
    NAME& operator-=(NAME b) { return *this = NAME(float(*this) - float(b)); }                \
    NAME& operator*=(NAME b) { return *this = NAME(float(*this) * float(b)); }                \
    NAME& operator/=(NAME b) { return *this = NAME(float(*this) / float(b)); }                \
  };                                                                                          \
  struct alignas(4) NAME2 {                                                                   \
    NAME x, y;                                                                                \
  };                                                                                          \
  inline NAME operator+(NAME a, NAME b) { return NAME(float(a) + float(b)); }                 \
  inline NAME operator-(NAME a, NAME b) { return NAME(float(a) - float(b)); }                 \
  inline NAME operator*(NAME a, NAME b) { return NAME(float(a) * float(b)); }                 \
  inline NAME operator/(NAME a, NAME b) { return NAME(float(a) / float(b)); }                 \
  inline NAME operator-(NAME a) { NAME b; b.raw = uint16_t(a.raw ^ 0x8000u); return b; }      \
  inline NAME2 operator+(NAME2 a, NAME2 b) { return {a.x + b.x, a.y + b.y}; }                 \
  inline NAME2 operator-(NAME2 a, NAME2 b) { return {a.x - b.x, a.y - b.y}; }                 \
  inline NAME2 operator*(NAME2 a, NAME2 b) { return {a.x * b.x, a.y * b.y}; }                 \
  inline NAME __hadd(NAME a, NAME b) { return a + b; }                                        \
  inline NAME __hsub(NAME a, NAME b) { return a - b; }                                        \
  inline NAME __hmul(NAME a, NAME b) { return a * b; }                                        \
  inline NAME __hdiv(NAME a, NAME b) { return a / b; }                                        \
  inline NAME __hfma(NAME a, NAME b, NAME c) { return NAME(std::fma(float(a), float(b), float(c))); } \
  inline NAME __hmax(NAME a, NAME b) { return NAME(std::fmax(float(a), float(b))); }          \
  inline NAME __hmin(NAME a, NAME b) { return NAME(std::fmin(float(a), float(b))); }          \
  inline bool __hisnan(NAME a) { return std::isnan(float(a)); }                               \
  inline NAME2 __hadd2(NAME2 a, NAME2 b) { return a + b; }                                    \
  inline NAME2 __hmul2(NAME2 a, NAME2 b) { return a * b; }                                    \
  inline NAME2 __hfma2(NAME2 a, NAME2 b, NAME2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
