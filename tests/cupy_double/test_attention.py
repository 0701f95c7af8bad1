"""Attention in bfloat16 and float16 on the double, by its kernels: float64's numbers, the dtype kept, nothing waited for.

The references keep float16 only: bfloat16 times a number of Python is float32 in CuPy, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import cupy
import ml_dtypes
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from xpnn import nn, ops

pytestmark = pytest.mark.gpu
DTYPES = {"bfloat16": (ml_dtypes.bfloat16, 3e-2), "float16": (np.float16, 4e-3)}
WAYS = [("bfloat16", True), ("float16", True), ("float16", False)]
HIDDEN = np.random.default_rng(3).random((2, 1, 5, 7)) < 0.7
HIDDEN[0, 0, 2] = False  # a query that sees no key
MASKS: dict[str, dict[str, Any]] = {
    "all": {},
    "causal": {"is_causal": True},
    "hidden": {"attn_mask": HIDDEN},
    "added": {"attn_mask": np.random.default_rng(4).normal(size=(5, 7))},
}


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


def drawn(dtype: Any) -> list[np.ndarray[Any, Any]]:
    """q (2, 2, 5, 16), k and v (2, 2, 7, 16), and a gradient."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, 2, n, 16)).astype(dtype) for n in (5, 7, 7, 5)]


def close(found: Any, exact: np.ndarray[Any, Any], bound: float, what: str) -> None:
    error = np.abs(xpnn.to_numpy(found).astype(np.float64) - exact).max()
    assert error <= bound * max(np.abs(exact).max(), 1.0), f"{what}: {error}"


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(("name", "by_kernels"), WAYS)
def test_attention(name: str, mask: str, by_kernels: bool) -> None:
    dtype, bound = DTYPES[name]
    arrays, options = drawn(dtype), dict(MASKS[mask])
    if mask == "added":
        options["attn_mask"] = options["attn_mask"].astype(dtype)
    wide = {k: v.astype(float) if getattr(v, "dtype", None) == dtype else v for k, v in options.items()}
    exact, exactly = xpnn.vjp(lambda q, k, v: ops.attention(q, k, v, **wide), *(x.astype(float) for x in arrays[:3]))
    expected = exactly(arrays[3].astype(float))
    own = {k: xpnn.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    q, k, v, g = map(xpnn.asarray, arrays)
    with kernels.running() if by_kernels else nullcontext() as emulator, counting() as account:
        y, pullback = xpnn.vjp(lambda q, k, v: ops.attention(q, k, v, **own), q, k, v)
        gradients = pullback(g)
    assert account.waits == []
    assert not by_kernels or {plan.file for plan in emulator.launched} & {"softmax.cu"}
    for what, found, numbers in zip("yqkv", (y, *gradients), (exact, *expected), strict=True):
        assert type(found) is cupy.ndarray and found.dtype == dtype
        close(found, numbers, bound, what)


@pytest.mark.parametrize(("name", "by_kernels"), WAYS)
def test_a_decoder_layer_trains_a_step(name: str, by_kernels: bool) -> None:
    """Self-attention and attention to a memory with padding, norms and the network behind them."""
    dtype, bound = DTYPES[name]
    xpnn.seed(2)
    model = nn.TransformerDecoderLayer(32, 2, 32, 0.0).astype(name)
    rng = np.random.default_rng(1)
    tgt, memory = (rng.normal(size=(n, 2, 32)).astype(dtype) for n in (5, 7))
    padded = np.array([[False] * 7, [False] * 4 + [True] * 3])
    peer = nn.TransformerDecoderLayer(32, 2, 32, 0.0, device="cpu").astype("float64")
    peer.load_state_dict({k: xpnn.to_numpy(v).astype(float) for k, v in model.state_dict().items()})

    def loss(m: Any, tgt: Any, memory: Any, padded: Any) -> Any:
        y = m(tgt, memory, memory_key_padding_mask=padded, tgt_is_causal=True)
        xp = xpnn.namespace(y)
        return xp.sum(xp.astype(y, xp.float32) ** 2)

    exact, expected = xpnn.value_and_grad(loss)(peer, tgt.astype(float), memory.astype(float), padded)
    given = [xpnn.asarray(x) for x in (tgt, memory, padded)]
    with kernels.running() if by_kernels else nullcontext(), counting() as account:
        value, gradients = xpnn.value_and_grad(loss)(model, *given)
    assert account.waits == []
    close(value, np.asarray(exact), bound, "loss")
    for (path, found), (_, numbers) in zip(gradients.named_parameters(), expected.named_parameters(), strict=True):
        assert type(found) is cupy.ndarray and found.dtype == dtype
        close(found, numbers, 3 * bound, path)


@pytest.mark.parametrize("other", [0.0, "array"])
def test_a_choice_of_bfloat16_stays_bfloat16(other: Any) -> None:
    """CuPy has no such loop: in a trace the choice is rounded back, outside of one it is CuPy's."""
    x = xpnn.asarray(np.array([-1.0, 2.0], ml_dtypes.bfloat16))
    given = x * 2 if other == "array" else other
    assert cupy.where(x > 0, x, given).dtype == np.float32
    y, pullback = xpnn.vjp(lambda x: xpnn.namespace(x).where(x > 0, x, given), x)
    assert y.dtype == x.dtype and pullback(y)[0].dtype == x.dtype
    np.testing.assert_array_equal(xpnn.to_numpy(y).astype(float), [-2.0 if other == "array" else 0.0, 2.0])
