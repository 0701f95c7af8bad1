// The emulator's machine room, compiled once and linked with every emulated kernel.
#include "memory.hpp"
#include "scheduler.hpp"
#include "sync.hpp"
#include "tma.hpp"
#include "wgmma.hpp"

// There under AddressSanitizer only, whose shadow then covers the bands around the buffers too.
extern "C" __attribute__((weak)) void __asan_poison_memory_region(const volatile void*, size_t);
extern "C" __attribute__((weak)) void __asan_unpoison_memory_region(const volatile void*, size_t);

namespace emu {

static void guard_bands(void (*change)(const volatile void*, size_t)) {
  for (const Region& r : machine.regions) {
    if (!change || !machine.launch->bands) return;
    change(r.begin - machine.launch->bands, machine.launch->bands);
    change(r.end, machine.launch->bands);
  }
}

// The message of a failure starts with the offset of the access in this library, in hexadecimal: 0 when none is known.
static int run(const Launch* launch, void (*body)(const void*), size_t argument_bytes, char* message, size_t room) {
  if (!module_begin) dl_iterate_phdr(find_module, reinterpret_cast<void*>(&find_module));
  machine.launch = launch;
  machine.body = body;
  machine.failed = false;
  machine.code = nullptr;
  machine.accesses = machine.idle_polls = 0;
  machine.orders_blocks = false;
  machine.random.seed(launch->seed);
  const uint32_t mark = 0x7fc1 + (launch->seed * 6 + uint32_t(launch->order)) % 62;
  machine.poison = mark << 16 | mark;
  memcpy(machine.arguments, launch->arguments, argument_bytes);
  machine.regions.clear();
  for (size_t i = 0; i < launch->buffer_count; ++i) {
    const Buffer& b = launch->buffers[i];
    machine.regions.push_back({b.begin, b.begin + b.bytes, b.name, std::vector<Cell>(b.bytes)});
  }
  guard_bands(__asan_poison_memory_region);
  blockDim = {launch->block.x, launch->block.y, launch->block.z};
  gridDim = {launch->grid.x, launch->grid.y, launch->grid.z};
  run_grid();
  machine.self = nullptr;
  guard_bands(__asan_unpoison_memory_region);
  const auto code = reinterpret_cast<uintptr_t>(machine.code);
  snprintf(message, room, "%zx %s", code ? size_t(code - module_begin - 1) : 0, machine.failed ? machine.message : "");
  return machine.failed;
}

}  // namespace emu

extern "C" __attribute__((visibility("default"))) int emu_run(const emu::Launch* launch, char* message, size_t room) {
  return emu::run(launch, emu_body, emu_argument_bytes, message, room);
}
extern "C" __attribute__((visibility("default"))) size_t emu_sizeof_arguments() { return emu_argument_bytes; }
