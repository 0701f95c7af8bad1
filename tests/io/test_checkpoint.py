"""Checkpoints: a training that was stopped and goes on gives the bits of one that was not; files that do not fit change nothing."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, nn, optim, tree
from xpnn.data import batches
from xpnn.io import load_checkpoint, save_checkpoint
from xpnn.io.plain import pack, unpack

ROOT = Path(__file__).parents[2]
FORMATS = ("c.safetensors", "c.npz")

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda m: optim.SGD(m, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda m: optim.Adam(m, amsgrad=True),
    "AdamW": optim.AdamW,
    "Adagrad": optim.Adagrad,
    "Adadelta": optim.Adadelta,
    "Adamax": optim.Adamax,
    "LAMB": optim.LAMB,
    "Lion": lambda m: optim.Lion(m, lr=1e-3),
    "Muon": lambda m: optim.Muon([m[0].weight, m[4].weight]),
    "NAdam": optim.NAdam,
    "RAdam": optim.RAdam,
    "RMSprop": lambda m: optim.RMSprop(m, momentum=0.9, centered=True),
    "groups": lambda m: optim.AdamW([{"params": m[0], "lr": 1e-2}, {"params": m[4], "betas": (0.8, 0.9)}]),
}
SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda o: optim.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: optim.MultiStepLR(o, [2, 5]),
    "ExponentialLR": lambda o: optim.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)),
    "ConstantLR": optim.ConstantLR,
    "LinearLR": optim.LinearLR,
    "PolynomialLR": lambda o: optim.PolynomialLR(o, 20),
    "CosineAnnealingLR": lambda o: optim.CosineAnnealingLR(o, 20),
    "CosineAnnealingWarmRestarts": lambda o: optim.CosineAnnealingWarmRestarts(o, 3, 2),
    "OneCycleLR": lambda o: optim.OneCycleLR(
        o, 0.1, 24, cycle_momentum=not isinstance(o, optim.Adagrad | optim.Adadelta)
    ),
    "SequentialLR": lambda o: optim.SequentialLR(o, [optim.LinearLR(o), optim.ExponentialLR(o, 0.8)], [4]),
    "ChainedScheduler": lambda o: optim.ChainedScheduler([optim.LinearLR(o), optim.ExponentialLR(o, 0.8)]),
    "ReduceLROnPlateau": lambda o: optim.ReduceLROnPlateau(o, patience=0, threshold=10.0, threshold_mode="abs"),
}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


class Training:
    """A model and what belongs to it, made anew in the same way each time."""

    def __init__(self, optimizer: str = "AdamW", schedule: str = "OneCycleLR", seed: int = 1) -> None:
        xpnn.seed(seed)
        self.model = network()
        self.optimizer = OPTIMIZERS[optimizer](self.model)
        self.schedule = SCHEDULES[schedule](self.optimizer)
        self.ema = optim.EMA(self.model, decay=0.9)
        rng = np.random.default_rng(0)
        self.data = rng.normal(size=(24, 5)).astype(np.float32), rng.integers(0, 3, 24)
        self.seen: list[Any] = []

    @property
    def parts(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer, "schedule": self.schedule, "ema": self.ema}

    def run(self, epochs: int) -> Training:
        loss = xpnn.value_and_grad(lambda m, x, y: losses.cross_entropy(m(x), y))
        for _ in range(epochs):
            for x, y in batches(*self.data, batch_size=6, shuffle=True):
                value, grads = loss(self.model, x, y)
                given = self.optimizer.params
                if isinstance(self.optimizer, optim.Grouped):
                    grads = [grads[0], grads[4]]
                elif isinstance(given, list):
                    grads = [grads[0].weight, grads[4].weight]
                self.optimizer.step(grads)
                self.schedule.step(*([value] if isinstance(self.schedule, optim.ReduceLROnPlateau) else []))
                self.ema.update()
                self.seen.append((x, value))
        return self

    def everything(self) -> dict[str, Any]:
        states = {name: part.state_dict() for name, part in self.parts.items()}
        return {"model": self.model.state_dict(), **states, "random": xpnn.random.get_state()}


def same(a: Any, b: Any) -> None:
    """The same tree, bit for bit and type for type."""
    assert type(a) is type(b), (a, b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    else:
        assert a == b or (a != a and b != b), (a, b)


@pytest.mark.parametrize(
    ("optimizer", "schedule", "name"),
    [
        *((optimizer, "OneCycleLR", "c.safetensors") for optimizer in OPTIMIZERS),
        *(("SGD", schedule, "c.npz") for schedule in SCHEDULES),
        *(("groups", schedule, "c.npz") for schedule in SCHEDULES),
    ],
)
def test_going_on_gives_the_bits_of_never_having_stopped(
    optimizer: str, schedule: str, name: str, tmp_path: Path
) -> None:
    straight = Training(optimizer, schedule).run(6)
    end = straight.everything()
    first = Training(optimizer, schedule).run(3)
    save_checkpoint(tmp_path / name, model=first.model, epoch=3, **first.parts)
    again = Training(optimizer, schedule, seed=7)
    assert load_checkpoint(tmp_path / name, model=again.model, **again.parts) == {"epoch": 3}
    again.run(3)
    same(again.everything(), end)
    same([*first.seen, *again.seen], straight.seen)  # the shuffled batches, and losses behind dropout


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    """Half of the training in another process, from the file that this one wrote, with other hashes and another stream."""
    Training().run(3)
    first = Training().run(3)
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, model=first.model, epoch=3, **first.parts)
    code = f"""
        from tests.io.test_checkpoint import Training
        from xpnn.io import load_checkpoint, save_checkpoint
        training = Training(seed=99)
        assert load_checkpoint({str(path)!r}, model=training.model, **training.parts) == {{"epoch": 3}}
        training.run(3)
        save_checkpoint({str(path)!r}, model=training.model, epoch=6, **training.parts)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=True, timeout=300)
    end = Training().run(6).everything()
    found = Training(seed=5)
    assert load_checkpoint(path, model=found.model, **found.parts) == {"epoch": 6}
    same(found.everything(), end)


@pytest.mark.parametrize("name", FORMATS)
def test_the_weights_of_a_checkpoint_load_as_any_weights(name: str, tmp_path: Path) -> None:
    training = Training().run(1)
    save_checkpoint(tmp_path / name, model=training.model, **training.parts)
    same(xpnn.load(tmp_path / name), {key: xpnn.load(tmp_path / name)[key] for key in xpnn.load(tmp_path / name)})
    loaded = xpnn.load(tmp_path / name, network())
    same(loaded.state_dict(), training.model.state_dict())


@pytest.mark.parametrize("name", FORMATS)
def test_parts_of_your_own(name: str, tmp_path: Path) -> None:
    parts: dict[str, Any] = {
        "epoch": 3,
        "history": [{"loss": 0.1, "worst": math.inf, "best": -math.inf, "none": math.nan}],
        "betas": (0.9, (1, "é", None, True)),
        "table": {1: "a", "$array": 2, (1, 2): [3]},
        "arrays": {"a/b": np.arange(3), "a": {"b": np.ones((2, 0))}, "s": np.array(1.5, np.float16)},
        "big": 2**80,
    }
    save_checkpoint(tmp_path / name, model=network(), **parts, nothing=None, scalar=np.float32(0.1))
    found = load_checkpoint(tmp_path / name)
    assert found.pop("scalar") == float(np.float32(0.1))
    same(found, parts)
    with pytest.raises(TypeError, match="@/wrong/0: expected numbers, strings, arrays, or lists .* got set"):
        save_checkpoint(tmp_path / name, model=network(), wrong=[{1}])
    same(load_checkpoint(tmp_path / name)["betas"], parts["betas"])  # the old file is there


def test_packing() -> None:
    tree_ = {"x": [np.zeros(2), 1, "t"], "y": (np.float64(0.5),)}
    text, arrays = pack(tree_, "@")
    assert json.loads(text)["x"][0] == {"$array": "@/x/0"} and list(arrays) == ["@/x/0"]
    same(unpack(text, arrays), {"x": [np.zeros(2), 1, "t"], "y": (0.5,)})


def refused(training: Training, path: Path, match: str, **parts: Any) -> None:
    """Loading raises, and leaves all as it was."""
    before = tree.map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, training.everything())
    with pytest.raises(ValueError, match=match) as caught:
        load_checkpoint(path, **{"model": training.model, **training.parts, **parts})
    assert "\n" not in str(caught.value)
    same(training.everything(), before)


def test_what_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    path, training = tmp_path / "c.safetensors", Training().run(1)
    save_checkpoint(path, model=training.model, **training.parts, none=None)
    other = Training("SGD", "StepLR").run(1)
    other.optimizer.lr = 0.123  # not that of the schedule, which sets it when it is put back
    refused(other, path, "has no loss_scaler; it has optimizer, schedule, ema", loss_scaler=optim.EMA(other.model))
    refused(
        other,
        path,
        "does not fit .*: missing: 2.weight",
        model=nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)),
    )
    refused(other, path, "state: expected that of 2 groups", optimizer=OPTIMIZERS["groups"](other.model))
    refused(
        other, path, "state: expected that of weight, bias, got 0.weight", optimizer=optim.SGD(nn.Linear(5, 8), lr=1.0)
    )
    wide = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    refused(other, path, r"mean of 0.weight has shape \(8, 5\), expected \(8, 6\)", optimizer=optim.AdamW(wide))
    refused(other, path, "ema: the state in the file is not that of StepLR", ema=other.schedule)
    refused(other, path, "optimizer: expected the states of 1 objects, got dict", optimizer=[other.optimizer])
    path.write_bytes(path.read_bytes()[:-1])
    refused(other, path, "c.safetensors' is no readable .safetensors file")


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    xpnn.save(network(), path)
    with pytest.raises(ValueError, match="m.safetensors' holds weights only, expected a file of save_checkpoint"):
        load_checkpoint(path)
    xpnn.io.files.write(path, {}, {"xpnn.checkpoint": json.dumps({"version": 2})})
    with pytest.raises(ValueError, match="is a checkpoint of version 2, expected 1"):
        load_checkpoint(path)
    xpnn.io.files.write(path, {}, {"xpnn.checkpoint": json.dumps({"version": 1}), "xpnn.parts": '{"a":{"$array":"b"}}'})
    with pytest.raises(ValueError, match="is a damaged checkpoint"):
        load_checkpoint(path)
    with pytest.raises(TypeError, match="epoch: expected an object with load_state_dict, got int"):
        load_checkpoint(path, epoch=3)
    with pytest.raises(TypeError, match="model: expected an xpnn.nn.Module, got dict"):
        save_checkpoint(path, model={})  # type: ignore[arg-type]


def test_a_loaded_state_is_a_copy() -> None:
    for kind in ("AdamW", "groups"):
        training = Training(kind, "StepLR").run(1)
        saved = training.optimizer.state_dict()
        before = tree.map(lambda x: x.copy() if isinstance(x, np.ndarray) else x, saved)
        training.optimizer.load_state_dict(saved)
        training.run(1)
        same(saved, before)


def test_an_optimiser_takes_its_options_from_the_state() -> None:
    first = Training("SGD", "StepLR").run(1).optimizer
    first.weight_decay = 0.25  # type: ignore[attr-defined]
    second = Training("SGD", "StepLR", seed=2).optimizer
    second.load_state_dict(first.state_dict())
    assert second.weight_decay == 0.25  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="state: expected what state_dict\\(\\) gave, it has no lr, steps"):
        second.load_state_dict({"state": {}})
