"""model.summary: what the table says, and that the model does not notice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn


class Encoder(nn.Module):
    """Modules in a list, tied weights, a buffer, several inputs."""

    def __init__(self) -> None:
        self.blocks = [nn.Linear(4, 4), nn.Linear(4, 4)]
        self.blocks[1].weight = self.blocks[0].weight
        self.scale = np.ones(3, np.float32)
        self.calls = nn.Buffer(np.array(0))

    def forward(self, x: Any, y: Any) -> Any:
        self.calls.update(self.calls.value + 1)
        for block in self.blocks:
            x = block(x)
        return x, {"y": y * self.scale}


def test_a_network() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(4 * 16, 300)), abs
    )
    table = model.summary((2, 1, 6, 6))
    assert repr(table).splitlines() == [
        "layer            output        parameters",
        "-----------------------------------------",
        "Sequential       (2, 300)",
        "  0 Conv2d       (2, 4, 4, 4)          40",
        "  1 BatchNorm2d  (2, 4, 4, 4)           8",
        "  2 ReLU         (2, 4, 4, 4)",
        "  3 Sequential   (2, 300)",
        "    0 Flatten    (2, 64)",
        "    1 Linear     (2, 300)          19,500",
        "-----------------------------------------",
        "19,548 parameters; 76.4 KiB with buffers",
    ]
    assert isinstance(table, str)


def test_lists_ties_several_arguments_and_results() -> None:
    model = Encoder()
    before = xpnn.random.get_state()
    lines = model.summary((2, 4), np.ones((2, 3), np.float32)).splitlines()
    assert lines[2].split("  ")[0] == "Encoder" and "(2, 4), (2, 3)" in lines[2] and lines[2].endswith("3")
    assert lines[3].startswith("  blocks.0 Linear  (2, 4)") and lines[3].endswith("20")
    assert lines[4].startswith("  blocks.1 Linear") and lines[4].endswith(" 4")  # the weight was counted above
    assert lines[-1] == "27 parameters; 116 bytes with buffers"
    assert model.calls.value == 0 and type(model) is Encoder and model.training and model.blocks[0].training
    assert xpnn.random.get_state() == before


def test_integers_are_given_themselves() -> None:
    model = nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 5))
    text = model.summary(np.zeros((3, 2), np.int64))
    assert "0 Embedding  (3, 2, 4)" in text and "1 LSTM       (3, 2, 5), (1, 2, 5), (1, 2, 5)" in text


def test_dtype_and_training_flags() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).astype("float64")
    model[1].eval()
    assert "(4, 2)" in model.summary((4, 3))
    assert model.training and not model[1].training
    assert "1.0 MiB" in nn.Linear(512, 512, bias=False).summary([1, 512])


def test_the_forward_is_one_in_evaluation_and_draws_no_numbers_of_the_stream() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Any) -> Any:
            xpnn.random.next_key()
            return x if self.training else x[0, ...]

    before = xpnn.random.get_state()
    assert "Noisy  (3,)" in Noisy().summary((2, 3))
    assert xpnn.random.get_state() == before


@pytest.mark.parametrize("wrong", ["text", (1.5,), 3])
def test_what_is_no_shape(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"inputs: expected shapes like \(1, 28, 28\), or arrays, got"):
        nn.Linear(2, 2).summary(wrong)
    with pytest.raises(ValueError, match="inputs: expected the shape of each argument"):
        nn.Linear(2, 2).summary()
    with pytest.raises(ValueError, match="in_features"):
        nn.Linear(2, 2).summary((1, 3))
