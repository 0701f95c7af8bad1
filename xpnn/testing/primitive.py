"""The oracle of fused primitives: every implementation against the reference's own value and gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import tree
from ..gradients import vjp
from ..namespace.libraries import library_name
from ..primitive import Primitive, use_reference

__all__ = ["TOLERANCE", "assert_close", "check_primitive"]

# dtype -> (largest error of an element, relative to the largest element; relative root mean square error)
TOLERANCE = {"float64": (1e-10, 1e-11), "float32": (1e-4, 1e-5), "float16": (2e-2, 4e-3)}


def check_primitive(primitive: Primitive, cases: Iterable[tuple[tuple[Any, ...], dict[str, Any]]]) -> int:
    """Compares the implementation that each case runs with the reference: outputs and every gradient, for a random g.

    cases: pairs (arrays, static) of one library, None for absent arrays. Also checked: that two runs give the same bits,
    and that inference gives what training gives. Returns how many cases were compared; a case that every implementation
    refuses is an AssertionError, for it would compare the reference with itself.
    """
    count = 0
    for number, (arrays, static) in enumerate(cases):
        where = f"{primitive.name} case {number} {[getattr(a, 'shape', a) for a in arrays]} {static}"
        first = next(a for a in arrays if a is not None)
        refused = [i.refusal(*arrays, **static) for i in primitive.implementations.get(library_name(first), ())]
        assert None in refused, f"{where}: no implementation accepts it: {refused}"
        _check_case(primitive, arrays, static, np.random.default_rng(number), where)
        count += 1
    return count


def _check_case(primitive: Primitive, arrays: Any, static: Any, rng: np.random.Generator, where: str) -> None:
    places = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind in "fc"]

    def call(*xs: Any) -> Any:
        own = list(arrays)
        for i, x in zip(places, xs, strict=True):
            own[i] = x
        return primitive(*own, **static)

    def run() -> tuple[list[Any], list[Any]]:
        out, pullback = vjp(call, *[arrays[i] for i in places])
        outputs = list(tree.leaves(out))
        generator = np.random.default_rng(rng.bit_generator.seed_seq.entropy)  # type: ignore[attr-defined]
        gs = iter([_like(generator, x) for x in outputs])
        return outputs, list(pullback(tree.map(lambda _: next(gs), out)))

    outputs, gradients = run()
    again, gradients_again = run()
    inference = list(tree.leaves(primitive(*arrays, **static)))
    with use_reference():
        expected, expected_gradients = run()
    for i, (x, y) in enumerate(zip(outputs, expected, strict=True)):
        assert_close(x, y, f"{where}: output {i}")
        assert np.array_equal(x, again[i], equal_nan=True), f"{where}: output {i} differs between two runs"
        assert_close(inference[i], x, f"{where}: output {i} at inference")
    for i, x, y, z in zip(places, gradients, expected_gradients, gradients_again, strict=True):
        assert_close(x, y, f"{where}: gradient of argument {i}")
        assert np.array_equal(x, z, equal_nan=True), f"{where}: gradient of argument {i} differs between two runs"


def _like(rng: np.random.Generator, x: Any) -> Any:
    return rng.normal(size=x.shape).astype(x.dtype) if x.shape else x.dtype.type(rng.normal())


def assert_close(x: Any, y: Any, what: str) -> None:
    """AssertionError unless x equals y in shape, dtype and value, by element and by root mean square, as TOLERANCE has it."""
    x, y = np.asarray(x), np.asarray(y)
    assert x.shape == y.shape, f"{what}: shape {x.shape}, expected {y.shape}"
    assert x.dtype == y.dtype, f"{what}: dtype {x.dtype}, expected {y.dtype}"
    if not x.size:
        return
    largest, rms = TOLERANCE[str(x.real.dtype)]
    exact = y.astype(np.complex128 if y.dtype.kind == "c" else np.float64)
    error = np.abs(x - exact)
    assert np.all(np.isfinite(error)), f"{what}: not finite"
    scale = max(float(np.max(np.abs(exact))), 1e-30)
    assert error.max() <= largest * scale, (
        f"{what}: error {error.max():.3g} at {np.unravel_index(error.argmax(), x.shape)}"
    )
    mean = float(np.sqrt(np.mean(error**2))) / max(float(np.sqrt(np.mean(np.abs(exact) ** 2))), 1e-30)
    assert mean <= rms, f"{what}: relative root mean square error {mean:.3g}, allowed {rms:.3g}"
