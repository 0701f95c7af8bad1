"""The libraries that xpnn is measured against; each is imported when it is asked for, and none is needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...errors import MissingExtraError

__all__ = ["NAMES", "Peer", "Running", "Task", "load", "split"]

NAMES = ("torch", "jax", "sklearn", "thinc", "plain")


@dataclass(frozen=True)
class Task:
    """A network to train, as plain values: what a peer needs to build the same one.

    layer: name and arguments of a layer of torch.nn, None for a network. weights: its parameters under torch's names.
    inputs, target: NumPy arrays. loss: the name of a loss in torch.nn.functional. The optimiser is Adam.
    """

    name: str
    layer: tuple[str, tuple[Any, ...], Mapping[str, Any]] | None
    weights: Mapping[str, Any]
    inputs: tuple[Any, ...]
    target: Any
    loss: str
    lr: float


@dataclass(frozen=True)
class Running:
    """A network at work: ``forward()`` gives its output, ``step()`` trains it once and gives the loss of before.

    None for what a peer cannot do. tolerance: of the losses, where its optimiser is not quite ours.
    """

    forward: Callable[[], Any] | None
    step: Callable[[], Any] | None
    tolerance: float = 0.0


class Peer(Protocol):
    """A library that does the same work. What it returns when called is finished, or ordered on the GPU's null stream."""

    name: str
    version: str

    def function(
        self, f: Callable[..., Any], arrays: Sequence[Any], places: Sequence[int], g: Any, device: Any
    ) -> dict[str, Callable[[], Any]]:
        """ "forward": y of a function written for this peer; "both", where it can: (y, gradients of arrays[places])."""

    def network(self, task: Task, device: Any) -> Running | None:
        """The network of a task, or None if this peer has none like it."""

    def to_numpy(self, x: Any) -> Any:
        """A result as a NumPy array."""


def load(name: str, device: str = "cpu") -> Peer:
    """The peer of a name, for a device; MissingExtraError with what to install, ValueError with what there is."""
    if name not in NAMES:
        raise ValueError(f"peer must be one of {', '.join(NAMES)}, got {name!r}")
    try:
        peer: Peer = importlib.import_module(f"xpnn.bench.peers.with_{name}").make(device)
    except ModuleNotFoundError as error:
        package = "scikit-learn" if name == "sklearn" else name
        raise MissingExtraError(f"{package} is not installed: pip install {package}", name=name) from error
    return peer


def split(arrays: Sequence[Any], places: Sequence[int]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """The arrays at some places, and a function that puts others there."""

    def put(xs: Sequence[Any]) -> list[Any]:
        given = dict(zip(places, xs, strict=True))
        return [given.get(i, a) for i, a in enumerate(arrays)]

    return [arrays[i] for i in places], put
