"""fit stopped and resumed, and which files the callback Checkpoint leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, nn, optim
from xpnn.train import Checkpoint, EarlyStopping, History

RNG = np.random.default_rng(0)
DATA = RNG.normal(size=(40, 4)).astype(np.float32), RNG.integers(0, 2, 40)
VALIDATION = RNG.normal(size=(20, 4)).astype(np.float32), RNG.integers(0, 2, 20)


def run(epochs: int, callbacks: Any = (), seed: int = 0, **options: Any) -> tuple[nn.Module, optim.Optimizer, History]:
    xpnn.seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 2))
    optimizer = optim.Adam(model, lr=0.01)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, factor=0.7)
    history = xpnn.fit(
        model, DATA, loss=losses.cross_entropy, optimizer=optimizer, epochs=epochs, batch_size=8, schedule=schedule,
        validation=VALIDATION, callbacks=callbacks, progress=False, **options,
    )  # fmt: skip
    return model, optimizer, history


def without_time(history: History) -> list[dict[str, float]]:
    return [{name: x for name, x in record.items() if name != "seconds"} for record in history]


@pytest.mark.parametrize("name", ["c.safetensors", "c.npz"])
def test_fit_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    def callbacks() -> list[Any]:
        return [lambda model, record: None, EarlyStopping(patience=10), Checkpoint(path, best_only=False, every=3)]

    model, optimizer, history = run(6, [EarlyStopping(patience=10)])
    run(5, callbacks())  # as if it was killed in the fifth epoch: the file is that of the third
    again, second, resumed = run(6, callbacks(), seed=8, resume=path)
    assert without_time(resumed) == without_time(history) and type(resumed) is History
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a, b)
    for key, state in optimizer.state_dict()["state"].items():
        for kind, x in state.items():
            np.testing.assert_array_equal(x, second.state[key][kind])
    assert run(6, callbacks(), resume=path)[2][-1]["epoch"] == 6  # of which nothing is left to do


def test_early_stopping_remembers_its_best_weights(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    model, _, history = run(8, [EarlyStopping(patience=8)])
    run(5, [EarlyStopping(patience=8), Checkpoint(path, best_only=False)])
    again, _, _ = run(8, [EarlyStopping(patience=8), Checkpoint(path, best_only=False)], seed=3, resume=path)
    assert len(history) == 8
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_and_keep(tmp_path: Path) -> None:
    path = tmp_path / "run-{epoch}-{lr:.2f}.npz"
    run(9, [Checkpoint(path, best_only=False, every=2, keep=3)])
    assert {name.split("-")[1] for name in os.listdir(tmp_path)} == {"4", "6", "8"}
    eighth = next(name for name in os.listdir(tmp_path) if name.startswith("run-8"))
    run(12, [Checkpoint(path, best_only=False, every=2, keep=3)], resume=tmp_path / eighth)
    assert {name.split("-")[1] for name in os.listdir(tmp_path)} == {"8", "10", "12"}


def test_the_best_only_and_weights_only(tmp_path: Path) -> None:
    full, small = tmp_path / "full.npz", tmp_path / "small.npz"
    _, _, history = run(6, [Checkpoint(full), Checkpoint(small, weights_only=True)])
    best = min(history, key=lambda record: record["val_loss"])["epoch"]
    assert xpnn.io.load_checkpoint(full)["epoch"] == best
    weights = xpnn.load(small)
    for name, x in xpnn.load(full).items():
        np.testing.assert_array_equal(x, weights[name])
    with pytest.raises(ValueError, match="holds weights only"):
        run(6, resume=small)


def test_outside_of_fit_it_writes_weights(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    Checkpoint(tmp_path / "w.npz", monitor="loss")(model, {"epoch": 1, "loss": 0.5})
    np.testing.assert_array_equal(xpnn.load(tmp_path / "w.npz")["weight"], model.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: expected a positive integer, got 0"),
        ({"keep": 0, "path": "{epoch}.npz"}, "keep: expected a positive integer, got 0"),
        ({"keep": 2}, "keep: expected a path with \"{epoch}\" in it, got 'c.npz'"),
        ({"mode": "least"}, 'mode: expected "min" or "max", got \'least\''),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        Checkpoint(**{"path": "c.npz", **options})
    assert str(caught.value) == message


def test_a_path_of_unknown_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="path: .* asks for 'f1'; known: epoch, loss"):
        run(1, [Checkpoint(tmp_path / "{f1}.npz", best_only=False)])
    with pytest.raises(FileNotFoundError):
        run(1, resume=tmp_path / "none.npz")


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    run(2, [EarlyStopping(), Checkpoint(path, best_only=False)])
    with pytest.raises(ValueError, match="callbacks: expected the states of 1 objects, got 2"):
        run(3, [EarlyStopping()], resume=path)
