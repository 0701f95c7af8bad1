"""A deep network of dense layers that reads handwritten digits."""

from __future__ import annotations

from .. import nn
from .images import digits_demo

__all__ = ["DEMO", "build"]


def build() -> nn.Sequential:
    """Two hidden layers of 256: 269,322 parameters."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 10),
    )


DEMO = digits_demo("dnn", build, epochs=40, lr=3e-3, batch_size=64)
