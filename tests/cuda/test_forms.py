"""Layers of tests/nn/test_forms.py as they run on a GPU: what kernels make of arrays that were padded before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nn.test_forms import CASES, Case

from . import test_layers as layers
from .emulated import Emulator, kernels_for_numpy


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with kernels_for_numpy(monkeypatch) as found:
        yield found


@pytest.mark.parametrize("case", [case for case in CASES if case.kind.startswith("Conv")], ids=str)
def test_values_and_gradients(emulator: Emulator, case: Case) -> None:
    layers.test_values_and_gradients(emulator, case)
    assert emulator.launched
