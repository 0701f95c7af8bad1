"""Every layer and loss against torch: outputs, gradients of parameters and inputs, buffers, on every library and in two dtypes.

The cases are in layer_cases/; docs/layers.md tells what they cover.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import tree
from xpnn.testing.primitive import TOLERANCE

from ..conftest import Library, libraries
from .layer_cases import ROUNDED_BY_TORCH, Case, all_cases

torch = pytest.importorskip("torch", reason="the reference is torch")
matrix = pytest.importorskip(f"{__package__}.matrix", reason="the reference is torch")
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{words}:UserWarning")
    for words in (
        "enable_nested_tensor is True",
        "Support for mismatched",
        "reduction. 'mean' divides",
        "dropout2d. Received a 3D",
    )
]
CASES = all_cases()
every_case = pytest.mark.parametrize("case", CASES, ids=str)


@every_case
@pytest.mark.parametrize("library", libraries("numpy", "strict", "strict-device1", "torch", "cupy"))
def test_float64(case: Case, library: Callable[[], Library]) -> None:
    lib = library()
    if lib.name == "torch" and case.kind == "RReLU" and case.training:
        pytest.skip("random numbers are made of sums of uint64, which torch has not")
    relative, _ = ROUNDED_BY_TORCH.get(case.kind, (TOLERANCE["float64"][0], ""))
    for name, x, exact in matrix.compared(case, lib, "float64"):
        assert (x.shape, x.dtype) == (exact.shape, exact.dtype), name
        np.testing.assert_allclose(x, exact, rtol=relative, atol=1e-11, err_msg=name)


@every_case
@pytest.mark.parametrize("library", libraries("numpy", "strict", "cupy"))
def test_float32(case: Case, library: Callable[[], Library]) -> None:
    """Everything stays float32."""
    relative = TOLERANCE["float32"][0]
    for name, x, exact in matrix.compared(case, library(), "float32"):
        assert x.shape == exact.shape and x.dtype == (np.float32 if exact.dtype.kind == "f" else exact.dtype), name
        scale = np.abs(exact[np.isfinite(exact)]).max(initial=0.01)
        np.testing.assert_allclose(x, exact, rtol=relative, atol=relative * scale, err_msg=name)


@every_case
def test_inference_on_raw_arrays_makes_no_boxes(case: Case) -> None:
    ours, _ = matrix.build(case)
    out = matrix.called(case, ours, matrix.inputs_of(case), lambda x: x)
    assert all(isinstance(y, np.ndarray | np.generic) for y in out.values())


def test_a_shape_may_be_an_array_or_a_tuple_of_them() -> None:
    given: Any = Case("LSTM", (4, 5), inputs=((2, 4), ((1, 5), (1, 5))))
    assert [x.shape for x in tree.leaves(matrix.inputs_of(given))] == [(2, 4), (1, 5), (1, 5)]
