"""lstm with a projection for CuPy, in the emulator: against the reference and float64, its launches, its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn.testing import check_primitive

from ..ops.test_recurrent_options import projection_cases
from .emulated import Emulator
from .recurrent_layers import LAYERS, assert_near_float64, layers, primitive, run


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with layers(monkeypatch, "auto") as found:
        yield found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_agrees_with_the_reference(emulator: Emulator, dtype: Any) -> None:
    """Lengths in any order, reset, both directions, no steps and no rows, absent arrays."""
    assert check_primitive(primitive("lstm"), projection_cases(dtype)) == 10


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_it_is_near_float64(emulator: Emulator, dtype: Any) -> None:
    for given, options in list(projection_cases(dtype))[1:9]:
        if given[0].size:
            assert_near_float64("lstm", given, options)


def test_a_launch_a_step_and_one_to_hand_on_the_last_gradients(emulator: Emulator) -> None:
    given, options = next(iter(list(projection_cases(np.float32))[1:]))
    run("lstm", given, options)
    found = [plan.entry.partition("<")[0] for plan in emulator.launched if plan.file == "recurrent_step.cu"]
    assert found == ["recurrent_step_forward"] * 5 + ["recurrent_step_backward"] * 12  # the pullback is called twice


def test_explain_names_the_way() -> None:
    given, _ = next(iter(projection_cases(np.float32)))
    assert LAYERS["lstm"].way(*given) == "steps: a projection"


def test_inference_keeps_nothing(emulator: Emulator) -> None:
    given, _ = next(iter(projection_cases(np.float32)))
    assert LAYERS["lstm"].forward(*given, need=(False,) * 10)[1] is None
