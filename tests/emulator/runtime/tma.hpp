// Loads of boxes of a tensor (TMA). Their bytes are there when the mbarrier's phase that awaits them has ended.
#pragma once
#include "state.hpp"

namespace emu {

// What the emulator finds where a GPU finds the driver's tensor map; tests/emulator/tensor_map.py writes it.
struct TensorMap {
  const char* address;
  uint64_t stride[4];  // bytes from one place of the axes 1 .. rank - 1 to the next
  uint32_t size[5];
  uint16_t box[5];  // of pixels: channels and pixels
  int16_t lower[3], upper[3];
  uint8_t step[5];
  uint8_t pixels;  // whether it is a map of pixels (im2col) or of tiles
  uint8_t rank, item, swizzle;  // bytes of an element; bytes of the swizzle
};
static_assert(sizeof(TensorMap) <= 128, "a tensor map has 128 bytes");

// Sixteen bytes of shared memory change places with others of eight rows of 128: bits 4 .. 6 of the address with bits 7 .. 9.
inline uint32_t swizzled(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

struct Loading {
  const TensorMap& map;
  char* to;
  MBarrier& barrier;
  uint32_t written = 0;

  // The elements c .. c + box[0] of a row that lies at `from`; null: a row of zeros.
  void row(const char* from, int c) {
    const Thread& self = *machine.self;
    for (int first = 0; first < map.box[0]; first += 16 / map.item) {
      Store store{nullptr, 16, self.id, self.clocks[size_t(self.id)], true, {}};
      const long left = long(map.size[0]) - (c + first), count = std::min<long>(left, 16 / map.item);
      if (from && count > 0 && c + first >= 0) {
        const char* at = from + long(c + first) * map.item;
        touch(at, size_t(count) * map.item == 16 ? 16 : 1, READ);
        memcpy(store.data, at, size_t(count) * map.item);
      }
      const uint32_t plain = shared_address(to) + written;
      store.to = static_cast<char*>(shared_pointer(map.swizzle == 128 ? swizzled(plain) : plain));
      touch_by_proxy(store.to, 16, WRITE, "TMA");
      mark(store.to, 16, IN_FLIGHT, self.id, true);
      barrier.stores.push_back(store);
      written += 16;
    }
  }

  void finish() {
    join(barrier.arriving, machine.self->clocks);
    advance(*machine.self);
    barrier.bytes -= long(written);
    complete_if_done(barrier);
  }
};

static Loading start_loading(void* to, const void* address, void* barrier, int rank, bool pixels) {
  const auto& map = *static_cast<const TensorMap*>(address);
  if (reinterpret_cast<uintptr_t>(address) % 64) fail("TMA: the tensor map is not aligned to 64 bytes");
  if (map.rank != rank || bool(map.pixels) != pixels)
    fail("TMA: a load of rank %d by a map of %s of rank %d", rank, map.pixels ? "pixels" : "tiles", map.rank);
  if (shared_address(to) % 128) fail("misaligned: TMA to %s needs 128 bytes", where(to).c_str());
  if (reinterpret_cast<uintptr_t>(map.address) % 16) fail("misaligned: TMA of a tensor needs 16 bytes");
  if (map.swizzle && map.box[0] * map.item > map.swizzle)
    fail("TMA: rows of %d bytes do not fit a swizzle of %d", map.box[0] * map.item, map.swizzle);
  if (map.box[0] * map.item % 16) fail("TMA: rows of %d bytes are no multiple of 16", map.box[0] * map.item);
  return {map, static_cast<char*>(to), mbarrier_at(barrier)};
}

void load_tile(void* to, const void* address, void* barrier, int x, int y, int z) {
  Loading loading = start_loading(to, address, barrier, 3, false);
  const TensorMap& map = loading.map;
  const auto inside = [&](int axis, int i) { return i >= 0 && uint32_t(i) < map.size[axis]; };
  for (int k = z; k < z + map.box[2]; ++k)
    for (int j = y; j < y + map.box[1]; ++j)
      loading.row(inside(1, j) && inside(2, k) ? map.address + map.stride[0] * size_t(j) + map.stride[1] * size_t(k) : nullptr, x);
  loading.finish();
}

// Limits of the fields of a map, and of the instruction.
static void check_pixels(const TensorMap& map, const int (&at)[3], const int (&by)[3], int n, int axes) {
  const int corner = axes == 2 ? 128 : 16, most = axes == 2 ? 255 : 31;
  for (int i = 0; i < axes; ++i) {
    if (map.lower[i] < -corner || map.lower[i] >= corner || map.upper[i] < -corner || map.upper[i] >= corner)
      fail("TMA: corners %d, %d of axis %d do not fit a map over %d axes", map.lower[i], map.upper[i], i, axes);
    if (by[i] < 0 || by[i] > most) fail("TMA: an offset of %d over %d axes, at most %d", by[i], axes, most);
    if (map.step[i + 1] < 1 || map.step[i + 1] > 8) fail("TMA: a step of %d, at most 8", map.step[i + 1]);
    if (at[i] < map.lower[i] || at[i] >= int(map.size[i + 1]) + map.upper[i])
      fail("TMA: place %d of axis %d lies outside of the map's box", at[i], i);
  }
  if (n < 0 || uint32_t(n) >= map.size[axes + 1]) fail("TMA: there is no image %d", n);
}

void load_pixels(void* to, const void* address, void* barrier, int rank, int c, int w, int h, int d, int n, int right,
                 int down, int back) {
  Loading loading = start_loading(to, address, barrier, rank, true);
  const TensorMap& map = loading.map;
  const int axes = rank - 2, by[3] = {right, down, back};
  int at[3] = {w, h, d};
  check_pixels(map, at, by, n, axes);
  for (int pixel = 0; pixel < map.box[1]; ++pixel) {
    const char* from = uint32_t(n) < map.size[rank - 1] ? map.address + map.stride[rank - 2] * size_t(n) : nullptr;
    for (int i = 0; i < axes; ++i) {
      const int place = at[i] + by[i];
      if (place < 0 || place >= int(map.size[i + 1])) from = nullptr;
      if (from) from += map.stride[i] * size_t(place);
    }
    loading.row(from, c);
    int i = 0;
    for (; i < axes; ++i) {
      at[i] += map.step[i + 1];
      if (at[i] < int(map.size[i + 1]) + map.upper[i]) break;
      at[i] = map.lower[i];
    }
    n += i == axes;
  }
  loading.finish();
}

}  // namespace emu
