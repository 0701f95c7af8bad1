"""lstm, gru and rnn for CuPy, a launch a step, in the emulator: against the reference and float64, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.cuda.recurrent_before import plan
from xpnn.cuda.recurrent_kernels import GRU, LSTM, RNN
from xpnn.cuda.recurrent_step import backward_plan, forward_plan, instantiations
from xpnn.testing import check_primitive

from .emulated import Emulator
from .recurrent_layers import DTYPES, LAYERS, STATES, assert_near_float64, case, layers, primitive, run, wants

STEPS = {**DTYPES, "float64": np.float64}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with layers(monkeypatch, "steps") as found:
        yield found


def cases(name: str) -> Iterator[tuple[Any, Any]]:
    """Shapes with an axis of no or one element, lengths in any order and kind, absent arrays, strided ones."""
    for shape in [(1, 1, 1, 1), (2, 5, 4, 1), (3, 0, 2, 2), (0, 2, 3, 2), (4, 2, 0, 3), (1, 9, 3, 65)]:
        yield case(name, shape, reverse=shape[0] % 2 == 0)
    for reverse in (False, True):
        yield case(name, (5, 3, 2, 4), (2, 5, 3), reverse=reverse)
        yield case(name, (3, 3, 2, 5), (0, 1, 0), reverse=reverse, missing="states")
        yield case(name, (0, 2, 3, 2), (0, 0), reverse=reverse, missing="states b_hh")
    yield case(name, (2, 3, 2, 4), np.array([1, 2, 0], np.uint8), missing="b_ih")
    yield case(name, (2, 2, 3, 17), missing="b_ih b_hh")
    (x, *rest), options = case(name, (3, 5, 2, 4))
    states, weights = rest[: STATES[name]], rest[STATES[name] : -2]
    yield (x.swapaxes(0, 1), *(h[:3] for h in states), *(w[::-1] for w in weights), None), options
    for reverse in (False, True):
        yield case(name, (5, 3, 2, 4), (2, 5, 3), reverse=reverse, reset=1)
        yield case(name, (4, 3, 2, 5), reverse=reverse, reset=2, missing="states b_hh")
    yield case(name, (0, 2, 3, 2), reset=0)


@pytest.mark.parametrize("name", LAYERS)
def test_it_agrees_with_the_reference(emulator: Emulator, name: str) -> None:
    assert check_primitive(primitive(name), cases(name)) == 20
    entries = {found.entry.partition("<")[0] for found in emulator.launched}
    assert entries - {"bias_activation_backward"} == {"recurrent_step_forward", "recurrent_step_backward"}


def test_relu(emulator: Emulator) -> None:
    found = [case("rnn", (3, 2, 3, 5), lengths, nonlinearity="relu") for lengths in (None, (1, 3))]
    assert check_primitive(primitive("rnn"), found) == 2


def test_a_gru_with_the_reset_gate_before_agrees_with_the_reference(emulator: Emulator) -> None:
    given = [(arrays, {**options, "reset_after": False}) for arrays, options in cases("gru")]
    assert check_primitive(primitive("gru"), given) == 20
    own = {found.entry for found in emulator.launched if found.file != "bias_activation.cu"}
    assert own == {"recurrent_step_forward<float>", "recurrent_step_backward<float>"}


@pytest.mark.parametrize("dtype", STEPS)
def test_a_gru_with_the_reset_gate_before_is_near_float64(emulator: Emulator, dtype: str) -> None:
    kind = STEPS[dtype]
    assert_near_float64("gru", *case("gru", (4, 3, 5, 33), (4, 0, 2), dtype=kind, reset_after=False))
    assert_near_float64("gru", *case("gru", (4, 3, 2, 5), dtype=kind, reset=3, reverse=True, reset_after=False))


def test_a_gru_with_the_reset_gate_before_launches_twice_a_step(emulator: Emulator) -> None:
    given, options = case("gru", (5, 2, 3, 4), missing="b_ih b_hh", reset_after=False)
    run("gru", given, options)
    launched = [found.entry.partition("<")[0] for found in emulator.launched]
    assert (
        launched == ["recurrent_step_forward"] * 10 + ["recurrent_step_backward"] * 22
    )  # the pullback is called twice


@pytest.mark.parametrize("dtype", STEPS)
@pytest.mark.parametrize("name", LAYERS)
def test_it_is_near_float64(emulator: Emulator, name: str, dtype: str) -> None:
    assert_near_float64(name, *case(name, (4, 3, 5, 33), (4, 0, 2), dtype=STEPS[dtype]))
    assert_near_float64(name, *case(name, (2, 2, 3, 16), dtype=STEPS[dtype], reverse=True))
    assert_near_float64(name, *case(name, (4, 3, 2, 5), (4, 1, 3), dtype=STEPS[dtype], reset=3))


@pytest.mark.parametrize("name", LAYERS)
def test_a_launch_a_step_and_one_to_hand_on_the_last_gradients(emulator: Emulator, name: str) -> None:
    layer, (given, _) = LAYERS[name], case(name, (5, 2, 3, 4), missing="b_ih b_hh")
    need = wants(given)
    out, residuals = layer.forward(*given, need=need)
    layer.backward(residuals, (*out[:1], *(None for _ in out[1:])), need)
    assert [found.entry.partition("_")[2][:12] for found in emulator.launched] == ["step_forward"] * 5 + [
        "step_backwar"
    ] * 6


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_not_wanted_is_not_computed(emulator: Emulator, name: str) -> None:
    layer, (given, _) = LAYERS[name], case(name, (2, 2, 3, 4))
    need = (True, *(False for _ in given[1:]))
    out, residuals = layer.forward(*given, need=need)
    gradients = layer.backward(residuals, out, need)
    assert gradients[0].shape == given[0].shape and not any(g is not None for g in gradients[1:])
    assert layer.forward(*given, need=(False,) * len(given))[1] is None


@pytest.mark.parametrize("name", LAYERS)
def test_nan_stays_in_its_row(emulator: Emulator, name: str) -> None:
    given, options = case(name, (3, 3, 2, 4), (3, 2, 1))
    given[0][1, 0] = np.nan  # reaches h of row 0 from time 1 on
    given[0][2, 1] = np.nan  # beyond the end of row 1
    (y, *last), (dx, *_) = run(name, given, options)
    assert np.isnan(y[1:, 0]).all() and all(np.isnan(s[0]).all() for s in last)
    assert np.isfinite(y[0]).all() and np.isfinite(y[:, 1:]).all() and all(np.isfinite(s[1:]).all() for s in last)
    assert np.isfinite(dx[:, 1:]).all() and not dx[2, 1].any()


@pytest.mark.parametrize("name", LAYERS)
def test_it_says_what_it_does_not_take(name: str) -> None:
    layer, (given, _) = LAYERS[name], case(name, (2, 3, 2, 4), (1, 2, 0))
    assert layer.refusal(*given) is None

    def changed(place: int, x: Any) -> Any:
        return layer.refusal(*given[:place], x, *given[place + 1 :])

    weights = 1 + STATES[name]
    assert changed(0, given[0].astype(np.float64)) == "dtype float64"
    assert changed(0, given[0].astype(np.complex64)) == "dtype complex64"
    assert changed(1, given[1].astype(np.float16)) == "dtypes float32 and float16"
    assert changed(0, given[0][0]) == "shapes"
    assert changed(1, given[1][:1]) == "shapes"
    assert changed(weights, given[weights][:, :1]) == "shapes"
    assert changed(weights + 2, given[weights + 2][1:]) == "shapes"
    assert changed(len(given) - 2, np.ones(3)) == "lengths"
    assert changed(len(given) - 2, np.ones(2, int)) == "lengths"
    assert changed(len(given) - 1, np.ones((3, 2), bool)) == "reset"
    assert changed(len(given) - 1, np.ones((2, 3))) == "reset"


def test_what_only_the_reference_does() -> None:
    lstm, _ = case("lstm", (2, 3, 2, 4), dtype=DTYPES["bfloat16"])
    assert LAYERS["lstm"].refusal(*lstm, np.ones((2, 4), DTYPES["bfloat16"])) == "a projection in bfloat16"
    lstm, _ = case("lstm", (2, 3, 2, 4))
    assert LAYERS["lstm"].refusal(*lstm, np.ones((2, 4), np.float32)) == "shapes"


def test_rnn_refuses_other_nonlinearities() -> None:
    assert LAYERS["rnn"].refusal(*case("rnn", (2, 3, 2, 4))[0], nonlinearity="gelu") == "nonlinearity gelu"


@pytest.mark.parametrize("name", LAYERS)
def test_ops_have_them_for_cupy(name: str) -> None:
    assert getattr(ops, name).implementations["cupy"] == [LAYERS[name]]


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """Of a unit of a row. Forward: gates in and out, product, h in and out, c in and out; GRU also its candidate."""
    assert forward_plan(LSTM, "float16", 3, 5, keep=True).bytes == 15 * (2 * (4 + 4 + 4 + 2) + 8)
    assert forward_plan(LSTM, "float16", 3, 5, keep=False).bytes == 15 * (2 * (4 + 4 + 2) + 8)
    assert forward_plan(GRU, "float32", 3, 5, keep=True).bytes == 15 * 4 * (3 + 3 + 1 + 3 + 2)
    assert forward_plan(RNN, "float32", 3, 5, keep=True).bytes == 15 * 4 * (1 + 1 + 2)
    # Gates and their gradients, c twice, its gradient and what h keeps in and out, dy and the product; GRU's h before, RNN's h.
    assert backward_plan(LSTM, "float32", 3, 5).bytes == 15 * 4 * (4 + 4 + 2 + 4 + 2)
    assert backward_plan(GRU, "float32", 3, 5).bytes == 15 * 4 * (4 + 6 + 1 + 2 + 2)
    assert forward_plan(LSTM, "float64", 3, 5, keep=True).bytes == 15 * 8 * (4 + 4 + 4 + 2 + 2)
    assert backward_plan(LSTM, "float64", 3, 5).bytes == 15 * 8 * (4 + 4 + 2 + 4 + 2)
    parts = [plan(part, way, "float16", 3, 5).bytes for way in ("forward", "backward") for part in (3, 4)]
    assert parts == [15 * 16, 15 * 12, 15 * (8 + 8), 15 * (14 + 8)]
    assert backward_plan(RNN, "float32", 3, 5).bytes == 15 * 4 * (1 + 1 + 2 + 2)


def test_every_plan_is_an_instantiation() -> None:
    listed = {found.entry for found in instantiations()}
    assert len(listed) == 8
    for cell in (LSTM, GRU, RNN):
        for dtype in STEPS:
            assert forward_plan(cell, dtype, 2**20, 1000, keep=False).entry in listed
            assert backward_plan(cell, dtype, 1, 1).entry in listed


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("reverse", [False, True])
def test_nothing_passes_a_reset(emulator: Emulator, name: str, reverse: bool) -> None:
    """Not even nan, nor a gradient: neither from a step to the next one nor back."""
    given, options = case(name, (4, 3, 2, 4), reverse=reverse)
    reset = np.zeros((4, 3), bool)
    reset[1 if reverse else 2] = True
    first, last = (slice(2, 4), slice(0, 2)) if reverse else (slice(0, 2), slice(2, 4))
    given[0][first] = np.nan
    (y, *states), (_, *gradients) = run(name, (*given[:-1], reset), options)
    assert np.isnan(y[first]).all() and np.isfinite(y[last]).all() and all(np.isfinite(s).all() for s in states)
    given[0][first] = 0.5
    arrays = (*given[:-1], reset)
    layer, need = LAYERS[name], wants(arrays)
    outputs, residuals = layer.forward(*arrays, need=need, **options)
    dy = np.zeros_like(outputs[0])
    dy[last] = 1
    dx, *gradients = layer.backward(residuals, (dy, *(np.ones_like(s) for s in outputs[1:])), need)
    assert not dx[first].any() and dx[last].any() and not any(d.any() for d in gradients[: STATES[name]])
