// Switching between two stacks: by hand on x86-64 (10 ns), by ucontext elsewhere.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)

// Saves the callee-saved registers on the stack in use, leaves its pointer in *from, and goes on where `to` left off.
extern "C" void emu_switch(void** from, void* to);
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch, @function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch, .-emu_switch
)");

namespace emu {
inline void* new_fiber(char* stack, size_t bytes, void (*entry)()) {
  auto* top = reinterpret_cast<uint64_t*>(stack + bytes);
  *--top = 0;  // entry's return address: it never returns. Also leaves the stack aligned as after a call.
  *--top = reinterpret_cast<uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--top = 0;
  return top;
}
}  // namespace emu

#else
#include <ucontext.h>

namespace emu {
inline void* new_fiber(char* stack, size_t bytes, void (*entry)()) {
  auto* context = new ucontext_t;  // lives as long as the process: the emulator is a test tool
  getcontext(context);
  context->uc_stack.ss_sp = stack;
  context->uc_stack.ss_size = bytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return context;
}
}  // namespace emu

inline void emu_switch(void** from, void* to) {
  ucontext_t here;
  *from = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to));
}
#endif
