"""Convolution by products of whole warpgroups on a GPU of compute capability 9.0: exact sums, the same bits every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn.cuda import conv, conv_wgmma

from ..conftest import libraries
from .test_conv import DTYPES, case, expected, gradient

pytestmark = pytest.mark.gpu

# Many tiles a block; strides and different paddings of the axes, whose order a map's corners must keep; one axis; three.
CASES: dict[str, Any] = {
    "3x3": ((8, 64, 56, 56), 64, (3, 3), 1, (1, 1)),
    "1x1, 200 filters": ((16, 264, 28, 28), 200, (1, 1)),
    "strided": ((8, 72, 57, 40), 136, (5, 3), 2, (2, 0)),
    "dilated": ((4, 64, 40, 33), 129, (3, 2), 1, (3, 1), 3),
    "groups": ((8, 256, 30, 30), 256, (3, 3), 1, (1, 1), 1, 4),
    "1-d": ((16, 80, 3000), 384, (3,), 1, (1, 1)),
    "3-d": ((2, 32, 16, 20, 24), 64, (3, 3, 3), 1, (1, 1)),
    "3-d, strided": ((2, 32, 16, 21, 24), 64, (3, 2, 3), 2, (1, 0)),
}  # fmt: skip


@pytest.fixture(params=libraries("cupy"))
def cupy(request: pytest.FixtureRequest) -> Any:
    request.param()  # skips where there is no GPU
    import cupy

    if why := conv_wgmma.unfit(cupy.empty(1)):
        pytest.skip(why)
    return cupy


@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_sums_of_small_integers(cupy: Any, monkeypatch: pytest.MonkeyPatch, name: str, dtype: str, last: bool) -> None:
    """y, and dx where the stride is 1: rounded once from the exact sums."""
    monkeypatch.setenv("XPNN_CONV", "wgmma")
    arrays, static = case(*CASES[name], last=last)
    if len(static["padding"]) > 1:
        static["padding"] = (*static["padding"][:-1], (0, 1))
    given = [None if a is None else cupy.asarray(a.astype(DTYPES[dtype])) for a in arrays]
    assert conv.way(*given, **static) == "conv_wgmma"
    exact = expected(arrays, static)
    seen = set()
    for _ in range(20):
        y, residuals = conv.forward(*given, **static, need=(True, False, False))
        g = cupy.asarray(gradient(y.shape).astype(DTYPES[dtype]))
        found = [cupy.asnumpy(a) for a in (y, conv.backward(residuals, g, (True, False, False))[0])]
        seen.add(b"".join(a.tobytes() for a in found))
    assert len(seen) == 1
    for a, wanted in zip(found, exact, strict=False):
        np.testing.assert_array_equal(a, wanted.astype(a.dtype))
