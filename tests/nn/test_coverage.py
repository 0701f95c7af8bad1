"""Every layer has cases and every option of a constructor is set by one; docs/layers.md says what there is."""

from __future__ import annotations

import inspect

import pytest

from xpnn import nn
from xpnn.testing.primitive import TOLERANCE

from .coverage import EVERYWHERE, LEFT_OUT, PAGE, WITHOUT_CASES, by_kind, covered, has_both_modes, options, read, rows
from .layer_cases import ROUNDED_BY_TORCH, Case

LAYERS = sorted(name for name, x in vars(nn).items() if isinstance(x, type) and issubclass(x, nn.Module))


@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind not in WITHOUT_CASES])
def test_every_option_has_a_case(kind: str) -> None:
    assert kind in by_kind(), f"{kind} has no case in tests/nn/layer_cases"
    assert covered(by_kind()[kind]) == options(kind)


def test_what_is_left_out_is_there_and_has_a_reason() -> None:
    assert set(WITHOUT_CASES) <= set(LAYERS)
    assert not set(WITHOUT_CASES) & set(by_kind())
    assert set(by_kind()) <= set(LAYERS)
    for kind, option in LEFT_OUT:
        assert option in inspect.signature(getattr(nn, kind)).parameters
    taken = {option for kind in LAYERS for option in inspect.signature(getattr(nn, kind)).parameters}
    assert set(EVERYWHERE) <= taken
    assert all([*LEFT_OUT.values(), *WITHOUT_CASES.values(), *EVERYWHERE.values()])


def _asks_for_the_mode(kind: str) -> bool:
    """Whether the layer, or a part of it that it makes, does something else in training."""
    sources = "".join(inspect.getsource(c) for c in getattr(nn, kind).__mro__ if c not in (nn.Module, object))
    return "self.training" in sources or "dropout" in inspect.signature(getattr(nn, kind)).parameters


@pytest.mark.parametrize("kind", [kind for kind in by_kind() if _asks_for_the_mode(kind)])
def test_layers_that_know_two_modes_have_cases_in_both(kind: str) -> None:
    assert has_both_modes(by_kind()[kind])


def test_modes_are_asked_for_by_dropouts_norms_and_sequences() -> None:
    asking = {kind for kind in by_kind() if _asks_for_the_mode(kind)}
    assert asking >= {"Dropout", "RReLU", "BatchNorm2d", "InstanceNorm1d", "LSTM", "MultiheadAttention", "Transformer"}
    assert not asking & {"Linear", "Conv2d", "LSTMCell", "CrossEntropyLoss"}


def test_the_page_says_what_there_is() -> None:
    """Errors differ between machines; the page's are within what the tests allow."""
    lines = read(PAGE.read_text(encoding="utf-8"))
    assert [row for row, _, _ in lines] == rows(), "python -m tests.nn.coverage writes it anew"
    for row, wide, short in lines:
        assert wide <= ROUNDED_BY_TORCH.get(row.kind, (TOLERANCE["float64"][0],))[0], row.kind
        assert short <= TOLERANCE["float32"][0], row.kind


def test_a_default_given_by_name_covers_nothing() -> None:
    cases = [Case("Linear", (6, 3), {"bias": True}), Case("Softmax", (), {"dim": -1})]
    assert [covered([case]) for case in cases] == [["in_features", "out_features"], []]
    assert covered([Case("AvgPool2d", (2,), {"stride": 1})]) == ["kernel_size", "stride"]
