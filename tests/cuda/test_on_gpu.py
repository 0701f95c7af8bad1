"""The whole path on a GPU: CuPy's compiler, the launch, the numbers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.case import Case
from xpnn import ops
from xpnn.cuda import execute
from xpnn.gradients import vjp
from xpnn.primitive import explain, use_reference

from ..conftest import libraries

pytestmark = pytest.mark.gpu

_FILES = sorted(path.stem for path in (Path(__file__).parents[2] / "benchmarks" / "cases").glob("*.py"))
CASES = [case for name in _FILES for case in importlib.import_module(f"benchmarks.cases.{name}").CASES]


@pytest.fixture(params=libraries("cupy"))
def cupy(request: pytest.FixtureRequest) -> Any:
    request.param()  # skips where there is no GPU
    import cupy

    return cupy


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 5e-3)])
@pytest.mark.parametrize("shape", [(1, 3, 1), (1000, 24, 129), (4096, 24, 1024), (0, 3, 4)])
def test_linear(cupy: Any, shape: tuple[int, int, int], dtype: str, tolerance: float, activation: str | None) -> None:
    """Output and gradients against float64 on the CPU, relative to the largest element; two runs with the same bits."""
    rows, inputs, outputs = shape
    rng = np.random.default_rng(0)
    sizes = [(rows, inputs), (outputs, inputs), (outputs,)]
    args, g = [rng.normal(size=n).astype(dtype) for n in sizes], rng.normal(size=(rows, outputs)).astype(dtype)

    def run(asarray: Any) -> list[Any]:
        out, pullback = vjp(lambda *a: ops.linear(*a, activation=activation), *map(asarray, args))
        return [out, *pullback(asarray(g))]

    assert explain(ops.linear, *map(cupy.asarray, args), activation=activation) == ["linear: cuda.linear"]
    found, again = ([cupy.asnumpy(x) for x in run(cupy.asarray)] for _ in range(2))
    with use_reference():
        expected = run(lambda x: x.astype(np.float64))
    for x, second, y in zip(found, again, expected, strict=True):
        assert x.dtype == dtype and x.shape == y.shape
        assert x.tobytes() == second.tobytes()
        if y.size:
            assert np.abs(x - y).max() <= tolerance * np.abs(y).max()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float16", 2e-2)])
def test_every_case_of_the_benchmarks(cupy: Any, case: Case, dtype: str, tolerance: float) -> None:
    """Output and gradients against float64 on the CPU; two runs with the same bits.

    In the root mean square: where a relu's argument is nearly 0, single elements may rightly differ by all they have.
    """
    arrays = [a if a is None or a.dtype.kind != "f" else a.astype(dtype) for a in case.make(np.random.default_rng(0))]
    places = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]

    def run(asarray: Any, floats: Any) -> list[Any]:
        own = [None if a is None else asarray(a) for a in arrays]

        def f(*xs: Any) -> Any:
            given = dict(zip(places, xs, strict=True))
            return case.run(*[given.get(i, a) for i, a in enumerate(own)])

        out, pullback = vjp(f, *[floats(arrays[i]) for i in places])
        g = np.random.default_rng(1).normal(size=out.shape).astype(dtype)
        return [out, *pullback(floats(g))]

    found, again = ([cupy.asnumpy(x) for x in run(cupy.asarray, cupy.asarray)] for _ in range(2))
    with use_reference():
        expected = run(lambda x: x, lambda x: x.astype(np.float64))
    for x, second, y in zip(found, again, expected, strict=True):
        assert x.dtype == dtype and x.shape == y.shape
        assert x.tobytes() == second.tobytes()
        error, size = (float(np.sqrt(np.mean(np.square(a, dtype=np.float64)))) for a in (x - y, y))
        assert error <= tolerance * max(size, 1e-6)


def test_work_goes_to_the_current_stream(cupy: Any) -> None:
    x, weight, bias = cupy.ones((64, 32), "float32"), cupy.ones((16, 32), "float32"), cupy.ones(16, "float32")
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        y = ops.linear(x, weight, bias)
    stream.synchronize()
    assert float(y.min()) == 33 == float(y.max())


def test_cupy_takes_sm_90a(cupy: Any) -> None:
    if cupy.cuda.Device().compute_capability != "90":
        pytest.skip("needs a GPU of compute capability 9.0")
    execute._smoke_test.cache_clear()
    execute._smoke_test(("-arch=sm_90a",))
