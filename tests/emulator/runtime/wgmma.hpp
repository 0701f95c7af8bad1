// Products of a warpgroup from shared memory. Each lane computes its own elements of d when it waits; until then d is NaN. The
// operands are looked at twice, when a product starts and when its wait returns: in between they must stay as they are.
#pragma once
#include "emulator_half.hpp"
#include "tma.hpp"

namespace emu {

constexpr int SUM = 16;  // elements of K in a product

// An operand as its descriptor says: rows of M or N, along K.
struct Operand {
  uint32_t start, leading, stride, base, mode;

  explicit Operand(uint64_t descriptor)
      : start(uint32_t(descriptor & 0x3fff) << 4), leading(uint32_t(descriptor >> 16 & 0x3fff) << 4),
        stride(uint32_t(descriptor >> 32 & 0x3fff) << 4), base(uint32_t(descriptor >> 49 & 7)), mode(uint32_t(descriptor >> 62)) {
    if (mode > 1) fail("wgmma: the emulator knows operands without a swizzle and with that of 128 bytes, not mode %u", mode);
  }

  // Where eight elements of a row lie, from k = 8 half on. The order of the swizzle starts at rows that the base offset names.
  const char* chunk(int row, int half) const {
    const uint32_t group = uint32_t(row) / 8 * stride, r = uint32_t(row) % 8;
    uint32_t at = mode == 1 ? start + group + r * 128 + uint32_t(half) * 16
                            : start + group + r * 16 + uint32_t(half) * leading;
    if (mode == 1) at ^= (((at >> 7) - base) & 7) << 4;
    return machine.self->block->shared + at;
  }
};

static float element(const char* chunk, int k, bool bfloat) {
  uint16_t raw;
  memcpy(&raw, chunk + 2 * k, 2);
  return bfloat ? bfloat_value(raw) : half_value(raw);
}

// This lane's share of what its warp reads: its 16 rows of a, and all of b.
static void touch_operands(const Product& p) {
  const Operand a(p.a), b(p.b);
  const int lane = machine.self->in_block % 32, warp = machine.self->in_block / 32 % 4;
  touch_by_proxy(a.chunk(16 * warp + lane / 2, lane % 2), 16, READ, "wgmma");
  for (int i = lane; i < 2 * p.n; i += 32) touch_by_proxy(b.chunk(i / 2, i % 2), 16, READ, "wgmma");
}

// d of this lane, from operands as they are now; each sum is rounded once.
static void multiply(const Product& p, std::vector<float>& d) {
  const Operand a(p.a), b(p.b);
  const int lane = machine.self->in_block % 32, warp = machine.self->in_block / 32 % 4, g = lane / 4, t = lane % 4;
  float rows[2][SUM];
  for (int i = 0; i < 2; ++i)
    for (int k = 0; k < SUM; ++k) rows[i][k] = element(a.chunk(16 * warp + g + 8 * i, k / 8), k % 8, p.bfloat);
  for (int j = 0; j < p.n / 8; ++j)
    for (int e = 0; e < 2; ++e) {
      float column[SUM];
      for (int k = 0; k < SUM; ++k) column[k] = element(b.chunk(8 * j + 2 * t + e, k / 8), k % 8, p.bfloat);
      for (int i = 0; i < 2; ++i) {
        float& sum = d[size_t(4 * j + 2 * i + e)];
        double exact = p.add ? sum : 0.0;
        for (int k = 0; k < SUM; ++k) exact += double(rows[i][k]) * column[k];
        sum = float(exact);
      }
    }
}

// orders: what a lane did before is done for all lanes.
static void meet(const char* what, bool orders) {
  int nothing = 0, all[32];
  warp_exchange(0xffffffffu, &nothing, orders ? 0 : sizeof nothing, all, what, 0);
}

// All lanes of a warp, and all warps of a warpgroup, bring the same product, each at its own time.
static void check_alike(const Product& p) {
  Thread& self = *machine.self;
  struct { uint64_t a, b; int n, add; } mine{p.a, p.b, p.n, p.add}, all[32];
  warp_exchange(0xffffffffu, &mine, sizeof mine, all, "wgmma.mma_async", 0);
  for (const auto& other : all)
    if (memcmp(&other, &mine, sizeof mine)) fail("wgmma: lanes of a warp bring different operands");
  auto& issued = self.block->issued[self.in_block / 128];
  if (self.product_count == issued.size()) issued.push_back(p);
  const Product& first = issued[self.product_count++];
  if (first.a != p.a || first.b != p.b || first.n != p.n || first.add != p.add)
    fail("wgmma: warps of a warpgroup bring different operands");
}

void wgmma(float* d, int n, uint64_t a, uint64_t b, bool add, bool bfloat) {
  Thread& self = *machine.self;
  if (self.block->size % 128) fail("wgmma: a block of %d threads has no whole warpgroups", self.block->size);
  const Product product{d, n, a, b, add, bfloat};
  check_alike(product);
  if (!self.sums.count(d) && !self.fenced) fail("wgmma: thread %s: a wgmma.fence is missing", name(self).c_str());
  touch_operands(product);
  Sums& sums = self.sums[d];
  if (!sums.open++) sums.value.assign(d, d + n / 2);
  std::fill(d, d + n / 2, bits<float>(machine.poison));
  self.products.push_back(product);
}

void wgmma_fence() {
  meet("wgmma.fence", false);
  machine.self->fenced = true;
}

void wgmma_commit() {
  machine.self->multiplying.push_back(std::move(machine.self->products));
  machine.self->products.clear();
}

void wgmma_wait(size_t left) {
  Thread& self = *machine.self;
  while (self.multiplying.size() > left) {
    for (const Product& product : self.multiplying.front()) {
      touch_operands(product);
      Sums& sums = self.sums[product.d];
      multiply(product, sums.value);
      if (--sums.open) continue;
      std::copy(sums.value.begin(), sums.value.end(), product.d);
      self.sums.erase(product.d);
      self.fenced = false;
    }
    self.multiplying.pop_front();
  }
  meet("wgmma.wait_group", true);
}

}  // namespace emu
