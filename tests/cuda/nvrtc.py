"""NVIDIA's run-time compiler without CuPy, driver or GPU: from a source to what ptxas says of each kernel."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["CompileError", "Kernel", "compile_kernels", "compile_log", "needs_nvrtc", "version"]

# CuPy's own, apart from -I and -arch.
OPTIONS = ("--std=c++17", "--device-as-default-execution-space", "-ftz=true", "--ptxas-options=-v")
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


class CompileError(Exception):
    """The compiler's log."""


@dataclass(frozen=True)
class Kernel:
    """What ptxas says of one kernel; spills and static shared memory in bytes."""

    registers: int
    spills: int
    shared: int


@functools.cache
def found() -> tuple[Path, Path] | None:
    """(the library, the folder of the CUDA headers) of the wheels nvidia-cuda-nvrtc and nvidia-cuda-runtime."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    libraries = [
        path
        for root in roots
        for path in root.glob("*/*/*nvrtc*")
        if re.match(r"(lib)?nvrtc(64_\w+)?\.(so|dll)", path.name)
    ]
    headers = [path.parent for root in roots for path in root.glob("*/include/cuda_fp16.h")]
    return (libraries[0], headers[0]) if libraries and headers else None


def needs_nvrtc() -> None:
    """Skips the test where the compiler is not installed."""
    if found() is None:
        pytest.skip('needs NVIDIA\'s compiler: pip install "xpnn[test-cuda]"')


@functools.cache
def _library() -> ctypes.CDLL:
    wheels = found()
    assert wheels is not None
    library = ctypes.CDLL(str(wheels[0]))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def version() -> str:
    """The compiler's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def _call(name: str, *args: object) -> None:
    if status := getattr(_library(), name)(*args):
        raise CompileError(f"{name}: {_library().nvrtcGetErrorString(status).decode()}")


def compile_kernels(source: str, entries: Sequence[str], arch: str, *options: str) -> tuple[dict[str, Kernel], float]:
    """(each entry's Kernel, seconds) of one program for one architecture ("sm_90a"); CompileError holds the log."""
    log, names, seconds = compile_log(source, entries, arch, *options)
    kernels = _parsed(log)
    return {entry: kernels[name] for entry, name in names.items()}, seconds


def compile_log(source: str, entries: Sequence[str], arch: str, *options: str) -> tuple[str, dict[str, str], float]:
    """(all that the compiler said, the mangled name of each entry, seconds)."""
    wheels = found()
    assert wheels is not None
    program = ctypes.c_void_p()
    _call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None)
    try:
        for entry in entries:
            _call("nvrtcAddNameExpression", program, entry.encode())
        flags = [*OPTIONS, f"-arch={arch}", f"-I{wheels[1]}", *options]
        start = time.perf_counter()
        failed = _library().nvrtcCompileProgram(
            program, len(flags), (ctypes.c_char_p * len(flags))(*map(str.encode, flags))
        )
        seconds = time.perf_counter() - start
        log = _log(program)
        if failed:
            raise CompileError(log)
        return log, {entry: _lowered(program, entry) for entry in entries}, seconds
    finally:
        _call("nvrtcDestroyProgram", ctypes.byref(program))


def _log(program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    _call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    _call("nvrtcGetProgramLog", program, text)
    return text.value.decode()


def _lowered(program: ctypes.c_void_p, entry: str) -> str:
    name = ctypes.c_char_p()
    _call("nvrtcGetLoweredName", program, entry.encode(), ctypes.byref(name))
    assert name.value is not None
    return name.value.decode()


def _parsed(log: str) -> dict[str, Kernel]:
    """The log of ptxas -v by mangled name."""
    pieces = _ENTRY.split(log)[1:]
    return {name: _kernel(text) for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


def _kernel(text: str) -> Kernel:
    registers, spills, shared = _REGISTERS.search(text), _SPILLS.search(text), _SHARED.search(text)
    assert registers is not None, text
    return Kernel(
        registers=int(registers[1]),
        spills=sum(map(int, spills.groups())) if spills else 0,
        shared=int(shared[1]) if shared else 0,
    )
