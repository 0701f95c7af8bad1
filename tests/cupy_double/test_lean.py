"""Functions of CuPy that wait in array-api-compat and not here: the same results."""

from __future__ import annotations

from typing import Any

import array_api_compat.cupy as xp
import numpy as np
import pytest

from tests.cupy_double.sync import counting
from xpnn.namespace.lean import lean

pytestmark = pytest.mark.gpu
VALUES = np.array([-np.inf, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, np.inf, np.nan])
DTYPES = ["float64", "float32", "float16"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "bounds",
    [(-1, 1), (None, 0.5), (-1.5, None), (2.0, 1.0), (np.float64(-1.0), 3), (np.full(10, -1.0), np.arange(10.0))],
)
def test_clip(bounds: tuple[Any, Any], dtype: str) -> None:
    x = xp.asarray(VALUES.astype(dtype))
    given = [xp.asarray(b) if isinstance(b, np.ndarray) else b for b in bounds]
    with counting() as account:
        found = lean(xp).clip(x, *given)
    assert account.waits == [] and found.dtype == x.dtype
    np.testing.assert_array_equal(found.get(), xp.clip(x, *given).get())


@pytest.mark.parametrize("dtype", [*DTYPES, "complex128"])
def test_sign(dtype: str) -> None:
    values = VALUES.astype(dtype) if dtype != "complex128" else np.array([0, 1j, -3 + 4j, 2, -0.5])
    x = xp.asarray(values)
    with counting() as account:
        found = lean(xp).sign(x)
    assert account.waits == [] and found.dtype == x.dtype
    np.testing.assert_allclose(found.get(), np.sign(values), rtol=1e-15)


def test_integers_are_left_to_the_wrapper() -> None:
    x = xp.asarray(np.arange(-3, 4))
    np.testing.assert_array_equal(lean(xp).sign(x).get(), np.sign(np.arange(-3, 4)))
    np.testing.assert_array_equal(lean(xp).clip(x, -1, 2).get(), np.clip(np.arange(-3, 4), -1, 2))
