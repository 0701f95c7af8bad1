"""The struct of arguments: C++'s alignment, what it refuses, and the proof that the compiler makes."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from xpnn.cuda.arguments import Arguments, Layout, Pointers, address
from xpnn.errors import DeviceMismatchError

from . import nvrtc
from .fake_cupy import FakeArray

LAYOUT = Layout(
    "S", (("y", "float*"), ("n", "int"), ("x", "const __half*"), ("scale", "float"), ("last", "unsigned char"))
)
STRUCT = "struct S { float* y; int n; const __half* x; float scale; unsigned char last; };"

SEVERAL = Layout("M", (("g", "const float*[3]"), ("n", "int"), ("p", "__half* const*"), ("q", "const float* const*")))
STRUCT_OF_SEVERAL = "struct M { const float* g[3]; int n; __half* const* p; const float* const* q; };"


class Mirror(ctypes.Structure):
    """The same struct as the C compiler of this machine lays it out."""

    _fields_ = (
        ("y", ctypes.c_void_p),
        ("n", ctypes.c_int),
        ("x", ctypes.c_void_p),
        ("scale", ctypes.c_float),
        ("last", ctypes.c_ubyte),
    )


def arguments(**changed: Any) -> Arguments:
    values = {"y": np.zeros((2, 3), np.float32), "n": -7, "x": np.ones(4, np.float16), "scale": 0.5, "last": 3}
    return LAYOUT(**{**values, **changed})


def test_the_struct_is_laid_out_as_c_does() -> None:
    found = arguments()
    assert found.packed().nbytes == ctypes.sizeof(Mirror)
    read = Mirror.from_buffer_copy(found.packed().tobytes())
    y, x = found.arrays.values()
    assert (read.y, read.n, read.x, read.scale, read.last) == (y.ctypes.data, -7, x.ctypes.data, 0.5, 3)
    assert found.packed().size == 1  # how CuPy knows a struct that goes by value


def test_none_is_a_null_pointer() -> None:
    found = arguments(x=None)
    assert found.packed()["x"] == 0 == address(None)
    assert list(found.arrays) == ["y"]


def misaligned() -> Any:
    return np.frombuffer(bytearray(9), np.uint8)[1:].view(np.float32)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": np.ones(4, np.float32)}, r"S\.x: expected an array of float16, got float32"),
        (
            {"y": np.zeros((2, 3), np.float32).T},
            r"S\.y: expected a C-contiguous array, got shape \(3, 2\) with strides \(4, 12\)",
        ),
        ({"y": misaligned()}, r"S\.y: expected an address that is a multiple of 4, got 0x"),
    ],
)
def test_what_a_kernel_could_not_read_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        arguments(**changed)


def test_the_fields_are_named_and_in_order() -> None:
    with pytest.raises(TypeError, match=r"S: expected \['y', 'n', 'x', 'scale', 'last'\], got \['n', 'y'\]"):
        LAYOUT(n=1, y=None)


def test_a_number_too_large_for_its_field_is_an_error() -> None:
    with pytest.raises(OverflowError):
        arguments(n=2**31).packed()


@pytest.mark.parametrize(
    ("struct", "problem"),
    [
        (STRUCT, None),
        (STRUCT.replace("float* y; int n", "int n; float* y"), "S::y"),
        (STRUCT.replace("const __half*", "__half*"), "S::x"),
        (STRUCT.replace("float scale", "int scale"), "S::scale"),
        (STRUCT.replace("}", " int more; }"), "size of S"),
        (STRUCT.replace("scale;", "factor;"), '"scale"'),
    ],
)
def test_the_compiler_proves_the_layout(struct: str, problem: str | None) -> None:
    nvrtc.needs_nvrtc()
    code = f"#include <cuda_fp16.h>\n{struct}\n__global__ void kernel(S) {{}}\n{LAYOUT.assertions}"
    if problem is None:
        nvrtc.compile_kernels(code, ["kernel"], "sm_90")
    else:
        with pytest.raises(nvrtc.CompileError, match=problem):
            nvrtc.compile_kernels(code, ["kernel"], "sm_90")


class MirrorOfSeveral(ctypes.Structure):
    _fields_ = (("g", ctypes.c_void_p * 3), ("n", ctypes.c_int), ("p", ctypes.c_void_p), ("q", ctypes.c_void_p))


def halves(*sizes: int) -> list[Any]:
    return [np.zeros(n, np.float16) for n in sizes]


def test_several_pointers_lie_in_the_struct_or_in_a_table() -> None:
    g, p = [np.ones(2, np.float32), np.ones((3, 1), np.float32)], halves(1, 2, 3, 4)
    found = SEVERAL(g=g, n=7, p=Pointers.of(p), q=None)
    assert found.packed().nbytes == ctypes.sizeof(MirrorOfSeveral) and found.packed().size == 1
    read = MirrorOfSeveral.from_buffer_copy(found.packed().tobytes())
    assert list(read.g) == [*map(address, g), None] and (read.n, read.q) == (7, None)
    table = found.values["p"].memory
    assert read.p == address(table) and table.tolist() == list(map(address, p))
    assert list(found.arrays) == ["g[0]", "g[1]", "p"] and found.arrays["p"] is table
    assert list(found.behind) == ["p[0]", "p[1]", "p[2]", "p[3]"] and found.behind["p[3]"] is p[3]
    written = {name: found.written(name) for name in ("g[0]", "p", "p[0]", "q", "q[0]")}
    assert written == {"g[0]": False, "p": False, "p[0]": True, "q": False, "q[0]": False}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"g": [np.ones(1, np.float32)] * 4}, r"M\.g: expected at most 3 arrays, got 4"),
        ({"g": halves(2)}, r"M\.g: expected an array of float32, got float16"),
        ({"p": Pointers.of([np.ones(1, np.float32)])}, r"M\.p: expected arrays of float16, got float32"),
    ],
)
def test_several_pointers_are_checked_one_by_one(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SEVERAL(**{"g": [], "n": 0, "p": None, "q": None, **changed})


def test_a_table_is_of_one_dtype_and_one_device() -> None:
    with pytest.raises(ValueError, match="Pointers: expected an array of float16, got float32"):
        Pointers.of([*halves(1), np.ones(1, np.float32)])
    with pytest.raises(ValueError, match="Pointers: expected a C-contiguous array"):
        Pointers.of([np.zeros((2, 2)).T])
    with pytest.raises(DeviceMismatchError, match="are on gpu:0 and on gpu:1"):
        Pointers.of([FakeArray(np.zeros(2), 0), FakeArray(np.zeros(2), 1)])


@pytest.mark.parametrize(
    ("struct", "problem"),
    [
        (STRUCT_OF_SEVERAL, None),
        (STRUCT_OF_SEVERAL.replace("g[3]", "g[4]"), "size of M"),
        (STRUCT_OF_SEVERAL.replace("const float* g", "float* g"), "M::g"),
        (STRUCT_OF_SEVERAL.replace("__half* const* p", "const __half* const* p"), "M::p"),
        (STRUCT_OF_SEVERAL.replace("__half* const* p", "__half** p"), "M::p"),
        (STRUCT_OF_SEVERAL.replace("const float* const* q", "const float* q"), "M::q"),
    ],
)
def test_the_compiler_proves_the_layout_of_several(struct: str, problem: str | None) -> None:
    nvrtc.needs_nvrtc()
    code = f"#include <cuda_fp16.h>\n{struct}\n__global__ void kernel(M) {{}}\n{SEVERAL.assertions}"
    if problem is None:
        nvrtc.compile_kernels(code, ["kernel"], "sm_90")
    else:
        with pytest.raises(nvrtc.CompileError, match=problem):
            nvrtc.compile_kernels(code, ["kernel"], "sm_90")


def test_several_numbers_are_one_field() -> None:
    layout = Layout("Several", (("n", "int"), ("sizes", "int[3]"), ("step", "long long")))
    found = layout(n=1, sizes=(2, 3, 4), step=5).packed()
    assert found["sizes"].tolist() == [2, 3, 4] and found.nbytes == 24
    nvrtc.needs_nvrtc()
    code = "struct Several { int n; int sizes[3]; long long step; }; __global__ void k(Several s) {}\n"
    nvrtc.compile_kernels(code + layout.assertions, ["k"], "sm_80")
