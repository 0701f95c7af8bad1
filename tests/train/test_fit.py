"""fit, evaluate, predict and the callbacks, on a problem that can be solved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import losses, metrics, nn, optim
from xpnn.train import Checkpoint, EarlyStopping, History


def spirals(n: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two classes that no line separates."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    radius = rng.uniform(0.2, 1, n)
    angle = 5 * radius + np.pi * labels
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points.astype(np.float32), labels


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))


def run(seed: int, **options: Any) -> tuple[nn.Sequential, History]:
    xpnn.seed(seed)
    model = network()
    optimizer = optim.AdamW(model, lr=0.02)
    defaults = {
        "epochs": 40,
        "validation": spirals(200, 1),
        "metrics": {"accuracy": metrics.accuracy},
        "progress": False,
    }
    history = xpnn.fit(
        model, spirals(400, 0), loss=losses.cross_entropy, optimizer=optimizer, batch_size=50, **{**defaults, **options}
    )
    return model, history


def test_it_learns_and_the_seed_repeats_it_bit_for_bit() -> None:
    model, history = run(3)
    assert history[-1]["val_accuracy"] > 0.97 and history[0]["val_accuracy"] < 0.8
    assert history[-1]["loss"] < 0.2 * history[0]["loss"]
    again, _ = run(3)
    for a, b in zip(model.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a, b)
    other, _ = run(4)
    assert not np.array_equal(model[0].weight, other[0].weight)


def test_predict_and_evaluate_agree_and_keep_the_mode() -> None:
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    model[1].training = True
    x, y = spirals(33, 2)
    parts = xpnn.predict(model, x, batch_size=10)
    np.testing.assert_allclose(parts, xpnn.predict(model, x), rtol=1e-6)
    assert model[1].training
    scores = xpnn.evaluate(model, (x, y), {"accuracy": metrics.accuracy})
    assert scores == {"accuracy": pytest.approx(np.mean(parts.argmax(1) == y))}


def test_models_of_several_inputs() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(2, 2)

        def forward(self, x: Any, scale: Any) -> Any:
            return self.inner(x) * scale[:, None]

    x, y = spirals(60, 0)
    scale = np.ones(60, np.float32)
    model = Scaled()
    before = model.inner.weight.copy()
    xpnn.fit(model, ((x, scale), y), loss=losses.cross_entropy, optimizer=optim.SGD(model, lr=0.1), progress=False)
    assert not np.array_equal(model.inner.weight, before)
    assert xpnn.predict(model, (x, scale * 0)).max() == 0


def test_early_stopping_puts_the_best_weights_back() -> None:
    seen: list[tuple[float, np.ndarray[Any, Any]]] = []

    def spoil(model: Any, record: dict[str, float]) -> None:
        seen.append((record["val_loss"], model[0].weight.copy()))
        if record["epoch"] >= 3:
            model[0].weight[...] = 100.0

    stopper = EarlyStopping(patience=2)
    model, history = run(0, callbacks=[stopper, spoil])
    assert len(history) < 40
    best = min(range(len(seen)), key=lambda i: seen[i][0])
    np.testing.assert_array_equal(model[0].weight, seen[best][1])


def test_checkpoint_keeps_the_best_epoch(tmp_path: Path) -> None:
    path = tmp_path / "best.npz"
    _, history = run(0, callbacks=[Checkpoint(path, monitor="val_accuracy", mode="max")], epochs=5)
    loaded = network()
    loaded.load_state_dict(xpnn.load(path))
    score = xpnn.evaluate(loaded, spirals(200, 1), {"a": metrics.accuracy})["a"]
    assert score == pytest.approx(max(history.column("val_accuracy")))


def test_unknown_monitor_and_column_list_what_there_is() -> None:
    with pytest.raises(ValueError, match="known: epoch, loss, lr, val_loss, val_accuracy, seconds"):
        run(0, callbacks=[EarlyStopping(monitor="val_f1")], epochs=1)
    with pytest.raises(KeyError, match="known: epoch"):
        run(0, epochs=1)[1].column("f1")


def test_schedule_clipping_and_augmentation_are_applied() -> None:
    xpnn.seed(0)
    model = network()
    optimizer = optim.SGD(model, lr=1.0)
    schedule = optim.StepLR(optimizer, step_size=1, gamma=0.5)
    shapes = []

    def augment(x: Any) -> Any:
        shapes.append(x.shape)
        return x * 0

    before = [p.copy() for p in model.parameters()]
    history = xpnn.fit(
        model, spirals(20, 0), loss=losses.cross_entropy, optimizer=optimizer, batch_size=10, schedule=schedule,
        max_grad_norm=1e-3, augment=augment, progress=False,
    )  # fmt: skip
    assert shapes == [(10, 2), (10, 2)] and history[-1]["lr"] == 0.25
    moved = np.sqrt(sum(float(((a - b) ** 2).sum()) for a, b in zip(before, model.parameters(), strict=True)))
    assert 0 < moved <= 1.5e-3 * (1 + 1e-4)
    np.testing.assert_array_equal(before[0], model[0].weight)  # zero inputs: no gradient for the first weights


def test_a_plateau_is_stepped_by_the_loss_of_each_epoch() -> None:
    """On validation data if there are any; lr in the history is the rate of the epoch's steps."""
    for validation in (spirals(20, 1), None):
        xpnn.seed(0)
        model = network()
        optimizer = optim.SGD(model, lr=1.0)
        schedule = optim.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=10.0, threshold_mode="abs")
        history = xpnn.fit(
            model, spirals(20, 0), loss=losses.cross_entropy, optimizer=optimizer, epochs=4, schedule=schedule,
            validation=validation, progress=False,
        )  # fmt: skip
        assert history.column("lr") == [1.0, 1.0, 0.5, 0.25] and optimizer.lr == 0.125
        assert schedule.best == history[0]["loss" if validation is None else "val_loss"]


def test_history_plots(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs matplotlib")
    matplotlib.use("Agg")
    _, history = run(0, epochs=2)
    ax = history.plot()
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    np.testing.assert_allclose(lines["val_loss"], history.column("val_loss"))
    ax.figure.savefig(tmp_path / "h.png")
    assert (tmp_path / "h.png").stat().st_size > 1000


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm", reason="needs tqdm")
    run(0, epochs=1, progress="spirals")
    out, err = capsys.readouterr()
    assert out == "" and "spirals" in err and "val_accuracy" in err


def test_an_optimizer_of_another_model_is_refused() -> None:
    options: dict[str, Any] = {"loss": losses.cross_entropy, "progress": False}
    with pytest.raises(ValueError, match="it holds none of the model's arrays"):
        xpnn.fit(network(), spirals(10, 0), optimizer=optim.SGD(network()), **options)
    with pytest.raises(TypeError, match="expected an xpnn.optim.Optimizer, got NoneType"):
        xpnn.fit(network(), spirals(10, 0), optimizer=None, **options)
