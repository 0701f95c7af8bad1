"""A convolutional network that reads handwritten digits."""

from __future__ import annotations

from .. import nn
from .images import digits_demo

__all__ = ["DEMO", "build"]


def build() -> nn.Sequential:
    """LeNet's form: two convolutions with pooling, two dense layers; 80,202 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(512, 128),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(128, 10),
    )


DEMO = digits_demo("cnn", build, epochs=25, lr=4e-3, batch_size=64)
