"""prefetch, and the memory of the device, on the double: whose copies are done as late as those of a GPU may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from tests.cupy_double.sync import counting
from xpnn import losses, nn, optim
from xpnn.data import batches, prefetch

pytestmark = pytest.mark.gpu
ROWS = np.arange(46, dtype=np.float32).reshape(23, 2)
LABELS = np.arange(23) % 3


@pytest.fixture(autouse=True)
def gpu() -> Iterator[None]:
    with xpnn.backend("gpu"):
        yield


@pytest.mark.parametrize("depth", [0, 1, 2, 9])
def test_every_batch_arrives_whole_and_in_order(depth: int) -> None:
    loader = prefetch(batches({"x": ROWS, "n": 7}, LABELS, batch_size=4), depth=depth)
    assert len(loader) == 6
    with counting() as account:
        for _ in range(2):  # the second pass finds pinned memory of the first
            found = list(loader)
    assert account.waits == []
    assert all(type(batch["x"]) is cupy.ndarray and batch["n"] == 7 for batch, _ in found)
    np.testing.assert_array_equal(np.concatenate([batch["x"].get() for batch, _ in found]), ROWS)
    np.testing.assert_array_equal(np.concatenate([labels.get() for _, labels in found]), LABELS)


def test_a_batch_is_on_its_way_before_it_is_asked_for() -> None:
    started: list[int] = []

    def source() -> Iterator[Any]:
        for i in range(5):
            started.append(i)
            yield ROWS[i : i + 1]

    loader = iter(prefetch(source(), depth=2))
    next(loader)
    assert started == [0, 1, 2]


def test_pinned_memory_is_used_again_once_its_copy_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = cupy.cuda.alloc_pinned_memory
    monkeypatch.setattr(cupy.cuda, "alloc_pinned_memory", lambda size: made.append(size) or make(size))
    for x in prefetch(batches(ROWS[:20], batch_size=2), depth=1):
        assert x.shape == (2, 2)
    assert set(made) == {16} and len(made) <= 4


def test_copies_that_nobody_took_are_waited_for() -> None:
    loader = iter(prefetch(batches(ROWS, batch_size=4), depth=3))
    next(loader)
    loader.close()  # type: ignore[attr-defined]


def test_arrays_that_are_there_stay_and_those_of_another_gpu_come() -> None:
    here, there = xpnn.asarray(ROWS), xpnn.asarray(ROWS, device="gpu:1")
    (x, y), *_ = prefetch([(here, there)])
    assert x is here
    assert y.device.id == 0
    (moved,) = prefetch([here], "gpu:1")
    assert moved.device.id == 1


def test_fit_brings_host_data_to_the_model_and_gives_the_numbers_of_the_cpu() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 5)).astype(np.float32), rng.normal(size=(24, 2)).astype(np.float32)

    def run(device: str) -> Any:
        xpnn.seed(3)
        model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)).to(device)
        history = xpnn.fit(
            model, (x, y), loss=losses.mse_loss, optimizer=optim.SGD(model, lr=0.1), epochs=2, batch_size=8,
            validation=(x[:10], y[:10]), progress=False,
        )  # fmt: skip
        prediction = xpnn.predict(model, x, batch_size=7)
        return type(prediction), xpnn.to_numpy(prediction), [(r["loss"], r["val_loss"]) for r in history]

    kind, ours, losses_gpu = run("gpu")
    _, expected, losses_cpu = run("cpu")
    assert kind is cupy.ndarray
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses_gpu, losses_cpu, rtol=1e-5)


def test_the_pool_is_told_and_emptied() -> None:
    before = xpnn.memory_info()
    assert before == ("gpu:0", 1 << 34, 1 << 30, 256, 1024)
    xpnn.empty_cache()
    assert xpnn.memory_info().held == 256
