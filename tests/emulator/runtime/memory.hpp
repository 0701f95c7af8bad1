// Every access of a kernel is looked at here: inside an array? aligned? ordered against the accesses of other threads?
// GCC calls the __tsan_* functions before each load and store (-fsanitize=thread); they are ours, not ThreadSanitizer's.
#pragma once
#include <link.h>

#include "state.hpp"

namespace emu {

std::string name(const Thread& t) {
  char text[96];
  snprintf(text, sizeof text, "(%u,%u,%u) of block (%u,%u,%u)", t.index.x, t.index.y, t.index.z, t.block->index.x,
           t.block->index.y, t.block->index.z);
  return text;
}

// Poison: a NaN in float16, bfloat16, float32 and float64, another one in every schedule.
void fill(char* begin, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) begin[i] = char(machine.poison >> (8 * (i % 4)));
}

static Block* block_of(const char* a) {
  const auto offset = size_t(a - machine.arenas);
  if (a < machine.arenas || offset >= machine.group->blocks.size() * ARENA) return nullptr;
  return &machine.group->blocks[offset / ARENA];
}

static Region* region_of(const char* a) {
  for (Region& r : machine.regions)
    if (a >= r.begin && a < r.end) return &r;
  return nullptr;
}

std::string where(const void* address) {
  const auto* a = static_cast<const char*>(address);
  char text[160];
  if (Block* block = block_of(a)) {
    const auto offset = size_t(a - block->shared);
    const char* array = "dynamic shared memory";
    size_t start = 0;
    for (const auto& slot : machine.slots)
      if (offset >= slot.first) start = slot.first, array = slot.second;
    snprintf(text, sizeof text, "shared '%s' + %zu bytes", array, offset - start);
    return text;
  }
  const Region* nearest = nullptr;
  for (const Region& r : machine.regions)
    if (a >= r.begin - 4096 && a < r.end + 4096 && (!nearest || a >= r.begin)) nearest = &r;
  if (!nearest) return "an address in no array";
  snprintf(text, sizeof text, "'%s' %+td bytes (it has %td)", nearest->name, a - nearest->begin,
           nearest->end - nearest->begin);
  return text;
}

static std::string other(const Access& access) {
  if (access.group != machine.group->number) return "a thread of another block";
  return "thread " + name(machine.group->threads[size_t(access.thread)]);
}

static bool ordered(const Access& before) {
  if (!before.clock) return true;
  if (before.clock == IN_FLIGHT) return false;
  if (before.group != machine.group->number) return machine.orders_blocks;
  return before.clock <= machine.self->clocks[size_t(before.thread)];
}

static void race(const void* at, const char* now, const Access& before, const char* then) {
  if (before.clock == IN_FLIGHT)
    fail("thread %s %s %s while an asynchronous copy of %s is still in flight: a wait is missing",
         name(*machine.self).c_str(), now, where(at).c_str(), other(before).c_str());
  fail("race: thread %s %s %s, which %s %s, with no barrier between", name(*machine.self).c_str(), now,
       where(at).c_str(), other(before).c_str(), then);
}

static void record(Cell& c, const void* at, int kind) {
  const Thread& self = *machine.self;
  const bool atomic = kind & ATOMIC, write = kind & WRITE;
  const Access now{self.clocks[size_t(self.id)], machine.group->number, uint16_t(self.id), atomic};
  if (!(atomic && c.write.atomic) && !ordered(c.write)) race(at, write ? "writes" : "reads", c.write, "wrote");
  if (!write) {
    if (!ordered(c.read)) c.other_read = c.read;
    c.read = now;
    return;
  }
  for (const Access& read : {c.read, c.other_read})
    if (!(atomic && read.atomic) && !ordered(read)) race(at, "writes", read, "read");
  c.write = now;
}

static bool same_cluster(const Block& block) {
  const auto number = [](const Block& b) { return (&b - machine.group->blocks.data()) / machine.group->cluster_size; };
  return number(block) == number(*machine.self->block);
}

// The shadow of `bytes` bytes at a; fails when they do not lie inside one array. Null: memory that is not watched.
static Cell* cells_of(const char* a, size_t bytes, const char* verb) {
  if (Block* block = block_of(a)) {
    const auto offset = size_t(a - block->shared);
    if (!same_cluster(*block)) goto outside;
    if (offset >= STATIC_BASE) {
      for (size_t i = offset; i < offset + bytes; ++i)
        if (i >= machine.valid.size() || !machine.valid[i]) goto outside;
      if (block->static_cells.size() < machine.static_end - STATIC_BASE)
        block->static_cells.resize(machine.static_end - STATIC_BASE);
      return &block->static_cells[offset - STATIC_BASE];
    }
    if (offset + bytes > machine.launch->shared_bytes) goto outside;
    return &block->dynamic_cells[offset];
  }
  if (Region* region = region_of(a)) {
    if (a + bytes > region->end) goto outside;
    return &region->cells[size_t(a - region->begin)];
  }
outside:
  fail("out of bounds: thread %s %s %zu bytes at %s", name(*machine.self).c_str(), verb, bytes, where(a).c_str());
}

static uintptr_t module_begin, module_end;  // code and data of this library: __constant__ and __device__ variables

static int find_module(dl_phdr_info* info, size_t, void* mine) {
  uintptr_t low = UINTPTR_MAX, high = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& p = info->dlpi_phdr[i];
    if (p.p_type != PT_LOAD) continue;
    low = std::min(low, uintptr_t(info->dlpi_addr + p.p_vaddr));
    high = std::max(high, uintptr_t(info->dlpi_addr + p.p_vaddr + p.p_memsz));
  }
  const auto a = reinterpret_cast<uintptr_t>(mine);
  if (a < low || a >= high) return 0;
  module_begin = low, module_end = high;
  return 1;
}

static bool unwatched(const char* a) {
  const auto u = reinterpret_cast<uintptr_t>(a);
  if (u >= module_begin && u < module_end) return true;
  return a >= machine.self->stack && a < machine.self->stack + STACK;
}

static void maybe_switch() {
  if (++machine.accesses > machine.launch->limit) fail("more than %zu memory accesses: an endless loop?",
                                                       size_t(machine.launch->limit));
  if (++machine.since_switch > 200000) return poll("in a long loop");
  if (machine.launch->order == RANDOM && !(machine.random() & 255)) pause(false);
}

void touch(const void* address, size_t bytes, int kind) {
  if (!machine.self || unwatched(static_cast<const char*>(address))) return;
  maybe_switch();
  const bool write = kind & WRITE;
  const auto* a = static_cast<const char*>(address);
  if (bytes <= 16 && !(bytes & (bytes - 1)) && reinterpret_cast<uintptr_t>(a) % bytes)
    fail("misaligned: thread %s %s %zu bytes at %s", name(*machine.self).c_str(), write ? "writes" : "reads", bytes,
         where(a).c_str());
  Cell* cell = cells_of(a, bytes, write ? "writes" : "reads");
  for (size_t i = 0; i < bytes; ++i) record(cell[i], a + i, kind);
}

// Sets the last write of some bytes: to IN_FLIGHT when an asynchronous copy starts, to a clock when it lands.
void mark(void* to, size_t bytes, Clock clock, int thread, bool landed) {
  Cell* cell = cells_of(static_cast<char*>(to), bytes, "writes");
  for (size_t i = 0; i < bytes; ++i) {
    cell[i].write.clock = clock, cell[i].write.thread = uint16_t(thread);
    cell[i].write.landed = landed;
  }
}

// An access of wgmma or TMA, the asynchronous proxy: ordinary stores must have been followed by a fence.proxy.async.
void touch_by_proxy(const void* address, size_t bytes, int kind, const char* who) {
  const auto* a = static_cast<const char*>(address);
  if (!block_of(a)) fail("%s: %s is not in shared memory", who, where(a).c_str());
  const Cell* cell = cells_of(a, bytes, kind & WRITE ? "writes" : "reads");
  for (size_t i = 0; i < bytes; ++i) {
    const Access& write = cell[i].write;
    if (!write.clock || write.clock == IN_FLIGHT || write.landed || write.group != machine.group->number) continue;
    if (write.clock > machine.group->threads[write.thread].proxied)
      fail("%s of thread %s meets %s, which %s wrote: a fence.proxy.async is missing", who, name(*machine.self).c_str(),
           where(a + i).c_str(), other(write).c_str());
  }
  for (size_t i = 0; i < bytes; i += 16) touch(a + i, 16, kind);
}

void* shared_slot(int& slot, size_t bytes, size_t align, const char* array) {
  if (slot < 0) {
    const size_t offset = (machine.static_end + RED_ZONE + align - 1) / align * align;
    machine.static_bytes += bytes;
    if (machine.static_bytes > STATIC_LIMIT) fail("more than %zu bytes of static shared memory", STATIC_LIMIT);
    if (machine.static_bytes + machine.launch->shared_bytes > SHARED_LIMIT)
      fail("%zu static and %u dynamic bytes of shared memory: no GPU has more than %zu", machine.static_bytes,
           machine.launch->shared_bytes, SHARED_LIMIT);
    slot = int(offset);
    machine.static_end = offset + bytes;
    machine.valid.resize(ARENA);
    std::fill_n(machine.valid.begin() + long(offset), bytes, 1);
    machine.slots.emplace_back(offset, array);
    for (Block& block : machine.group->blocks) fill(block.shared + offset, bytes);
  }
  return machine.self->block->shared + slot;
}

void* dynamic_shared() { return machine.self->block->shared; }

// Called before an atomic: other threads may come first, and what they did before their atomic is now visible.
void atomic_order(const void* address, size_t bytes, int kind) {
  if (machine.launch->order == RANDOM && machine.random() & 1) pause(false);
  machine.orders_blocks = true;
  machine.idle_polls = 0;
  touch(address, bytes, kind | ATOMIC);
  Clocks& last = machine.group->atomics[address];
  join(machine.self->clocks, last);
  join(last, machine.self->clocks);
  advance(*machine.self);
}

void fence() { machine.orders_blocks = true; }

}  // namespace emu

#define EMU_HOOK(NAME, CHECK, N, KIND)                       \
  void NAME##N(void* a) {                                    \
    emu::machine.code = __builtin_return_address(0);         \
    emu::CHECK(a, N, emu::KIND);                             \
    emu::machine.code = nullptr;                             \
  }
#define EMU_HOOKS(N)                                                         \
  EMU_HOOK(__tsan_read, touch, N, READ)                                      \
  EMU_HOOK(__tsan_write, touch, N, WRITE)                                    \
  EMU_HOOK(__tsan_unaligned_read, touch_unaligned, N, READ)                  \
  EMU_HOOK(__tsan_unaligned_write, touch_unaligned, N, WRITE)                \
  EMU_HOOK(__tsan_volatile_read, touch_volatile, N, READ)                    \
  EMU_HOOK(__tsan_volatile_write, touch_volatile, N, WRITE)                  \
  EMU_HOOK(__tsan_unaligned_volatile_read, touch_volatile, N, READ)          \
  EMU_HOOK(__tsan_unaligned_volatile_write, touch_volatile, N, WRITE)

namespace emu {
// The compiler's "unaligned" means: it could not prove the alignment (a struct copy). The bytes are checked all the same.
static void touch_unaligned(void* a, size_t bytes, int kind) {
  for (size_t i = 0; i < bytes; ++i) touch(static_cast<char*>(a) + i, 1, kind);
}
// Volatile accesses are how kernels poll a flag: ordered like atomics, and others get their turn.
static void touch_volatile(void* a, size_t bytes, int kind) {
  if (!machine.self || unwatched(static_cast<char*>(a))) return;
  if (!(kind & WRITE)) poll(where(a).c_str());
  const uint64_t polls = machine.idle_polls;
  atomic_order(a, bytes, kind);
  if (!(kind & WRITE)) machine.idle_polls = polls;
}
}  // namespace emu

extern "C" {
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* a, size_t n) { emu::touch_unaligned(a, n, emu::READ); }
void __tsan_write_range(void* a, size_t n) { emu::touch_unaligned(a, n, emu::WRITE); }
}
