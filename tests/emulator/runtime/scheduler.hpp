// Fibers, and the order in which they run.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "fiber.hpp"
#include "state.hpp"

namespace emu {

Machine machine;

// Ends the launch with one line. Never returns: the fiber is left where it stands.
void fail(const char* format, ...) {
  machine.failed = true;
  va_list list;
  va_start(list, format);
  vsnprintf(machine.message, sizeof machine.message, format, list);
  va_end(list);
  void* abandoned;
  emu_switch(&abandoned, machine.scheduler_sp);
  __builtin_unreachable();
}

static void to_scheduler() { emu_switch(&machine.self->stack_pointer, machine.scheduler_sp); }

void block_here(const char* what, int line) {
  machine.self->state = Thread::BLOCKED;
  machine.self->waits_for = what;
  machine.self->line = line;
  machine.idle_polls = 0;
  to_scheduler();
}

void wake(Thread* thread) {
  if (thread->state != Thread::BLOCKED) return;
  thread->state = Thread::READY;
  thread->polling = false;
  machine.group->ready.push_back(thread);
}

void pause(bool polling) {
  machine.self->polling = polling;
  machine.group->ready.push_back(machine.self);
  to_scheduler();
}

void poll(const char* what) {
  if (++machine.idle_polls > 1000000)
    fail("endless wait: thread %s polls %s, and nothing changes any more", name(*machine.self).c_str(), what);
  pause(true);
}

static void fiber_main() {
  machine.body(machine.arguments);
  Thread& self = *machine.self;
  self.commits.push_back(std::move(self.copies));
  for (const auto& copies : self.commits)
    if (!copies.empty()) fail("thread %s ended with a cp.async that it never waited for", name(self).c_str());
  if (!self.sums.empty()) fail("thread %s ended with a wgmma that it never waited for", name(self).c_str());
  self.state = Thread::DONE;
  machine.idle_polls = 0;
  to_scheduler();
}

// The next fiber: polling threads only when nobody else can run, then by the schedule.
static size_t pick() {
  const auto& ready = machine.group->ready;
  const Launch& launch = *machine.launch;
  const auto any = [&](auto&& wanted) {
    const auto found = std::find_if(ready.begin(), ready.end(), wanted);
    return found == ready.end() ? ready.size() : size_t(found - ready.begin());
  };
  const auto of_warp = [&](Thread* t) {
    const int warps = (t->block->size + 31) / 32;
    return t->in_block / 32 == int(launch.seed % warps);
  };
  const auto of_block = [&](Thread* t) { return t->block - machine.group->blocks.data() ==
                                                long(launch.seed % machine.group->blocks.size()); };
  size_t at = ready.size();
  if (launch.order == RANDOM) {
    at = machine.random() % ready.size();
    if (!ready[at]->polling) return at;
  }
  if (launch.order == WARP_AHEAD) at = any([&](Thread* t) { return !t->polling && of_warp(t); });
  if (launch.order == WARP_BEHIND) at = any([&](Thread* t) { return !t->polling && !of_warp(t); });
  if (launch.order == BLOCK_AHEAD) at = any([&](Thread* t) { return !t->polling && of_block(t); });
  if (at >= ready.size() || ready[at]->polling) at = any([](Thread* t) { return !t->polling; });
  return at < ready.size() ? at : 0;
}

static void resume(Thread& thread) {
  machine.self = &thread;
  machine.since_switch = 0;
  machine.code = nullptr;
  threadIdx = thread.index;
  blockIdx = thread.block->index;
  emu_switch(&machine.scheduler_sp, thread.stack_pointer);
}

// Counts the threads that hang at one place, for the report of a deadlock.
static void report_deadlock() {
  const Thread* first = nullptr;
  int alike = 0, done = 0;
  for (const Thread& t : machine.group->threads) {
    if (!first && t.state == Thread::BLOCKED) first = &t;
    if (t.state == Thread::BLOCKED && t.line == first->line && t.block == first->block && t.waits_for == first->waits_for)
      ++alike;
  }
  for (const Thread& t : machine.group->threads) done += t.state == Thread::DONE && t.block == first->block;
  machine.failed = true;
  snprintf(machine.message, sizeof machine.message,
           "deadlock: %d of %d threads of block (%u,%u,%u) wait for ever at %s%s, %d have ended", alike,
           first->block->size, first->block->index.x, first->block->index.y, first->block->index.z, first->waits_for,
           at_line(first->line).c_str(), done);
}

static void report(const char* text) {
  machine.failed = true;
  snprintf(machine.message, sizeof machine.message, "%s", text);
}

static void run_group(Group& group) {
  machine.group = &group;
  for (Thread& thread : group.threads) group.ready.push_back(&thread);
  if (machine.launch->order == REVERSED) std::reverse(group.ready.begin(), group.ready.end());
  while (!machine.failed && !group.ready.empty()) {
    const size_t at = pick();
    Thread* thread = group.ready[at];
    group.ready.erase(group.ready.begin() + long(at));
    resume(*thread);
  }
  if (machine.failed) return;
  machine.code = nullptr;
  for (const Thread& thread : group.threads)
    if (thread.state != Thread::DONE) return report_deadlock();
  for (const auto& barrier : group.mbarriers)
    if (!barrier.second.stores.empty()) return report("the cluster ended while a st.async or a TMA load was still in flight");
}

static char* stack_of(size_t i) {
  while (machine.stacks.size() <= i) {
    void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    mprotect(memory, 4096, PROT_NONE);
    machine.stacks.push_back(static_cast<char*>(memory));
  }
  return machine.stacks[i];
}

// Each compiled kernel has stacks of its own, and a process may have so many mappings only: most go back after a launch.
static void return_stacks() {
  for (; machine.stacks.size() > 32; machine.stacks.pop_back()) munmap(machine.stacks.back(), STACK);
}

static char* arena_of(size_t i, size_t count) {
  if (machine.arena_count < count) {
    if (machine.arenas) munmap(machine.arenas, machine.arena_count * ARENA);
    machine.arenas = static_cast<char*>(
        mmap(nullptr, count * ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    machine.arena_count = count;
  }
  return machine.arenas + i * ARENA;
}

static void start_threads(Group& group, Block& block) {
  const dim3 size = machine.launch->block;
  for (int i = 0; i < block.size; ++i) {
    Thread& t = group.threads[size_t(block.first + i)];
    t.block = &block;
    t.in_block = i;
    t.id = block.first + i;
    const unsigned u = unsigned(i);
    t.index = {u % size.x, u / size.x % size.y, u / (size.x * size.y)};
    t.clocks.assign(group.threads.size(), 0);
    t.clocks[size_t(t.id)] = 1;
    t.stack = stack_of(size_t(t.id));
    t.stack_pointer = new_fiber(t.stack, STACK, fiber_main);
  }
}

// Blocks first .. first + count of the grid, alive together.
static void run_blocks(const std::vector<unsigned>& numbers, uint32_t group_number) {
  const dim3 grid = machine.launch->grid, size = machine.launch->block;
  const size_t threads = size.x * size.y * size.z, cluster = machine.launch->cluster;
  Group group;
  group.number = group_number;
  group.cluster_size = int(cluster);
  group.blocks = std::vector<Block>(numbers.size());
  group.threads = std::vector<Thread>(numbers.size() * threads);
  group.clusters.resize(numbers.size() / cluster);
  for (size_t i = 0; i < numbers.size(); ++i) {
    Block& block = group.blocks[i];
    const unsigned n = numbers[i];
    block.index = {n % grid.x, n / grid.x % grid.y, n / (grid.x * grid.y)};
    block.rank = int(i % cluster);
    block.first = int(i * threads);
    block.size = int(threads);
    block.shared = arena_of(i, numbers.size());
    block.dynamic_cells.resize(machine.launch->shared_bytes);
    block.static_cells.resize(machine.static_end - STATIC_BASE);
    fill(block.shared, machine.launch->shared_bytes);
    fill(block.shared + STATIC_BASE, machine.static_end - STATIC_BASE);
    start_threads(group, block);
  }
  run_group(group);
}

static void run_grid() {
  const Launch& launch = *machine.launch;
  const unsigned count = launch.grid.x * launch.grid.y * launch.grid.z;
  const unsigned together = launch.cooperative ? count : launch.cluster;
  std::vector<unsigned> order(count / together);
  for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
  if (launch.order == REVERSED) std::reverse(order.begin(), order.end());
  if (launch.order == RANDOM) std::shuffle(order.begin(), order.end(), machine.random);
  for (unsigned i = 0; i < order.size() && !machine.failed; ++i) {
    std::vector<unsigned> numbers(together);
    for (unsigned j = 0; j < together; ++j) numbers[j] = order[i] * together + j;
    run_blocks(numbers, i + 1);
  }
  return_stacks();
}

}  // namespace emu
