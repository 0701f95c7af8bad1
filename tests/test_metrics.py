"""Metrics: numbers of examples that are counted by hand."""

from __future__ import annotations

import pytest

from xpnn import metrics

from .conftest import Library


def test_metrics(lib: Library) -> None:
    x = lib.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert float(metrics.accuracy(x, lib.asarray([1, 0, 0, 0]))) == 0.75
    assert float(metrics.mean_absolute_error(x, x + 0.5)) == pytest.approx(0.5)
