"""How the classifying networks are trained and measured: one recipe each, one linear model as the baseline of all."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import losses, metrics, nn, optim, random, tree
from ..backend import asarray
from ..nn.module import Module
from ..train import evaluate, fit
from .datasets import Split
from .demo import Learned, Settings

__all__ = ["Recipe", "learn", "linear_accuracy", "on_device"]

ACCURACY = {"accuracy": metrics.accuracy}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; found by cross-validation inside the training part."""

    epochs: int
    lr: float
    batch_size: int
    augment: Callable[[Any], Any]
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    max_grad_norm: float | None = None


def learn(name: str, build: Callable[[], Module], split: Split, recipe: Recipe, settings: Settings) -> Learned:
    """Trains a network on the training part and measures its accuracy on the test part, once, at the end."""
    start = time.perf_counter()
    random.seed(settings.seed)
    model = build()
    epochs = max(1, recipe.epochs // 20) if settings.quick else recipe.epochs
    optimizer = optim.AdamW(model, lr=recipe.lr, weight_decay=recipe.weight_decay)
    history = fit(
        model,
        split.train,
        loss=functools.partial(losses.cross_entropy, label_smoothing=recipe.label_smoothing),
        optimizer=optimizer,
        schedule=optim.OneCycleLR(
            optimizer,
            recipe.lr,
            epochs * -(-len(split.train[1]) // recipe.batch_size),
            pct_start=0.1,
            cycle_momentum=False,
        ),
        epochs=epochs,
        batch_size=recipe.batch_size,
        max_grad_norm=recipe.max_grad_norm,
        augment=recipe.augment,
        validation=split.validation,
        metrics=ACCURACY,
        progress=settings.progress and name,
    )
    result = evaluate(model, split.test, ACCURACY)["accuracy"]
    return Learned(model, history, result, time.perf_counter() - start)


def linear_accuracy(train: tuple[Any, Any], test: tuple[Any, Any]) -> float:
    """The test accuracy of softmax regression on rows of features (N, F): what a network has to beat."""
    random.seed(0)
    model = nn.Linear(train[0].shape[1], int(train[1].max()) + 1)
    optimizer = optim.Adam(model, lr=3e-3)
    fit(model, train, loss=losses.cross_entropy, optimizer=optimizer, epochs=30, batch_size=64, progress=False)
    return evaluate(model, test, ACCURACY)["accuracy"]


def on_device(split: Split) -> Split:
    """The split as arrays of the current backend."""
    return Split(*tree.map(asarray, (split.train, split.validation, split.test)))
