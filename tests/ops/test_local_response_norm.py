"""local_response_norm: values and gradients of torch; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops

from ..conftest import Library
from .against_torch import check_against_torch


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 6, 3, 4), (1, 3, 2, 2, 3)])
def test_values_and_gradients_of_torch(lib: Library, shape: tuple[int, ...], size: int) -> None:
    def theirs(x: Any) -> Any:
        import torch

        return torch.nn.functional.local_response_norm(x, size, 0.3, 0.6, 2.0)

    x = np.random.default_rng(0).normal(size=shape)
    check_against_torch(lib, lambda x: ops.local_response_norm(x, size, 0.3, 0.6, 2.0), theirs, (x,))


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match="size: expected 1 or more, got 0"):
        ops.local_response_norm(np.ones((1, 2, 3)), 0)
    with pytest.raises(ValueError, match=r"x: expected shape \(N, C, \*S\), got \(2, 3\)"):
        ops.local_response_norm(np.ones((2, 3)), 3)
