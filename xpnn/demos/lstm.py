"""An LSTM that tells nine speakers apart by one vowel, from sequences of different lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import nn
from ..backend import to_numpy
from ..namespace import namespace
from ..train import predict
from .augment import cropped, noisy
from .classify import Recipe, learn, linear_accuracy, on_device
from .datasets import vowels
from .demo import Demo, Outcome, Settings
from .plots import confusion

__all__ = ["DEMO", "Speakers"]


class Speakers(nn.Module):
    """x (N, T, 12), lengths (N,) -> logits (N, 9), from the state at each row's own end."""

    def __init__(self) -> None:
        self.lstm = nn.LSTM(12, 64, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(64, 9)

    def forward(self, x: Any, lengths: Any) -> Any:
        _, (h, _) = self.lstm(x, lengths=lengths)
        return self.output(self.dropout(h[0, ...]))


def _augment(inputs: tuple[Any, Any]) -> tuple[Any, Any]:
    x, lengths = cropped(*inputs, 0.6)
    return noisy(x, 0.3, 0.3), lengths


def _run(settings: Settings) -> Outcome:
    split = on_device(vowels())
    recipe = Recipe(epochs=120, lr=5e-3, batch_size=32, augment=_augment, max_grad_norm=1.0)
    learned = learn("lstm", Speakers, split, recipe, settings)
    baseline = linear_accuracy(*((_means(*inputs), labels) for inputs, labels in (split.train, split.test)))
    inputs, truth = split.test

    def draw(path: Path) -> None:
        predicted = to_numpy(predict(learned.model, inputs)).argmax(axis=1)
        title = f"lstm: {learned.result:.1%} of {len(truth)} utterances to the right speaker"
        confusion(predicted, to_numpy(truth), [str(i + 1) for i in range(9)], path, title=title)

    return Outcome(learned, baseline, draw)


def _means(x: Any, lengths: Any) -> Any:
    """The mean of the steps of each row: x (N, T, C), zeros behind the end -> (N, C)."""
    xp = namespace(x)
    return xp.sum(x, axis=1) / xp.astype(lengths, x.dtype)[:, None]


DEMO = Demo("lstm", "Japanese Vowels", "accuracy", "softmax regression on means", ("sktime",), _run)
