"""A GRU that forecasts the electricity demand of the next half hour."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import losses, metrics, nn, optim, random, tree
from ..backend import asarray, to_numpy
from ..train import fit, predict
from .datasets import electricity
from .demo import Demo, Learned, Outcome, Settings
from .plots import forecast

__all__ = ["DEMO", "Forecaster"]

DAY, WEEK, WINDOW = 48, 336, 48
TEST, VALIDATION = 806, 672  # the last 20 % of the series; the two weeks before that

Array = np.ndarray[Any, Any]


class Forecaster(nn.Module):
    """x (N, T, 8) -> (N, T): at every step, what comes next."""

    def __init__(self) -> None:
        self.gru = nn.GRU(8, 32, batch_first=True)
        self.output = nn.Linear(32, 1)

    def forward(self, x: Any) -> Any:
        y, _ = self.gru(x)
        return self.output(y)[..., 0]


@dataclass(frozen=True)
class Series:
    """The demand as windows of what is known at each time, and what is to be forecast.

    Row k of ``windows`` (N, WINDOW, 8) ends at time ``now[k]``; ``targets`` (N, WINDOW) is, in units of ``scale`` MW, by how
    much the next change of the demand differs from the change at the same time a week ago.
    """

    demand: Array
    now: Array
    windows: Array
    targets: Array
    scale: float

    def part(self, first: int, stop: int, step: int = 1) -> tuple[Array, Array]:
        """Windows and targets whose forecast falls on the values first … stop - 1."""
        rows = np.flatnonzero((self.now + 1 >= first) & (self.now + 1 < stop))[::step]
        return self.windows[rows], self.targets[rows]

    def forecasts(self, first: int, stop: int, predicted: Array) -> Array:
        """The forecast demand, in MW, of the values first … stop - 1, from the predicted targets (N, WINDOW)."""
        now = np.arange(first, stop) - 1
        return self.demand[now] + _last_weeks_change(self.demand, now) + predicted[:, -1] * self.scale


def prepare(demand: Array) -> Series:
    """Windows from a series; all scales are taken from its training part."""
    training = demand[: len(demand) - TEST - VALIDATION]
    mean, deviation, change = training.mean(), training.std(), np.diff(training).std()
    i = np.arange(WEEK, len(demand))
    angle = 2 * np.pi * (i % DAY) / DAY
    features = [
        (demand[i] - mean) / deviation,
        (demand[i] - demand[i - 1]) / change,
        (demand[i - DAY + 1] - demand[i - DAY]) / change,
        _last_weeks_change(demand, i) / change,
        (demand[i] - demand[i - WEEK]) / deviation,
        (demand[i] - demand[i - DAY]) / deviation,
        np.sin(angle),
        np.cos(angle),
    ]
    next_change = np.append(np.diff(demand)[WEEK:], 0.0)  # what follows the last value is not known, and not used
    surprise = next_change - _last_weeks_change(demand, i)
    scale = float(surprise[: len(training) - WEEK - 1].std())
    windows = np.lib.stride_tricks.sliding_window_view(np.stack(features, axis=1).astype(np.float32), WINDOW, axis=0)
    targets = np.lib.stride_tricks.sliding_window_view((surprise / scale).astype(np.float32), WINDOW)
    return Series(demand, i[WINDOW - 1 :], windows.transpose(0, 2, 1), targets, scale)


def _last_weeks_change(demand: Array, i: Array) -> Array:
    """By how much the demand changed a week ago, from the time of day of i to the next half hour."""
    change: Array = demand[i - WEEK + 1] - demand[i - WEEK]
    return change


def _run(settings: Settings) -> Outcome:
    start = time.perf_counter()
    series = prepare(electricity())
    size = len(series.demand)
    test = size - TEST
    random.seed(settings.seed)
    model = Forecaster()
    train = tree.map(asarray, series.part(0, test - VALIDATION, step=3))
    epochs, batch_size, lr = (2 if settings.quick else 12), 32, 5e-3
    optimizer = optim.AdamW(model, lr=lr)
    history = fit(
        model,
        train,
        loss=losses.l1_loss,
        optimizer=optimizer,
        schedule=optim.OneCycleLR(
            optimizer, lr, epochs * -(-len(train[1]) // batch_size), pct_start=0.1, cycle_momentum=False
        ),
        epochs=epochs,
        batch_size=batch_size,
        max_grad_norm=1.0,
        validation=tree.map(asarray, series.part(test - VALIDATION, test)),
        metrics={"MAE_MW": functools.partial(_error_in_megawatt, scale=series.scale)},
        progress=settings.progress and "gru",
    )
    predicted = to_numpy(predict(model, asarray(series.part(test, size)[0])))
    found, truth = series.forecasts(test, size, predicted), series.demand[test:]
    result = float(np.abs(found - truth).mean())
    learned = Learned(model, history, result, time.perf_counter() - start)
    as_last_week = series.forecasts(test, size, np.zeros_like(predicted))

    def draw(path: Path) -> None:
        title = f"gru: electricity demand half an hour ahead, mean error {result:.0f} MW"
        forecast(truth, found, path, title=title, unit="MW")

    return Outcome(learned, float(np.abs(as_last_week - truth).mean()), draw)


def _error_in_megawatt(prediction: Any, target: Any, scale: float) -> Any:
    """The mean error of the forecasts at the last step of each window."""
    return metrics.mean_absolute_error(prediction[:, -1], target[:, -1]) * scale


DEMO = Demo("gru", "electricity demand", "MAE (MW)", "same change as last week", ("pmdarima",), _run)
