"""Calls on a GPU that no kernel took: counted, told, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from xpnn.fallback import FallbackError, FallbackWarning, fallback_report, forget_fallbacks, note_fallback
from xpnn.primitive import Primitive, explain


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("XPNN_FALLBACK", raising=False)
    forget_fallbacks()
    yield
    forget_fallbacks()


def test_calls_are_counted_by_primitive_and_reason_the_most_frequent_first() -> None:
    for primitive, reason in [("conv", "dtype float64"), *[("linear", "shapes")] * 3, *[("linear", "dtype int8")] * 2]:
        note_fallback(primitive, reason)
    assert fallback_report() == {"linear": {"shapes": 3, "dtype int8": 2}, "conv": {"dtype float64": 1}}
    assert list(fallback_report()) == ["linear", "conv"]


def test_a_warning_comes_once_for_each_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_FALLBACK", "warn")
    message = r"conv: no CUDA kernel takes this call \(dtype float64\); it runs through plain array functions"
    with pytest.warns(FallbackWarning, match=message):
        note_fallback("conv", "dtype float64")
    note_fallback("conv", "dtype float64")  # would be an error here if it warned again
    with pytest.warns(FallbackWarning, match="groups"):
        note_fallback("conv", "groups")
    assert fallback_report() == {"conv": {"dtype float64": 2, "groups": 1}}


def test_an_error_is_raised_and_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_FALLBACK", "error")
    with pytest.raises(FallbackError, match=r"lstm: .*\(projection\).*, which XPNN_FALLBACK=error forbids"):
        note_fallback("lstm", "projection")


def test_an_unknown_mode_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_FALLBACK", "never")
    with pytest.raises(ValueError, match="XPNN_FALLBACK: expected one of allow, warn, error, got 'never'"):
        note_fallback("lstm", "projection")


def test_a_primitive_reports_cupy_arrays_that_no_implementation_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library of an array is told by the module of its type; nothing of CuPy is needed for that."""
    array = type("ndarray", (), {"__module__": "cupy._core.core"})()
    primitive = Primitive(lambda x: x, name="toy")
    assert primitive(array) is array
    refusing = SimpleNamespace(__name__="xpnn.cuda.toy", refusal=lambda x: "dtype int8")
    primitive.add("cupy", refusing)
    assert primitive(array) is array
    assert explain(primitive, array) == ["toy: reference (cuda.toy refused: dtype int8)"]
    assert fallback_report() == {"toy": {"dtype int8": 2, "no kernel yet": 1}}
    monkeypatch.setenv("XPNN_FALLBACK", "error")
    with pytest.raises(FallbackError, match="toy"):
        primitive(array)
