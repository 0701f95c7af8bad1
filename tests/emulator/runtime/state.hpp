// What the emulator remembers: threads (fibers), blocks, the group of blocks that live at once, and the shadow of memory.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "emulator.hpp"

namespace emu {

using Clock = uint32_t;
using Clocks = std::vector<Clock>;  // one entry per thread of the group: a vector clock
constexpr Clock IN_FLIGHT = UINT32_MAX;  // written by an asynchronous copy that nobody has waited for

struct Access {
  Clock clock = 0;
  uint32_t group = 0;
  uint16_t thread = 0;
  bool atomic = false;
  bool landed = false;  // written by the asynchronous proxy, TMA
};

// Who touched a byte last, and when. A race is a pair of accesses whose order no barrier fixes. Two reads that are not
// ordered are both kept: the next write must come after each.
struct Cell {
  Access write, read, other_read;
};

struct Region {  // a buffer in global memory
  char* begin;
  char* end;
  const char* name;
  std::vector<Cell> cells;
};

struct Snapshot {  // what the lanes of a warp brought to a call
  char value[32][64];
};

struct Copy {  // one cp.async in flight
  char* to;
  size_t bytes;
  char data[16];
};

struct Product {  // one wgmma in flight: d += a b
  float* d;
  int n;
  uint64_t a, b;
  bool add, bfloat;
};

struct Sums {  // the registers d of products in flight
  std::vector<float> value;
  int open = 0;  // products that have not been waited for
};

struct Block;

struct Thread {
  enum State { READY, BLOCKED, DONE };
  void* stack_pointer = nullptr;
  char* stack = nullptr;
  Block* block = nullptr;
  uint3 index{};
  int in_block = 0, id = 0;  // linear index in the block, and in the group
  State state = READY;
  bool polling = false;
  const char* waits_for = "";
  int line = 0;
  int result = 0;
  Clocks clocks;
  unsigned mask = 0;  // the warp call it stands in
  alignas(16) char posted[64];
  std::shared_ptr<Snapshot> exchanged;
  unsigned cluster_phase = 0;
  std::vector<Copy> copies;               // cp.async not yet committed
  std::deque<std::vector<Copy>> commits;  // committed groups, oldest first
  Clock proxied = 0;  // its clock at the last fence.proxy.async
  bool fenced = false;  // wgmma.fence since registers came back
  std::vector<Product> products;               // not yet committed
  std::deque<std::vector<Product>> multiplying;  // committed groups, oldest first
  std::map<float*, Sums> sums;
  size_t product_count = 0;
};

struct Barrier {
  int expected = 0, arrived = 0, line = 0, sum = 0;
  Clocks clocks;
  std::vector<Thread*> waiting;
};

struct Store {  // one st.async, or 16 bytes of a TMA load, in flight
  char* to;
  size_t bytes;
  int thread;
  Clock clock;
  bool tensor;
  char data[16];
};

struct MBarrier {
  int count = 0, pending = 0;
  long bytes = 0;  // transaction count, may go below zero for a while
  unsigned phase = 0;
  Clocks arriving, completed;
  std::vector<Store> stores;
};

struct Block {
  uint3 index{};
  int rank = 0;  // in its cluster
  int first = 0, size = 0;  // its threads in Group::threads
  char* shared = nullptr;
  std::vector<Cell> dynamic_cells, static_cells;
  Barrier barriers[16];
  std::map<int, std::vector<Product>> issued;  // by each warpgroup: its warps must issue the same
};

struct Cluster {
  int arrived = 0;
  unsigned phase = 0;
  Clocks arriving, completed;
  std::vector<Thread*> waiting;
};

struct Group {  // blocks that are alive at the same time
  std::vector<Thread> threads;
  std::vector<Block> blocks;
  std::vector<Cluster> clusters;
  std::vector<Thread*> ready;
  std::map<const void*, MBarrier> mbarriers;
  std::map<const void*, Clocks> atomics;
  int cluster_size = 1;
  uint32_t number = 0;
};

enum Order { IN_ORDER, REVERSED, RANDOM, WARP_AHEAD, WARP_BEHIND, BLOCK_AHEAD };

constexpr size_t ARENA = 512 << 10;          // shared memory of one block: dynamic first, static from STATIC_BASE
constexpr size_t STATIC_BASE = 240 << 10;
constexpr size_t STATIC_LIMIT = 48 << 10;    // CUDA's, on every GPU
constexpr size_t SHARED_LIMIT = 227 << 10;   // of the largest supported GPU, dynamic and static together
constexpr size_t RED_ZONE = 128;             // between two static arrays: an index past the end lands there
constexpr size_t STACK = 128 << 10;

struct Machine {
  const Launch* launch = nullptr;
  void (*body)(const void*) = nullptr;
  Group* group = nullptr;
  Thread* self = nullptr;
  void* scheduler_sp = nullptr;
  std::mt19937_64 random;
  std::vector<Region> regions;
  std::vector<char*> stacks;
  char* arenas = nullptr;
  size_t arena_count = 0;
  size_t static_bytes = 0;
  size_t static_end = STATIC_BASE;      // grows as kernels meet their __shared__ declarations
  std::vector<uint8_t> valid;           // which bytes of an arena belong to an array
  std::vector<std::pair<size_t, const char*>> slots;  // offset of each static array, and its name
  uint32_t poison = 0;
  uint64_t accesses = 0, since_switch = 0, idle_polls = 0;
  bool orders_blocks = false;  // an atomic or a fence was seen: blocks may be ordered by it
  bool failed = false;
  void* code = nullptr;  // where in the kernel the last access was made
  alignas(64) char arguments[4096];  // the launch's struct, inside this library
  char message[1024];
};

extern Machine machine;

// scheduler.hpp
void block_here(const char* what, int line);
void wake(Thread* thread);
void pause(bool polling);

// memory.hpp
enum Kind { READ = 0, WRITE = 1, ATOMIC = 2 };
std::string where(const void* address);
std::string name(const Thread& thread);
// " in line 12"; nothing for a call whose line in the kernel is not known.
inline std::string at_line(int line) { return line ? " in line " + std::to_string(line) : ""; }
void fill(char* begin, size_t bytes);
void mark(void* to, size_t bytes, Clock clock, int thread, bool landed = false);
void touch_by_proxy(const void* address, size_t bytes, int kind, const char* who);
void touch(const void* address, size_t bytes, int kind);

inline void join(Clocks& into, const Clocks& from) {
  if (into.size() < from.size()) into.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i)
    if (into[i] < from[i]) into[i] = from[i];
}
inline void advance(Thread& thread) { ++thread.clocks[thread.id]; }

}  // namespace emu
