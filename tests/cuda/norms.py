"""What the tests of the normalisations' kernels share; NumPy arrays, with the emulator in the place of the GPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from xpnn.gradients import vjp
from xpnn.primitive import Primitive

from .emulated import Emulator, emulating

__all__ = ["DTYPES", "check_far", "check_short", "draw", "emulator", "misaligned", "own"]

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def own(op: Primitive, implementation: Any) -> Primitive:
    """The primitive with the form for CuPy in the place of that for NumPy."""
    primitive = Primitive(op.reference, name=op.name)
    primitive.add("numpy", implementation)
    return primitive


def draw(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    """Normal numbers about 0.5."""
    return (np.random.default_rng([seed, *shape]).normal(size=shape) + 0.5).astype(dtype)


def misaligned(x: Any) -> Any:
    """A copy that begins one element after a multiple of 16 bytes."""
    room = np.empty(x.size + 17, x.dtype)
    start = -room.ctypes.data % 16 // x.itemsize + 1
    copy = room[start : start + x.size].reshape(x.shape)
    copy[...] = x
    return copy


def check_short(primitive: Primitive, dtype: str, args: Sequence[Any], **static: Any) -> None:
    """Outputs and gradients in float16 or bfloat16 are as near to float64, in the root mean square, as rounding allows."""
    given = [None if a is None else a.astype(DTYPES[dtype]) for a in args]
    exact = _run(primitive.reference, given, np.float64, static)
    (implementation,) = primitive.implementations["numpy"]
    assert implementation.refusal(*given, **static) is None
    need = tuple(a is not None for a in given)
    out, residuals = implementation.forward(*given, need=need, **static)
    outputs = out if isinstance(out, tuple) else (out,)
    gradients = implementation.backward(residuals, _weights(out), need)
    ours = [*outputs, *(a for a, wanted in zip(gradients, need, strict=True) if wanted)]
    for x, y in zip(ours, exact, strict=True):
        assert x.shape == y.shape and x.dtype in (DTYPES[dtype], np.float32)
        errors = [np.sqrt(np.mean((np.asarray(a, np.float64) - y) ** 2)) for a in (x, y.astype(x.dtype))]
        assert errors[0] <= 1.05 * errors[1] + 1e-6 * np.sqrt(np.mean(y**2))


def check_far(primitive: Primitive, args: Sequence[Any], **static: Any) -> None:
    """With numbers about 10000 that deviate by 1, outputs and gradients in float32 are those of float64.

    What is taken for exact starts from the same float32 numbers. The mean rounded to float32 would cost 1e-4 and more.
    """
    given = [(args[0] + np.float32(1e4)), *args[1:]]
    exact = _run(primitive.reference, given, np.float64, static)
    for x, y in zip(_run(primitive, given, None, static), exact, strict=True):
        assert np.abs(x - y).max() <= 3e-6 * np.abs(y).max()


def _run(f: Any, args: Sequence[Any], dtype: Any, static: Any) -> list[Any]:
    """The outputs, then the gradients of those arguments that are there."""
    places = [i for i, a in enumerate(args) if a is not None]

    def call(*xs: Any) -> Any:
        full = list(args)
        for i, x in zip(places, xs, strict=True):
            full[i] = x
        return f(*full, **static)

    out, pullback = vjp(call, *[args[i] if dtype is None else args[i].astype(dtype) for i in places])
    return [*(out if isinstance(out, tuple) else (out,)), *pullback(_weights(out))]


def _weights(out: Any) -> Any:
    """Gradients of outputs, numbers that all dtypes have."""
    if isinstance(out, tuple):
        return tuple(map(_weights, out))
    return np.round(4 * draw(*out.shape, seed=9)).astype(out.dtype) / out.dtype.type(4)
