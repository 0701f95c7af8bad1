"""softmax, log_softmax and softmax_cross_entropy on a GPU: against float64 on the CPU, two runs with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.gradients import vjp
from xpnn.primitive import explain, use_reference

from ..conftest import libraries

pytestmark = pytest.mark.gpu
# Short rows, long ones, few that are cut into pieces, more than a grid holds at once; columns, and few long ones.
SHAPES = [(4096, 10), (512, 50257), (8, 1_000_000), (300_000, 12), (8, 21, 128, 128), (2, 100_000, 3)]

dtypes = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float16", 2e-3)])


@pytest.fixture(params=libraries("cupy"))
def cupy(request: pytest.FixtureRequest) -> Any:
    request.param()  # skips where there is no GPU
    import cupy

    return cupy


def check(cupy: Any, f: Callable[[Any, Callable[[Any], Any]], Any], x: Any, tolerance: float, name: str) -> None:
    """f(x, asarray): its value and its gradient by x."""

    def run(asarray: Callable[[Any], Any]) -> tuple[Any, Any]:
        out, pullback = vjp(lambda x: f(x, asarray), asarray(x))
        g = np.random.default_rng(1).normal(size=out.shape).astype(x.dtype)
        return out, pullback(asarray(g))[0]

    assert explain(f, cupy.asarray(x), cupy.asarray) == [f"{name}: cuda.{name}"]
    found, again = ([cupy.asnumpy(a) for a in run(cupy.asarray)] for _ in range(2))
    with use_reference():
        expected = run(lambda a: np.asarray(a, np.float64) if a.dtype.kind == "f" else a)
    for a, second, y in zip(found, again, expected, strict=True):
        assert a.dtype == x.dtype and a.tobytes() == second.tobytes()
        # the gradient of a mean over many rows may be as small as float16 can be
        assert np.abs(a - y).max() <= tolerance * np.abs(y).max() + np.finfo(dtype=a.dtype).smallest_subnormal


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@dtypes
def test_softmax(cupy: Any, name: str, shape: tuple[int, ...], dtype: str, tolerance: float) -> None:
    x = (np.random.default_rng(0).normal(size=shape) * 3).astype(dtype)
    check(cupy, lambda x, _: getattr(ops, name)(x, axis=1), x, tolerance, name)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
@dtypes
def test_softmax_cross_entropy(
    cupy: Any, shape: tuple[int, ...], smoothing: float, reduction: str, dtype: str, tolerance: float
) -> None:
    if reduction == "sum" and dtype == "float16":
        pytest.skip("the sum is beyond float16")
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) * 3).astype(dtype)
    labels = rng.integers(0, shape[1], size=(shape[0], *shape[2:]))
    labels.reshape(-1)[1::3] = -100
    options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
    check(
        cupy,
        lambda x, asarray: ops.softmax_cross_entropy(x, asarray(labels), **options),
        x,
        tolerance,
        "softmax_cross_entropy",
    )
