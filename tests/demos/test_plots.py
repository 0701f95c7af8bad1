"""The pictures: what is drawn is read back from matplotlib's own objects, and the files are whole PNGs."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xpnn.demos import plots
from xpnn.errors import MissingExtraError
from xpnn.train import History

mpl = pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra examples")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were written, in order; the files are written all the same."""
    figures: list[Any] = []
    write = plots.write_figure

    def remember(figure: Any, path: Path) -> None:
        figures.append(figure)
        write(figure, path)

    monkeypatch.setattr(plots, "write_figure", remember)
    return figures


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG, from its header; the file ends with the chunk that ends a PNG."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[-8:-4] == b"IEND"
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _history(epochs: int) -> History:
    return History(
        {
            "epoch": float(e),
            "loss": 2 / e,
            "lr": 0.1,
            "val_loss": 3 / e,
            "val_accuracy": 1 - 1 / (e + 1),
            "seconds": 1.0,
        }
        for e in range(1, epochs + 1)
    )


def test_learning_curves_show_the_numbers_of_the_history(drawn: list[Any], tmp_path: Path) -> None:
    history = _history(9)
    plots.learning_curves(history, tmp_path / "curves.png", title="net: data")
    losses, metric = drawn[0].axes
    assert [line.get_label() for line in losses.lines] == ["training", "validation"]
    for line, name in zip([*losses.lines, *metric.lines], ["loss", "val_loss", "val_accuracy"], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), history.column("epoch"))
        np.testing.assert_array_equal(line.get_ydata(), history.column(name))
    assert metric.get_ylabel() == "accuracy (validation)" and drawn[0].get_suptitle() == "net: data"
    assert _size(tmp_path / "curves.png") == (1200, 432)


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_curves_of_a_quick_run_can_be_seen(epochs: int, drawn: list[Any], tmp_path: Path) -> None:
    """A line through one point has no length: it needs a marker. And there is no epoch 1.5."""
    plots.learning_curves(_history(epochs), tmp_path / "curves.png", title="")
    for ax in drawn[0].axes:
        assert {line.get_marker() for line in ax.lines} == {"o"}
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == round(tick) for tick in ticks)


def test_digits_come_wrong_ones_first_and_say_what_they_are(drawn: list[Any], tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((60, 1, 8, 8))
    truth = np.arange(60) % 10
    predicted = truth.copy()
    predicted[[7, 31]] = 0
    plots.digits_grid(images, predicted, truth, tmp_path / "digits.png", title="t")
    axes = drawn[0].axes
    titles = [ax.get_title() for ax in axes]
    assert len(axes) == 40 and titles[:4] == ["0, is 7", "0, is 1", "0", "1"]
    assert [ax.title.get_color() != "black" for ax in axes] == [True, True] + 38 * [False]
    shown = [np.asarray(ax.images[0].get_array()) for ax in axes]
    for image, i in zip(shown, [7, 31, *(i for i in range(60) if i not in (7, 31))], strict=False):
        np.testing.assert_array_equal(image, images[i, 0])


def test_a_few_digits_leave_the_rest_of_the_grid_empty(drawn: list[Any], tmp_path: Path) -> None:
    plots.digits_grid(np.zeros((3, 1, 8, 8)), np.arange(3), np.arange(3), tmp_path / "digits.png", title="")
    assert [ax.get_title() for ax in drawn[0].axes] == ["0", "1", "2"] + 7 * [""]
    assert sum(ax.axison for ax in drawn[0].axes) == 0


def test_confusion_counts_truth_in_rows_and_prediction_in_columns(drawn: list[Any], tmp_path: Path) -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 0, 1, 1, 1, 0])
    plots.confusion(predicted, truth, ["a", "b", "c", "d"], tmp_path / "confusion.png", title="t")
    (ax,) = drawn[0].axes
    shares = np.zeros((4, 4))
    shares[0, :2], shares[1, 1], shares[2, 0] = (0.75, 0.25), 1, 1
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), shares)  # no row of a class that is not there
    texts = {text.get_position(): text.get_text() for text in ax.texts}
    assert texts == {(0, 0): "3", (1, 0): "1", (1, 1): "2", (0, 2): "1"}
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("steps", "shown"), [(48 * 20 + 5, 48 * 14), (96, 96)])
def test_forecast_shows_the_last_days_and_their_errors(
    steps: int, shown: int, drawn: list[Any], tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    truth = 30_000 + 5_000 * np.sin(np.arange(steps) / 48 * 2 * np.pi)
    predicted = truth + 100 * rng.standard_normal(steps)
    plots.forecast(truth, predicted, tmp_path / "forecast.png", title="t", unit="MW")
    series, errors = drawn[0].axes
    for line, values in zip(series.lines, (truth, predicted), strict=True):
        np.testing.assert_allclose(line.get_xdata(), np.arange(shown) / 48)
        np.testing.assert_array_equal(line.get_ydata(), values[-shown:])
    ends = errors.collections[0].get_datalim(errors.transData)
    np.testing.assert_allclose(
        (ends.y0, ends.y1), ((predicted - truth)[-shown:].min(), (predicted - truth)[-shown:].max())
    )
    np.testing.assert_array_equal(series.get_xticks(), np.arange(shown // 48 + 1))
    assert series.get_xlim() == errors.get_xlim() == (0, shown / 48)


def test_an_interrupted_picture_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plots.learning_curves(_history(2), path, title="")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_pip_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match='matplotlib is not installed: pip install "xpnn\\[examples\\]"'):
        plots.learning_curves(_history(2), tmp_path / "curves.png", title="")
    assert not list(tmp_path.iterdir())


def test_pictures_do_not_touch_the_users_backend(tmp_path: Path) -> None:
    """No pyplot: a notebook's windows and settings stay as they are."""
    before = dict(mpl.rcParams)
    plots.learning_curves(_history(2), tmp_path / "curves.png", title="")
    assert dict(mpl.rcParams) == before
