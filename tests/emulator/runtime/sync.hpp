// Barriers, warp calls, asynchronous copies: who waits for whom, and when data becomes visible.
#pragma once
#include "state.hpp"

namespace emu {

// One arrival; the last one wakes the others. Every thread leaves with the sum of the predicates.
static int arrive_at(Barrier& barrier, int count, bool wait, int predicate, const char* what, int line) {
  Thread& self = *machine.self;
  if (barrier.arrived == 0) barrier.expected = count, barrier.sum = 0, barrier.line = line, barrier.clocks.clear();
  if (barrier.expected != count)
    fail("%s: thread %s expects %d threads, others expect %d", what, name(self).c_str(), count, barrier.expected);
  join(barrier.clocks, self.clocks);
  barrier.sum += predicate;
  if (wait) barrier.waiting.push_back(&self);
  advance(self);
  const bool last = ++barrier.arrived == count;
  if (!last && wait) block_here(what, line);
  if (!last) return self.result;
  barrier.arrived = 0;
  std::vector<Thread*> waiting;
  waiting.swap(barrier.waiting);
  for (Thread* t : waiting) {
    join(t->clocks, barrier.clocks);
    t->result = barrier.sum;
    wake(t);
  }
  if (wait) pause(false);
  return self.result;
}

int block_barrier(int predicate, int line) {
  Block& block = *machine.self->block;
  Barrier& barrier = block.barriers[0];
  if (barrier.arrived && barrier.line != line)
    fail("divergent barrier: thread %s arrives at __syncthreads in line %d, others wait in line %d",
         name(*machine.self).c_str(), line, barrier.line);
  return arrive_at(barrier, block.size, true, predicate, "__syncthreads", line);
}

void named_barrier(int id, int count, bool wait) {
  if (id < 0 || id > 15) fail("named barrier %d: there are 16", id);
  if (count <= 0 || count % 32) fail("named barrier %d for %d threads: not a multiple of 32", id, count);
  static const char* const names[16] = {
      "named barrier 0",  "named barrier 1",  "named barrier 2",  "named barrier 3", "named barrier 4",  "named barrier 5",
      "named barrier 6",  "named barrier 7",  "named barrier 8",  "named barrier 9", "named barrier 10", "named barrier 11",
      "named barrier 12", "named barrier 13", "named barrier 14", "named barrier 15"};
  arrive_at(machine.self->block->barriers[id], count, wait, 0, names[id], 0);
}

static Cluster& cluster_of(const Thread& self) {
  return machine.group->clusters[size_t(self.id / (self.block->size * machine.group->cluster_size))];
}

void cluster_arrive() {
  Thread& self = *machine.self;
  Cluster& cluster = cluster_of(self);
  join(cluster.arriving, self.clocks);
  advance(self);
  self.cluster_phase = cluster.phase;
  if (++cluster.arrived < self.block->size * machine.group->cluster_size) return;
  cluster.arrived = 0;
  ++cluster.phase;
  cluster.completed.swap(cluster.arriving);
  cluster.arriving.clear();
  for (Thread* t : cluster.waiting) wake(t);
  cluster.waiting.clear();
}

void cluster_wait() {
  Thread& self = *machine.self;
  Cluster& cluster = cluster_of(self);
  if (cluster.phase == self.cluster_phase) {
    cluster.waiting.push_back(&self);
    block_here("barrier.cluster.wait", 0);
  }
  join(self.clocks, cluster.completed);
}

// The lanes named in mask that the block really has.
static unsigned lanes_of(const Thread& self, unsigned mask) {
  const int rest = self.block->size - self.in_block / 32 * 32;
  return rest >= 32 ? mask : mask & ((1u << rest) - 1);
}

// Fails when a lane of the mask stands in another warp call; says whether all have come to this one.
static bool all_have_come(const Thread& self, int first) {
  bool all = true;
  for (int l = 0; l < 32; ++l) {
    if (!(self.mask >> l & 1) || first + l == self.id) continue;
    const Thread& t = machine.group->threads[size_t(first + l)];
    const bool waits = t.state == Thread::BLOCKED && t.mask;
    if (waits && (t.mask != self.mask || t.line != self.line || strcmp(t.waits_for, self.waits_for)))
      fail("lanes of a warp meet in different calls: thread %s at %s%s with mask %08x, thread %s at %s%s with mask %08x",
           name(self).c_str(), self.waits_for, at_line(self.line).c_str(), self.mask, name(t).c_str(), t.waits_for,
           at_line(t.line).c_str(), t.mask);
    all = all && waits;
  }
  return all;
}

// The last lane hands everybody what everybody brought. Only __syncwarp orders memory.
static void complete_exchange(unsigned mask, int first, bool orders) {
  const auto snapshot = std::make_shared<Snapshot>();
  Clocks joined;
  for (int l = 0; l < 32; ++l) {
    if (!(mask >> l & 1)) continue;
    Thread& t = machine.group->threads[size_t(first + l)];
    memcpy(snapshot->value[l], t.posted, sizeof t.posted);
    t.exchanged = snapshot;
    t.mask = 0;
    if (orders) join(joined, t.clocks), advance(t);
    wake(&t);
  }
  for (int l = 0; orders && l < 32; ++l)
    if (mask >> l & 1) join(machine.group->threads[size_t(first + l)].clocks, joined);
}

void warp_exchange(unsigned mask, const void* value, size_t bytes, void* all, const char* what, int line) {
  Thread& self = *machine.self;
  const int lane = self.in_block % 32, first = self.id - lane;
  if (!(mask >> lane & 1)) fail("%s%s: thread %s is not in its own mask", what, at_line(line).c_str(), name(self).c_str());
  memcpy(self.posted, value, bytes);
  self.mask = lanes_of(self, mask);
  self.waits_for = what;
  self.line = line;
  if (all_have_come(self, first)) {
    complete_exchange(self.mask, first, !bytes);
    pause(false);
  } else {
    block_here(what, line);
  }
  for (int l = 0; bytes && l < 32; ++l) memcpy(static_cast<char*>(all) + size_t(l) * bytes, self.exchanged->value[l], bytes);
}

unsigned existing_lanes() { return lanes_of(*machine.self, 0xffffffffu); }

// cp.async: the source is read now, the target keeps its old bytes until this thread waits.
void copy_async(void* to, const void* from, size_t bytes, size_t valid) {
  if (valid) touch(from, valid == bytes ? bytes : 1, READ);
  if (reinterpret_cast<uintptr_t>(from) % bytes) fail("misaligned: cp.async of %zu bytes from %s", bytes, where(from).c_str());
  touch(to, bytes, WRITE);
  Copy copy{static_cast<char*>(to), bytes, {}};
  memcpy(copy.data, from, valid);
  mark(to, bytes, IN_FLIGHT, machine.self->id);
  machine.self->copies.push_back(copy);
}

void copy_async_commit() {
  machine.self->commits.push_back(std::move(machine.self->copies));
  machine.self->copies.clear();
}

void copy_async_wait(size_t left) {
  Thread& self = *machine.self;
  while (self.commits.size() > left) {
    for (const Copy& copy : self.commits.front()) {
      memcpy(copy.to, copy.data, copy.bytes);
      mark(copy.to, copy.bytes, self.clocks[size_t(self.id)], self.id);
    }
    self.commits.pop_front();
  }
}

static MBarrier& mbarrier_at(const void* address) {
  const auto found = machine.group->mbarriers.find(address);
  if (found == machine.group->mbarriers.end())
    fail("mbarrier at %s is used before mbarrier.init", where(address).c_str());
  return found->second;
}

void mbarrier_init(void* address, int count) {
  touch(address, 8, WRITE);
  MBarrier barrier;
  barrier.count = barrier.pending = count;
  machine.group->mbarriers[address] = barrier;
}

// A phase ends when all arrivals are in and all announced bytes have landed; only then their data is there to be seen.
static void complete_if_done(MBarrier& barrier) {
  if (barrier.pending || barrier.bytes) return;
  for (const Store& store : barrier.stores) {
    memcpy(store.to, store.data, store.bytes);
    mark(store.to, store.bytes, store.clock, store.thread, store.tensor);
  }
  barrier.stores.clear();
  barrier.completed.clear();
  barrier.completed.swap(barrier.arriving);
  barrier.pending = barrier.count;
  ++barrier.phase;
  machine.idle_polls = 0;
}

void mbarrier_arrive(void* address, long expected_bytes) {
  MBarrier& barrier = mbarrier_at(address);
  if (barrier.pending == 0) fail("mbarrier at %s: more arrivals than its count", where(address).c_str());
  join(barrier.arriving, machine.self->clocks);
  advance(*machine.self);
  barrier.bytes += expected_bytes;
  --barrier.pending;
  complete_if_done(barrier);
}

bool mbarrier_test(void* address, unsigned parity) {
  MBarrier& barrier = mbarrier_at(address);
  if ((barrier.phase & 1) == (parity & 1)) {
    poll("an mbarrier");
    if ((barrier.phase & 1) == (parity & 1)) return false;
  }
  join(machine.self->clocks, barrier.completed);
  return true;
}

static bool alive(const char* shared) {
  const Block* block = block_of(shared);
  if (!block) return true;  // touch reports it
  for (int i = 0; i < block->size; ++i)
    if (machine.group->threads[size_t(block->first + i)].state != Thread::DONE) return true;
  return false;
}

void store_async(void* to, const void* value, size_t bytes, void* address) {
  MBarrier& barrier = mbarrier_at(address);
  if (!alive(static_cast<char*>(to))) fail("st.async to %s of a block that has ended", where(to).c_str());
  touch(to, bytes, WRITE);
  Thread& self = *machine.self;
  Store store{static_cast<char*>(to), bytes, self.id, self.clocks[size_t(self.id)], false, {}};
  memcpy(store.data, value, bytes);
  mark(to, bytes, IN_FLIGHT, self.id);
  join(barrier.arriving, self.clocks);
  advance(self);
  barrier.stores.push_back(store);
  barrier.bytes -= long(bytes);
  complete_if_done(barrier);
}

void fence_proxy_async() {
  machine.self->proxied = machine.self->clocks[size_t(machine.self->id)];
  advance(*machine.self);
}

uint32_t shared_address(const void* p) {
  const auto offset = static_cast<const char*>(p) - machine.arenas;
  if (offset < 0 || size_t(offset) >= machine.group->blocks.size() * ARENA)
    fail("%s is not in shared memory", where(p).c_str());
  return uint32_t(offset);
}
void* shared_pointer(uint32_t address) { return machine.arenas + address; }
uint32_t map_rank(uint32_t address, unsigned rank) {
  const Block& block = *machine.self->block;
  if (rank >= unsigned(machine.group->cluster_size)) fail("mapa: rank %u of a cluster of %d", rank, machine.group->cluster_size);
  return uint32_t(long(address) + (long(rank) - block.rank) * long(ARENA));
}
unsigned cluster_rank() { return unsigned(machine.self->block->rank); }
unsigned cluster_size() { return unsigned(machine.group->cluster_size); }

}  // namespace emu
