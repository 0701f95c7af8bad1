"""Folded networks as they run on a GPU, the emulator in the place of CUDA: a launch for a layer, its norm and its activation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.nn.test_fold import trained
from xpnn import nn

from .emulated import Emulator, kernels_for_numpy


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with kernels_for_numpy(monkeypatch) as found:
        yield found


@pytest.mark.parametrize(("name", "bound"), [("float32", 1e-5), ("float16", 4e-3), ("bfloat16", 3e-2)])
def test_a_folded_convolution_is_one_launch(emulator: Emulator, name: str, bound: float) -> None:
    """And as near to the exact network of the same numbers as the storage lets it be."""
    dtype = np.dtype(name if name != "bfloat16" else pytest.importorskip("ml_dtypes").bfloat16)
    model = trained(nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Sigmoid())).astype(dtype)
    x = np.random.default_rng(0).normal(size=(2, 8, 5, 6)).astype(dtype)
    folded = nn.fold_batch_norm(model)
    emulator.launched.clear()
    found = folded(x)
    assert found.dtype == dtype and [plan.file.partition("_")[0] for plan in emulator.launched].count("conv") >= 1
    assert not any("norm" in plan.file or "activation" in plan.file for plan in emulator.launched)
    exact = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Sigmoid()).astype("float64").eval()
    exact.load_state_dict(model.state_dict())
    np.testing.assert_allclose(found.astype(np.float64), exact(x.astype(np.float64)), rtol=0, atol=bound)
