"""Pooling on a GPU at full size: the numbers of float64 on the CPU, the same bits twice, offsets beyond 2^31 elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.gradients import vjp
from xpnn.primitive import explain, use_reference

from ..conftest import libraries

pytestmark = pytest.mark.gpu

CASES = [
    ("max_pool2d", "max_pool", (16, 32, 56, 57), (3, 2, 1)),
    ("max_pool2d", "max_pool", (128, 16, 26, 26), (2,)),
    ("max_pool1d", "max_pool", (16, 64, 1001), (1001,)),
    ("max_pool3d", "max_pool", (1, 2, 33, 40, 64), (2,)),
    ("avg_pool2d", "avg_pool", (16, 32, 56, 57), (3, 2, 1)),
    ("avg_pool2d", "avg_pool", (16, 32, 56, 57), (3, 2, 1, True, False)),
    ("adaptive_avg_pool2d", "adaptive_avg_pool", (16, 64, 37, 50), (7,)),
    ("adaptive_max_pool2d", "adaptive_max_pool", (16, 64, 37, 50), (7,)),
]


@pytest.fixture(params=libraries("cupy"))
def cupy(request: pytest.FixtureRequest) -> Any:
    request.param()  # skips where there is no GPU
    import cupy

    return cupy


@pytest.mark.parametrize(("function", "name", "shape", "args"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 2e-3)])
@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_pooling(
    cupy: Any,
    function: str,
    name: str,
    shape: tuple[int, ...],
    args: Any,
    dtype: str,
    tolerance: float,
    data_format: str,
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    if data_format == "channels_last":
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))

    def pool(x: Any) -> Any:
        return getattr(ops, function)(x, *args, data_format=data_format)

    with use_reference():
        y, pullback = vjp(pool, x.astype(np.float64))
        g = rng.normal(size=y.shape).astype(dtype)
        expected = [y, pullback(g.astype(np.float64))[0]]
    there = cupy.asarray(x)
    assert explain(pool, there) == [f"{name}: cuda.{name}"]
    runs = []
    for _ in range(2):
        out, pullback = vjp(pool, there)
        runs.append([cupy.asnumpy(out), cupy.asnumpy(pullback(cupy.asarray(g))[0])])
    for found, again, exact in zip(*runs, expected, strict=True):
        assert found.dtype == dtype and found.shape == exact.shape
        assert found.tobytes() == again.tobytes()
        assert np.abs(found - exact).max() <= tolerance * np.abs(exact).max()


def test_offsets_beyond_2_to_the_31_elements(cupy: Any) -> None:
    if cupy.cuda.runtime.memGetInfo()[0] < 16 * 2**30:
        pytest.skip("needs 16 GiB of free memory")
    x = cupy.zeros((2**15 + 1, 1, 256, 256), "float16")
    x[-1, 0, -1, -1] = 8
    for pool, value, slope, elements in ((ops.max_pool2d, 8, 4, 1), (ops.avg_pool2d, 2, 1, 4)):
        y, pullback = vjp(lambda x, pool=pool: pool(x, 2), x)
        assert float(y[-1, 0, -1, -1]) == value and int(cupy.count_nonzero(y)) == 1
        g = cupy.zeros(y.shape, "float16")
        g[-1, 0, -1, -1] = 4
        (dx,) = pullback(g)
        assert float(dx[-1, 0, -1, -1]) == slope and int(cupy.count_nonzero(dx)) == elements
        del y, g, dx, pullback
