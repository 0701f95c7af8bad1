"""Whatever is wrong with an argument is said in one line: the argument, what came, what was expected, and never by NumPy."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

import xpnn

from .bad_input_cases import Bad, all_cases

PACKAGE = Path(xpnn.__file__).parent
CASES = all_cases()
EXPECTED = re.compile(r"\bexpected\b|\bmust be\b|\btakes\b")


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 150


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES])
def test_it_is_said_in_one_line(case: Bad) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        case.call()
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(rf"\b{re.escape(case.argument)}\b", message), f"{case.argument} is not named: {message}"
    assert case.came in message, f"{case.came} came, which is not said: {message}"
    assert EXPECTED.search(message), f"what was expected is not said: {message}"
    last = traceback.extract_tb(caught.value.__traceback__)[-1].filename
    assert Path(last).is_relative_to(PACKAGE), f"raised by {last}: {message}"
