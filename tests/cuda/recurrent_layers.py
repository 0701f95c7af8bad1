"""lstm, gru and rnn with the form for CuPy in the place of that for NumPy, and their distance from float64."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import array_api_compat.numpy
import ml_dtypes
import numpy as np
import pytest

from tests.emulator import Schedule
from xpnn import ops, tree
from xpnn.cuda import gru, lstm, rnn
from xpnn.cuda import plan as plans
from xpnn.gradients import vjp
from xpnn.primitive import Primitive

from ..ops.recurrent_cases import arrays
from .emulated import FEW, Emulator, emulating

__all__ = [
    "DTYPES",
    "ERRORS",
    "LAYERS",
    "STATES",
    "assert_near_float64",
    "case",
    "exactly",
    "faulty",
    "layers",
    "like",
    "primitive",
    "run",
    "wants",
]

LAYERS: dict[str, Any] = {"lstm": lstm, "gru": gru, "rnn": rnn}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STATES = {"lstm": 2, "gru": 1, "rnn": 1}
DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
# Relative root mean square error against float64 from the same numbers: outputs, gradients.
# Those of single steps take float64 too.
ERRORS = {"float64": (1e-12, 1e-12), "float32": (1e-6, 3e-6), "float16": (1.5e-3, 4e-3), "bfloat16": (1e-2, 3e-2)}


@contextlib.contextmanager
def layers(monkeypatch: pytest.MonkeyPatch, way: str, schedules: Sequence[Schedule] = FEW) -> Iterator[Emulator]:
    """Inside, layers run in the emulator, in the way named; products of 16 bits are rounded once, as by cuBLAS."""
    xp = array_api_compat.numpy
    plain = xp.matmul

    def matmul(x: Any, y: Any, out: Any = None) -> Any:
        if x.dtype in (np.float32, np.float64):
            return plain(x, y, out=out)
        product = plain(x.astype(np.float32), y.astype(np.float32)).astype(x.dtype)
        if out is None:
            return product
        out[...] = product
        return out

    monkeypatch.setenv("XPNN_RECURRENT", way)
    monkeypatch.setattr(xp, "matmul", matmul)
    with emulating(monkeypatch, schedules) as emulator:
        yield emulator


def primitive(name: str) -> Primitive:
    own = Primitive(getattr(ops, name).reference, name=name)
    own.add("numpy", LAYERS[name])
    return own


def case(
    name: str,
    shape: tuple[int, ...],
    lengths: Any = None,
    *,
    dtype: Any = np.float32,
    missing: str = "",
    reset: Any = None,
    **options: Any,
) -> tuple[Any, Any]:
    """(arrays, options) for a shape (T, N, I, H); the weights scaled so that many units do not saturate.

    The arrays end with the lengths and reset. reset: a seed for flags of which a third are true.
    """
    given = list(arrays(GATES[name], STATES[name], shape, np.float64, missing))
    given = [a if a is None or a.ndim != 2 else a / max(1.0, a.shape[1] ** 0.5 / 2) for a in given]
    given = [None if a is None else a.astype(dtype) for a in given]
    flags = None if reset is None else np.random.default_rng(reset).random(shape[:2]) < 1 / 3
    return (*given, None if lengths is None else np.array(lengths), flags), options


def wants(arrays: Any) -> tuple[bool, ...]:
    """Every gradient that there can be: of the arrays of real numbers."""
    return tuple(a is not None and a.dtype.kind not in "biu" for a in arrays)


def run(name: str, arrays: Any, options: Any) -> tuple[list[Any], list[Any]]:
    """(outputs, gradients of all arrays of numbers that are there), for the same numbers as gradients of the outputs."""
    layer, need = LAYERS[name], wants(arrays)
    outputs, residuals = layer.forward(*arrays, need=need, **options)
    gs = tuple(like(i, y) for i, y in enumerate(outputs))
    gradients, again = (layer.backward(residuals, gs, need) for _ in range(2))
    assert [g is not None for g in gradients][: len(need)] == list(need)
    for x, y in zip(gradients, again, strict=True):
        assert x is None or x.tobytes() == y.tobytes(), "a second call of the pullback differs"
    return list(outputs), [g for g in gradients if g is not None]


def exactly(name: str, arrays: Any, options: Any) -> tuple[list[Any], list[Any]]:
    """What run is to give: the reference and its gradients in float64."""
    places = [i for i, wanted in enumerate(wants(arrays)) if wanted]
    exact = [a.astype(np.float64) if i in places else a for i, a in enumerate(arrays)]

    def call(*xs: Any) -> Any:
        own = list(exact)
        for i, x in zip(places, xs, strict=True):
            own[i] = x
        return getattr(ops, name).reference(*own, **options)

    out, pullback = vjp(call, *[exact[i] for i in places])
    outputs = list(tree.leaves(out))
    return outputs, list(pullback(tuple(like(i, y) for i, y in enumerate(outputs))))


def like(seed: int, y: Any) -> Any:
    """Random numbers that every dtype holds exactly."""
    return (np.random.default_rng(seed).integers(-64, 65, size=y.shape) / 32).astype(y.dtype)


def assert_near_float64(name: str, arrays: Any, options: Any) -> None:
    """Outputs and every gradient are as near to float64 as ERRORS has it."""
    dtype = arrays[0].dtype
    for found, expected, allowed in zip(
        run(name, arrays, options), exactly(name, arrays, options), ERRORS[dtype.name], strict=True
    ):
        for i, (x, y) in enumerate(zip(found, expected, strict=True)):
            assert x.dtype == dtype and x.shape == y.shape
            error = np.sqrt(np.sum((x.astype(np.float64) - y) ** 2)) / max(float(np.sqrt(np.sum(y**2))), 1e-30)
            where = f"{name} {[a if a is None else a.shape for a in arrays]} {options}, number {i}"
            assert error <= allowed, f"{where}: error {error:.2g}, allowed {allowed:.2g}"


@contextlib.contextmanager
def faulty(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> Iterator[None]:
    """Inside, the text of each kernel is changed; AssertionError for a change that fits none."""
    joined, used = plans.joined, set()

    def changed(file: str) -> str:
        text = joined(file)
        for old, new in changes:
            if old in text:
                used.add(old)
                text = text.replace(old, new)
        return text

    with monkeypatch.context() as patch:
        patch.setattr(plans, "joined", changed)
        yield
    assert used == {old for old, _ in changes}, f"not in any kernel: {[old for old, _ in changes if old not in used]}"
