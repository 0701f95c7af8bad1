"""A folded network on the double: on the model's GPU, with one launch in the place of three, and the numbers of NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double import kernels
from tests.cupy_double.sync import counting
from xpnn import nn

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


def network() -> Any:
    """With statistics of a batch that it has seen."""
    xpnn.seed(2)
    model = nn.Sequential(
        *(nn.Conv2d(4, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.ConvTranspose2d(16, 4, 2, stride=2), nn.BatchNorm2d(4), nn.Tanh()),
        *(nn.Flatten(), nn.Linear(4 * 64, 5), nn.BatchNorm1d(5)),
    )
    for _ in range(3):
        model(xpnn.asarray(images() + 1))
    return model.eval()


def images() -> Any:
    return np.random.default_rng(0).normal(size=(6, 4, 4, 4)).astype(np.float32)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-5), ("float16", 2e-2)])
def test_the_kernels_give_what_the_whole_network_gives_in_float64(dtype: str, bound: float) -> None:
    model = network().astype(dtype)
    x = xpnn.asarray(images(), dtype)
    with counting() as account:
        folded = nn.fold_batch_norm(model)
        with kernels.running() as emulator:
            found = folded(x)
    assert account.waits == [] and type(found) is cupy.ndarray and found.dtype == dtype
    assert {plan.file.partition("_")[0] for plan in emulator.launched} <= {"conv", "bias"}
    with xpnn.backend("cpu"):
        wanted = widened(model)(xpnn.to_numpy(x).astype(np.float64))
    assert np.abs(xpnn.to_numpy(found) - wanted).max() < bound * np.abs(wanted).max()


def widened(model: Any) -> Any:
    """The unfolded network with the same numbers in float64, on the CPU."""
    same = nn.Sequential(*(type(m)(*m_args) for m, m_args in zip(model, ARGUMENTS, strict=True))).astype("float64")
    same.load_state_dict({name: xpnn.to_numpy(x) for name, x in model.state_dict().items()})
    return same.eval()


ARGUMENTS: list[tuple[Any, ...]] = [
    *((4, 16, 3, 1, 1, 1, 1, False), (16,), ()),
    *((16, 4, 2, 2), (4,), ()),
    *((), (4 * 64, 5), (5,)),
]


def test_on_the_gpu_that_the_model_is_on() -> None:
    model = network().to("gpu:1")
    assert nn.fold_batch_norm(model).device == "gpu:1"
