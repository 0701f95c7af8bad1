"""From the text of a kernel to a shared library: joins headers, places shared variables, compiles, caches by content."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.emulator.launch import EmulatorError, Kernel

_HERE = Path(__file__).parent
KERNELS = _HERE.parent.parent / "kernels"
_FLAGS = [
    "-std=c++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-fno-threadsafe-statics",
    "-g1",
    "-gdwarf-4",
]
_KERNEL_FLAGS = [
    *_FLAGS, "-O1", "-fno-tree-sra", "-fno-strict-aliasing", "-fwrapv", "-ffp-contract=off",
    "-Wall", "-Wno-unknown-pragmas", "-Wno-unused", "-Wno-unused-local-typedefs", "-include", "emulator.hpp",
]  # fmt: skip
_HOOKS = ["-fsanitize=thread", "--param=tsan-distinguish-volatile=1", "--param=tsan-instrument-func-entry-exit=0"]
_ADDRESS = ["-fsanitize=address"]
_SHARED = re.compile(
    r"(?P<extern>\bextern\s+)?__shared__\s+(?:(?:__align__|alignas)\s*\((?P<align>[^)]*)\)\s*)?"
    r"(?P<type>(?:unsigned\s+|signed\s+|long\s+)*[\w:]+(?:<[^;=]*>)?(?:\s*\*)?)\s+(?P<names>[^;=]+);"
)
_NAME = re.compile(r"\s*(\w+)\s*((?:\[.*\])?)\s*", re.DOTALL)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


class EmulatorUnavailableError(Exception):
    """This machine has no compiler for the emulator."""


@functools.cache
def compiler() -> str:
    """The path of g++; raises EmulatorUnavailableError without one."""
    found = shutil.which("g++")
    if found is None or sys.platform != "linux":
        raise EmulatorUnavailableError("the kernel emulator needs Linux and g++ on the PATH")
    return found


def _place(match: re.Match[str]) -> str:
    """A declaration in shared memory, as storage of the running block. Stays on its lines."""
    placed = []
    for declared in re.split(r",(?![^\[]*\])", match["names"]):
        found = _NAME.fullmatch(declared)
        if found is None:
            raise EmulatorError(f"cannot read the declaration {' '.join(match[0].split())!r}")
        name, dims, type_ = found[1], " ".join(found[2].split()), " ".join(match["type"].split())
        if match["extern"]:
            placed.append(f"{type_}* const {name} = static_cast<{type_}*>(emu::dynamic_shared());")
        else:
            placed.append(f"EMU_SHARED(({match['align'] or 1}), EMU_PACK({type_}), {name}, EMU_PACK({dims}));")
    return " ".join(placed) + "\n" * match[0].count("\n")


def join(source: str, name: str, folders: tuple[Path, ...], seen: set[str] | None = None) -> str:
    """source with its quoted includes put in place, each once, and __shared__ given a meaning."""
    seen = set() if seen is None else seen

    def include(match: re.Match[str]) -> str:
        file = match[1]
        if file in seen:
            return ""
        seen.add(file)
        for folder in folders:
            if (folder / file).exists():
                line = source.count("\n", 0, match.start()) + 2
                text = join((folder / file).read_text(), file, folders, seen)
                return f'\n#line 1 "{file}"\n{text}\n#line {line} "{name}"'
        raise EmulatorError(f"{name} includes {file!r}, which is in none of {[str(f) for f in folders]}")

    text = _INCLUDE.sub(include, source)
    return re.sub(r"^\s*#pragma once", "", _SHARED.sub(_place, text), flags=re.MULTILINE)


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise EmulatorError(f"{what} does not compile: " + "; ".join(lines[:3]))


def _cache() -> Path:
    folder = Path(os.environ.get("XPNN_EMULATOR_CACHE", Path(tempfile.gettempdir()) / f"xpnn-emulator-{os.getuid()}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@functools.cache
def _own_text() -> str:
    """The emulator's sources and flags: part of every cache key."""
    files = sorted([*(_HERE / "include").iterdir(), *(_HERE / "runtime").iterdir()])
    return "".join(file.read_text() for file in files) + " ".join(_KERNEL_FLAGS + _HOOKS)


def _cached(key: str, suffix: str, make: list[str], what: str, source: str | None = None) -> Path:
    """The product of a compilation, made once for a key; make holds {in} and {out}."""
    stem = hashlib.sha256(key.encode()).hexdigest()[:24]
    target = _cache() / (stem + suffix)
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=_cache()) as work:
        text = Path(work) / "kernel.cpp"
        if source is not None:
            text.write_text(source)
        made = Path(work) / f"made{suffix}"
        _run([part.format(**{"in": text, "out": made}) for part in make], what)
        made.replace(target)
    return target


@functools.cache
def _preload() -> str:
    """The path of AddressSanitizer's library, which must be in a process before anything else."""
    done = subprocess.run([compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    path = done.stdout.strip()
    if not os.path.isabs(path):
        raise EmulatorUnavailableError("this g++ has no libasan.so")
    return path


def _runtime() -> Path:
    make = [
        compiler(),
        *_FLAGS,
        "-O2",
        f"-I{_HERE / 'include'}",
        "-c",
        str(_HERE / "runtime/runtime.cpp"),
        "-o",
        "{out}",
    ]
    return _cached("runtime" + _own_text(), ".o", make, "the emulator's runtime")


def build(source: str | Path, kernel: str, defines: tuple[str, ...] = (), *, address: bool = False) -> Kernel:
    """One instantiation of a kernel, ready to launch.

    source: a .cu file or its text. kernel: an expression that names the instantiation, ``"gemm<float, 64>"``; it takes one
    struct by value. defines: macros, ``("STAGES=3",)``. address: AddressSanitizer in place of the emulator's own checks of
    every access: it sees local arrays too, and launches run in a child process. Raises EmulatorError when the kernel does
    not compile, EmulatorUnavailableError when nothing can be compiled here.
    """
    if isinstance(source, Path):
        text, name, folders = source.read_text(), source.name, (source.parent, KERNELS)
    else:
        text, name, folders = source, "kernel.cu", (KERNELS,)
    head = "".join(f"#define {define.replace('=', ' ', 1)}\n" for define in defines)
    entry = (
        f'\nextern "C" void emu_body(const void* arguments) {{ emu::call(&{kernel}, arguments); }}\n'
        f'extern "C" const size_t emu_argument_bytes = emu::argument_bytes(&{kernel});\n'
    )
    full = f'{head}#line 1 "{name}"\n{join(text, name, folders)}{entry}'
    runtime, include = _runtime(), f"-I{_HERE / 'include'}"
    what = f"kernel {kernel} of {name}"
    checks = _ADDRESS if address else _HOOKS
    key = full + _own_text() + " ".join(checks)
    unit = _cached(key, ".o", [compiler(), *_KERNEL_FLAGS, *checks, include, "-c", "{in}", "-o", "{out}"], what, full)
    link = ["-shared", *(_ADDRESS if address else []), str(unit), str(runtime), "-o", "{out}"]
    return Kernel(_cached(key, ".so", [compiler(), *link], what), kernel, _preload() if address else "")
