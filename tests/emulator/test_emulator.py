"""The emulator runs right kernels right, under every schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.emulator import EmulatorError, Kernel, Schedule, cases

Compiled = Callable[..., Kernel]


def _close(pair: tuple[cases.Results, cases.Results]) -> None:
    got, expected = pair
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (15, 17, 16), (21, 18, 35), (64, 33, 7)])
def test_gemm(compiled: Compiled, m: int, n: int, k: int) -> None:
    _close(cases.gemm(compiled("gemm.cu", "gemm<16>"), m, n, k))


def test_gemm_of_another_tile(compiled: Compiled) -> None:
    _close(cases.gemm(compiled("gemm.cu", "gemm<8>"), tile=8))


@pytest.mark.parametrize("dtype", ["__half", "__nv_bfloat16"])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 8, 8), (33, 16, 16), (37, 40, 56)])
def test_tensor_core_gemm(compiled: Compiled, dtype: str, m: int, n: int, k: int) -> None:
    _close(cases.tensor_gemm(compiled("tensor_gemm.cu", f"tensor_gemm<{dtype}>"), m, n, k))


@pytest.mark.parametrize("n", [1, 31, 301])
def test_warp_calls(compiled: Compiled, n: int) -> None:
    _close(cases.rows(compiled("warp.cu", "row_sums<4>"), n=n))


def test_named_barriers(compiled: Compiled) -> None:
    _close(cases.pairs(compiled("warp.cu", "pairs")))
    _close(cases.producer(compiled("warp.cu", "producer")))


def test_warp_barriers(compiled: Compiled) -> None:
    _close(cases.rotate(compiled("warp.cu", "rotate")))


@pytest.mark.parametrize("n", [4, 256, 1124])
def test_copies_that_overlap_with_work(compiled: Compiled, n: int) -> None:
    _close(cases.stream(compiled("pipeline.cu", "stream"), n))


@pytest.mark.parametrize(("size", "steps"), [(1, 3), (2, 4), (4, 5)])
def test_stores_into_a_cluster(compiled: Compiled, size: int, steps: int) -> None:
    _close(cases.ring(compiled("cluster.cu", f"ring<{size}>"), size, steps=steps))


def test_grid_barrier(compiled: Compiled) -> None:
    _close(cases.smooth(compiled("grid.cu", "smooth")))


def test_the_last_block_sees_all_others(compiled: Compiled) -> None:
    _close(cases.last_block(compiled("grid.cu", "last_block")))


def test_integer_atomics(compiled: Compiled) -> None:
    _close(cases.sums(compiled("grid.cu", "sums")))


def test_other_words(compiled: Compiled) -> None:
    _close(cases.words(compiled("words.cu", "words")))


def _float16(x: Any) -> Any:
    return np.asarray(x, np.float16)


def _bfloat16(x: Any) -> Any:
    """x rounded to bfloat16, as float32: to nearest even by integer arithmetic."""
    u = np.asarray(x, np.float32).view(np.uint32)
    return ((u + 0x7FFF + (u >> 16 & 1)) & 0xFFFF0000).view(np.float32)


def _tf32(x: Any, rounded: bool) -> Any:
    u = np.asarray(x, np.float32).view(np.uint32)
    return ((u + (0x1000 if rounded else 0)) & 0xFFFFE000).view(np.float32)


# name: instantiation, K, rounding of the operands, encoding for the kernel
_SHAPES: dict[str, tuple[str, int, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "f16 k8": ("product16<8, false>", 8, _float16, lambda x: _float16(x).view(np.uint16)),
    "f16 k16": ("product16<16, false>", 16, _float16, lambda x: _float16(x).view(np.uint16)),
    "bf16 k16": (
        "product16<16, true>",
        16,
        _bfloat16,
        lambda x: (_bfloat16(x).view(np.uint32) >> 16).astype(np.uint16),
    ),
    "tf32 k8": ("product_tf32<false>", 8, lambda x: _tf32(x, False), lambda x: np.asarray(x, np.float32)),
    "tf32 k8 rounded": ("product_tf32<true>", 8, lambda x: _tf32(x, True), lambda x: np.asarray(x, np.float32)),
}


@pytest.mark.parametrize("shape", _SHAPES)
def test_mma_of_random_operands(compiled: Compiled, rng: np.random.Generator, shape: str) -> None:
    kernel, k, rounded, encode = _SHAPES[shape]
    a, b, c = rng.standard_normal((16, k)), rng.standard_normal((k, 8)), rng.standard_normal((16, 8)).astype(np.float32)
    got = cases.product(compiled("fragments.cu", kernel), a, b, c, encode)
    expected = rounded(a).astype(np.float64) @ rounded(b).astype(np.float64) + c
    np.testing.assert_array_equal(got, expected.astype(np.float32))


@pytest.mark.parametrize("shape", _SHAPES)
def test_mma_of_one_hot_operands(compiled: Compiled, shape: str) -> None:
    name, k, _, encode = _SHAPES[shape]
    kernel, c = compiled("fragments.cu", name), np.zeros((16, 8), np.float32)
    numbers = np.arange(1.0, 1 + 16 * k).reshape(16, k)  # each exact in bfloat16 up to 256
    for i in range(0, k, 8):
        got = cases.product(kernel, numbers, np.eye(k)[:, i : i + 8], c, encode)
        np.testing.assert_array_equal(got, numbers[:, i : i + 8])
    numbers = np.arange(1.0, 1 + 8 * k).reshape(k, 8)
    for i in range(0, k, 8):
        rows = np.zeros((16, k))
        rows[np.arange(16), i + np.arange(16) % 8] = 1
        got = cases.product(kernel, rows, numbers, c, encode)
        np.testing.assert_array_equal(got, np.concatenate([numbers[i : i + 8]] * 2))


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_ldmatrix(compiled: Compiled, n: int, transposed: bool) -> None:
    x = np.arange(64 * n, dtype=np.uint16).reshape(n, 8, 8)
    kernel = compiled("fragments.cu", f"load_matrix<{n}, {str(transposed).lower()}>")
    y = kernel.check((1,), (32,), {"x": x, "y": np.zeros((n, 32), np.uint32)})["y"]
    rows = (x.transpose(0, 2, 1) if transposed else x).astype(np.uint32)
    expected = rows[..., 0::2] | rows[..., 1::2] << 16  # lane 4 g + t holds the pair t of row g
    np.testing.assert_array_equal(y, expected.reshape(n, 32))


_CONVERT = """
#include "ptx.cuh"
struct P { const float* x; float* y; int n; };
template <class T> __global__ void convert(P p) {
  for (int i = threadIdx.x; i < p.n; i += blockDim.x) p.y[i] = float(T(p.x[i]));
}
struct Tanh { static float of(float x) { return ptx::tanh_fast(x); } };
struct Sigmoid { static float of(float x) { return ptx::sigmoid_fast(x); } };
struct Exp { static float of(float x) { return ptx::exp_fast(x); } };
template <class F> __global__ void apply(P p) {
  for (int i = threadIdx.x; i < p.n; i += blockDim.x) p.y[i] = F::of(p.x[i]);
}
"""


@pytest.fixture
def elementwise(compiled: Compiled, tmp_path: Any) -> Callable[[str, Any], Any]:
    """(instantiation, x) -> y, by a kernel of _CONVERT."""
    compiled("gemm.cu", "gemm<16>")  # skips without a compiler

    def run(kernel: str, x: Any) -> Any:
        from tests.emulator import build

        y = np.zeros_like(x)
        build(_CONVERT, kernel).launch((1,), (32,), {"x": x, "y": y, "n": np.int32(x.size)})
        return y

    return run


def _hard_floats() -> Any:
    """float32: every float16, the points half way between neighbours, and their neighbours in float32."""
    half = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middle = (half[:-1] + half[1:]) / 2
    x = np.concatenate([half, middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(1e9))])
    edges = np.float32([65504, 65519.99, 65520, 7e4, 3e38, np.inf, np.nan, 1e-8, 2.0**-25, 1e-38, 1e-45])
    return np.concatenate([x[::7], -x[::5], edges, -edges])


def test_float16_rounds_like_numpy(elementwise: Callable[[str, Any], Any]) -> None:
    x = _hard_floats()
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(elementwise("convert<__half>", x), x.astype(np.float16).astype(np.float32))


def test_bfloat16_rounds_to_nearest_even(elementwise: Callable[[str, Any], Any]) -> None:
    x = _hard_floats()
    np.testing.assert_array_equal(elementwise("convert<__nv_bfloat16>", x), np.where(np.isnan(x), x, _bfloat16(x)))


def test_fast_functions_keep_their_stated_errors(elementwise: Callable[[str, Any], Any]) -> None:
    x = np.concatenate([np.linspace(-15, 15, 20001), np.geomspace(1e-7, 1, 2001)]).astype(np.float32)
    wide = x.astype(np.float64)
    tanh = np.abs(elementwise("apply<Tanh>", x) - np.tanh(wide))
    assert (tanh <= 2.0**-20 * np.abs(np.tanh(wide))).all()
    logistic = 1 / (1 + np.exp(-wide))
    error = np.abs(elementwise("apply<Sigmoid>", x) - logistic)
    assert (error <= 2.0**-21).all() and (error[x > -4] <= 2.0**-20 * logistic[x > -4]).all()
    error = np.abs(elementwise("apply<Exp>", x) - np.exp(wide)) / np.exp(wide)
    assert (error <= 2.0**-21 + np.abs(wide) * 2.0**-23).all()


def test_arrays_in_place(compiled: Compiled) -> None:
    """launch_packed takes real pointers, as host code packs them for a GPU."""
    from tests.emulator.launch import pack

    x, y = np.arange(128, dtype=np.float32), np.zeros(128, np.float32)
    kernel = compiled("warp.cu", "pairs")
    kernel.launch_packed((1,), (128,), pack({"x": x, "y": y}), {"x": x, "y": y}, schedule=Schedule("random", 5))
    np.testing.assert_array_equal(y, x.reshape(2, 64)[:, ::-1].reshape(-1))
    with pytest.raises(EmulatorError, match=r"pairs: the arguments take 8 bytes, the kernel's struct 16"):
        kernel.launch_packed((1,), (128,), pack({"x": x}), {"x": x})
    with pytest.raises(EmulatorError, match="out of bounds: thread .* writes 4 bytes at an address in no array"):
        kernel.launch_packed((1,), (128,), pack({"x": x, "y": np.zeros(10**6, np.float32)}), {"x": x})
