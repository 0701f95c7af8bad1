"""The errors of xpnn and their messages."""

from __future__ import annotations

import copy
import math
import pickle

import pytest

from xpnn.errors import BackendError, DeviceMismatchError, MissingExtraError, require


def test_the_kinds_are_what_callers_expect() -> None:
    assert issubclass(BackendError, RuntimeError)
    assert issubclass(DeviceMismatchError, TypeError)
    assert issubclass(MissingExtraError, ImportError)


def test_a_device_mismatch_names_the_argument_both_sides_and_the_fix() -> None:
    error = DeviceMismatchError.between("input", found="cpu", expected="gpu:0")
    assert str(error) == (
        'input is on cpu, the model is on gpu:0: pass xpnn.asarray(input, device="gpu:0"), '
        'or move the model with model.to("cpu")'
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(copy.copy(error)) == str(error)


def test_require_gives_the_module() -> None:
    assert require("math", "examples") is math


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.datasets"])
def test_require_names_the_pip_line(module: str) -> None:
    with pytest.raises(MissingExtraError) as caught:
        require(module, "examples")
    assert str(caught.value) == 'no_such_package is not installed: pip install "xpnn[examples]"'
    assert caught.value.name == "no_such_package"
