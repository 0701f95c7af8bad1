"""linear_scan for CuPy, in the emulator: against a loop in float64, its bits, its plans, and what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import linear_scan
from xpnn.cuda.linear_scan import chunk_length, plans
from xpnn.gradients import vjp
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
# The largest error relative to the largest element: half a unit in the last place, of what is stored and of the states kept.
ROUNDING = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def draw(dtype: str, *shape: int, started: bool = True) -> tuple[Any, ...]:
    """a between -1 and 1, b, h0 and g."""
    rng = np.random.default_rng(shape)
    a = rng.uniform(-1, 1, shape)
    b, h0, g = (rng.normal(size=s) for s in (shape, shape[1:], shape))
    a, b, h0, g = (np.asarray(x, DTYPES[dtype]) for x in (a, b, h0, g))
    return a, b, h0 if started else None, g


def both(a: Any, b: Any, h0: Any, g: Any, reverse: bool = False) -> list[Any]:
    """h and the gradients, by the form for CuPy."""
    assert linear_scan.refusal(a, b, h0, reverse=reverse) is None
    need = (True, True, h0 is not None)
    h, residuals = linear_scan.forward(a, b, h0, reverse=reverse, need=need)
    return [x for x in (h, *linear_scan.backward(residuals, g, need)) if x is not None]


def exact(a: Any, b: Any, h0: Any, g: Any, reverse: bool = False) -> list[Any]:
    """The same by the reference in float64."""
    a, b, h0, g = (None if x is None else np.asarray(x, np.float64) for x in (a, b, h0, g))
    xs = [x for x in (a, b, h0) if x is not None]
    h, pullback = vjp(lambda *xs: ops.linear_scan.reference(*xs, reverse=reverse), *xs)
    return [h, *pullback(g)]


def assert_near(found: list[Any], expected: list[Any], dtype: str) -> None:
    for ours, wanted in zip(found, expected, strict=True):
        assert ours.dtype == DTYPES[dtype] and ours.shape == wanted.shape
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        np.testing.assert_allclose(ours.astype(np.float64), wanted, rtol=0, atol=ROUNDING[dtype] * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 8, 13, 264])
def test_values_and_gradients_of_the_reference_in_float64(emulator: Emulator, dtype: str, columns: int) -> None:
    """One step, one below and above what a thread and a tile take, more than a tile."""
    for times in (1, 3, 4, 5, 31, 32, 33, 130) if columns < 200 else (1, 34):
        reverse = times % 2 == 0
        arrays = draw(dtype, times, columns, started=times != 5)
        assert_near(both(*arrays, reverse), exact(*arrays, reverse), dtype)


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    own = Primitive(ops.linear_scan.reference, name="linear_scan")
    own.add("numpy", linear_scan)
    cases: list[Any] = []
    for shape in [(1,), (7,), (5, 3), (6, 2, 4), (0, 3), (4, 0)]:
        for reverse in (False, True):
            cases.append((draw("float32", *shape)[:3], {"reverse": reverse}))
            cases.append((draw("float32", *shape, started=False)[:3], {"reverse": reverse}))
    a, b, h0, _ = draw("float32", 12, 10)
    cases.append(((a.T[:5], b[:5, ::-1][:, :9].repeat(2, 1)[:, :12], h0.repeat(2)[:12]), {}))
    assert check_primitive(own, cases) == 25


@pytest.mark.parametrize("reverse", [False, True])
def test_chunks_of_time_are_joined(monkeypatch: pytest.MonkeyPatch, reverse: bool) -> None:
    """Two launches for long sequences, the same under every schedule; the last chunk is shorter than the others."""
    with emulating(monkeypatch, SCHEDULES) as emulator:
        for dtype, columns in (("float32", 3), ("float16", 8)):
            emulator.launched.clear()
            arrays = draw(dtype, 1541, columns)
            assert_near(both(*arrays, reverse), exact(*arrays, reverse), dtype)
            assert [plan.grid for plan in emulator.launched] == [(1, 2, 1), (1, 3, 1)] * 2
            assert 1541 % chunk_length(dtype, 1541, columns)


@pytest.mark.parametrize("dtype", DTYPES)
def test_alignment_and_the_shape_of_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    times, columns = 41, 24
    arrays = draw(dtype, times, columns)
    with emulating(monkeypatch, SCHEDULES[:2]) as emulator:
        whole = both(*arrays)
        shifted = []
        for x in arrays:
            room = np.zeros(x.size + 1, x.dtype)
            room[1:] = x.reshape(-1)
            shifted.append(room[1:].reshape(x.shape))
        for ours, same in zip(both(*shifted), whole, strict=True):
            assert ours.tobytes() == same.tobytes()
        monkeypatch.setattr(linear_scan, "_MOST_PARTS", 2)
        monkeypatch.setattr(linear_scan, "plans", plans.__wrapped__)
        for ours, same in zip(both(*arrays), whole, strict=True):
            assert ours.tobytes() == same.tobytes()
    vectors = {plan.entry.rpartition(", ")[2] for plan in emulator.launched}
    assert vectors == {"1>", "4>" if dtype == "float32" else "8>"}
    assert {plan.block[1] for plan in emulator.launched} == {16, 2}


def test_gradients_that_are_not_wanted_are_not_made(emulator: Emulator) -> None:
    a, b, h0, g = draw("float32", 9, 5)
    expected = both(a, b, h0, g)[1:]
    _, residuals = linear_scan.forward(a, b, h0, need=(True, True, True))
    for need in itertools.product((False, True), repeat=3):
        for found, whole, wanted in zip(linear_scan.backward(residuals, g, need), expected, need, strict=True):
            assert found.tobytes() == whole.tobytes() if wanted else found is None
    assert linear_scan.forward(a, b, h0, need=(False, False, False))[1] is None


def test_special_values(emulator: Emulator) -> None:
    """nan and inf pass on as they do step by step; the last factor does not reach the gradients of what comes after."""
    a, b = np.full((9, 4), 0.5, np.float32), np.ones((9, 4), np.float32)
    a[2, 0], b[2, 1], a[3, 2], a[8, 3] = np.nan, np.inf, np.inf, np.inf
    with np.errstate(invalid="ignore"):
        for ours, wanted in zip(both(a, b, None, b), exact(a, b, None, b), strict=True):
            np.testing.assert_allclose(ours, wanted, rtol=1e-6)


def test_a_product_that_overflows_leaves_a_state_at_rest_alone(emulator: Emulator) -> None:
    a, b = np.full((1100, 1), 1e30, np.float32), np.zeros((1100, 1), np.float32)
    b[-1] = 2
    np.testing.assert_array_equal(linear_scan.forward(a, b, None, need=(False,) * 3)[0], b)
    assert len(emulator.launched) == 2


def test_an_empty_array_launches_nothing(emulator: Emulator) -> None:
    h, da, db, dh0 = both(*draw("float32", 0, 3))
    assert h.shape == da.shape == db.shape == (0, 3) and np.array_equal(dh0, np.zeros(3))
    assert [x.shape for x in both(*draw("float32", 3, 0))] == [(3, 0), (3, 0), (3, 0), (0,)]
    assert emulator.launched == []


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ((np.ones(3), np.ones(3), None), "dtype float64"),
        ((np.ones(3, np.float32), np.ones(3, np.float16), None), "dtypes float32 and float16"),
        ((np.ones((), np.float32), np.ones((), np.float32), None), "shapes"),
        ((np.ones((3, 2), np.float32), np.ones((3, 1), np.float32), None), "shapes"),
        ((np.ones((3, 2), np.float32), np.ones((3, 2), np.float32), np.ones(3, np.float32)), "shapes"),
    ],
)
def test_it_says_what_it_does_not_take(arrays: Any, reason: str) -> None:
    assert linear_scan.refusal(*arrays) == reason


def test_ops_linear_scan_has_it_for_cupy() -> None:
    assert ops.linear_scan.implementations["cupy"] == [linear_scan]


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    (forward,) = plans("float16", 100, 64, backward=False, aligned=True)
    assert forward.bytes == (3 * 100 + 1) * 64 * 2
    (backward,) = plans("float32", 100, 64, backward=True, aligned=False)
    assert backward.bytes == (5 * 100 + 2) * 64 * 4
    first, last = plans("float32", 1024, 64, backward=False, aligned=True)
    assert first.bytes == (2 * 512 + 2) * 64 * 4 and last.bytes == (3 * 1024 + 1 + 2) * 64 * 4


def test_every_size_has_a_plan_in_the_table() -> None:
    listed = {plan.entry for plan in linear_scan.instantiations()}
    assert len(listed) == 12
    sizes = itertools.product((1, 5, 1000, 2**20, 2**31), (1, 7, 64, 4096, 10**6, 2**32))
    for (times, columns), dtype, backward in itertools.product(sizes, DTYPES, (False, True)):
        for aligned in (False, True):
            own = plans(dtype, times, columns, backward=backward, aligned=aligned)
            assert len(own) <= 2
            for plan in own:
                assert plan.entry in listed
                assert plan.block[0] * plan.block[1] <= 256 and plan.block[1] <= 32 and plan.grid[1] <= 64
        assert chunk_length(dtype, times, columns) % 4 == 0
