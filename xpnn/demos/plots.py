"""Pictures of what the demonstrations learned, as PNG files, each written whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import require
from ..io import atomic_write
from ..train.history import History

__all__ = ["confusion", "digits_grid", "forecast", "learning_curves", "new_figure", "write_figure"]

Array = np.ndarray[Any, Any]
_BLUE, _ORANGE, _RED, _GREY = "#1f6fb4", "#e6862a", "#c8322d", "#8a8a8a"


def learning_curves(history: History, path: Path, *, title: str) -> None:
    """Loss of training and validation over the epochs, and beside it the metrics of validation."""
    metrics = [name for name in history[0] if name.startswith("val_") and name != "val_loss"]
    figure, axes = new_figure(1 + len(metrics), width=5.0, height=3.6)
    epochs = history.column("epoch")
    marker = "o" if len(epochs) < 4 else None  # a line of one point cannot be seen
    axes[0].plot(epochs, history.column("loss"), color=_BLUE, marker=marker, label="training")
    axes[0].plot(epochs, history.column("val_loss"), color=_ORANGE, marker=marker, label="validation")
    axes[0].set(xlabel="epoch", ylabel="loss")
    axes[0].legend(frameon=False)
    for ax, name in zip(axes[1:], metrics, strict=True):
        ax.plot(epochs, history.column(name), color=_ORANGE, marker=marker)
        ax.set(xlabel="epoch", ylabel=f"{name.removeprefix('val_').replace('_', ' ')} (validation)")
    for ax in axes:
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.grid(color=_GREY, alpha=0.2)
    figure.suptitle(title)
    write_figure(figure, path)


def digits_grid(images: Array, predicted: Array, truth: Array, path: Path, *, title: str) -> None:
    """Images (N, 1, H, W) with their predicted labels, the wrong ones first, in red and with the true label."""
    order = np.argsort(predicted == truth, kind="stable")[:40]
    figure, axes = new_figure(len(order), columns=10, width=0.85, height=1.05)
    for ax, i in zip(axes, order, strict=True):
        right = predicted[i] == truth[i]
        ax.imshow(images[i, 0], cmap="gray_r", vmin=0, vmax=1)
        words = f"{predicted[i]}" if right else f"{predicted[i]}, is {truth[i]}"
        ax.set_title(words, color="black" if right else _RED, fontsize=9, pad=2)
        ax.axis("off")
    figure.suptitle(title)
    write_figure(figure, path)


def confusion(predicted: Array, truth: Array, names: Sequence[str], path: Path, *, title: str) -> None:
    """How often each class was taken for which: rows are the truth, columns the prediction."""
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    figure, (ax,) = new_figure(1, width=5.2, height=4.8)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else _RED if row != column else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=9)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted", ylabel="true", title=title)
    write_figure(figure, path)


def forecast(truth: Array, predicted: Array, path: Path, *, title: str, unit: str, days: int = 14) -> None:
    """The last days of a half-hourly series with its forecasts (upper) and the error of each (lower)."""
    truth, predicted = truth[-48 * days :], predicted[-48 * days :]
    time = np.arange(len(truth)) / 48
    figure, axes = new_figure(2, columns=1, width=10.0, height=2.6)
    axes[0].plot(time, truth, color=_GREY, linewidth=2.5, label="truth")
    axes[0].plot(time, predicted, color=_BLUE, linewidth=1, label="forecast half an hour before")
    axes[0].set(ylabel=unit, title=title)
    axes[0].legend(frameon=False, ncols=2, loc="upper right")
    axes[0].margins(y=0.18)
    axes[1].fill_between(time, predicted - truth, color=_RED, alpha=0.6, linewidth=0)
    axes[1].axhline(0, color="black", linewidth=0.5)
    axes[1].set(ylabel=f"error, {unit}", xlabel="days")
    for ax in axes:
        ax.set(xlim=(0, len(time) / 48), xticks=range(len(time) // 48 + 1))
        ax.grid(axis="x", color=_GREY, alpha=0.2)
    write_figure(figure, path)


def new_figure(count: int, *, columns: int | None = None, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure with ``count`` axes of a size in inches, drawn without any window system."""
    columns = columns or count
    rows = -(-count // columns)
    figure = require("matplotlib.figure", "examples").Figure(
        figsize=(width * columns, height * rows), layout="constrained"
    )
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
    for ax in axes[count:]:
        ax.axis("off")
    for ax in axes[:count]:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes[:count]


def write_figure(figure: Any, path: Path) -> None:
    """The figure as a PNG file, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    atomic_write(path, buffer.getvalue())
