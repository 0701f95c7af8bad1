"""What a case is: a piece of work that xpnn and its peers do on the same arrays, and the jobs that are timed of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..gradients import vjp
from .devices import Device
from .peers import Peer

__all__ = ["Case", "DisagreementError", "Job", "agree", "normal"]

Call = Callable[[], Any]


class DisagreementError(AssertionError):
    """A peer's result is not ours: nothing is timed."""


@dataclass(frozen=True)
class Job:
    """One call to time, and the same work done by peers; flops and bytes are what it has to compute and to move at least."""

    case: str
    mode: str
    ours: Call
    peers: Mapping[str, Call]
    flops: float = 0.0
    bytes: float = 0.0
    size: int | None = None


@dataclass(frozen=True)
class Case:
    """A function of arrays, the same function of the arrays of peers, and the arrays to call them with.

    make(rng) gives the arrays, NumPy, None where an argument is absent; floating-point ones are differentiated. flops is
    the work of the forward pass, where it is worth a number; a backward pass takes about twice as much. torch: the function
    of torch tensors; peers: those for other peers, by name.
    """

    name: str
    make: Callable[[np.random.Generator], Sequence[Any]]
    run: Callable[..., Any]
    torch: Callable[..., Any] | None = None
    flops: float = 0.0
    tolerance: float = 1e-3
    peers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def jobs(self, device: Device, peers: Iterable[Peer] = ()) -> list[Job]:
        """The forward pass ("forward"), and with the gradients of all floating-point arguments ("both").

        Raises DisagreementError if a peer's results are not ours.
        """
        arrays = list(self.make(np.random.default_rng(0)))
        places = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]
        y = to_numpy(self.run(*arrays))
        g = _cotangent(y)
        ours = _ours(self, arrays, places, g, device)
        found = _flat(ours["both"]())
        functions = {**({"torch": self.torch} if self.torch else {}), **self.peers}
        theirs = {}
        for peer in peers:
            if peer.name in functions:
                theirs[peer.name] = calls = peer.function(functions[peer.name], arrays, places, g, device)
                given = calls["both"]() if "both" in calls else (calls["forward"](), ())
                self._compare(peer, found, [peer.to_numpy(x) for x in _flat(given)])
        moved = y.nbytes + sum(a.nbytes for a in arrays if a is not None)
        # Backward: reads the arguments and the cotangent again, writes a gradient for each differentiated argument.
        back = moved + g.nbytes + sum(arrays[i].nbytes for i in places)
        return [
            Job(
                self.name,
                mode,
                ours[mode],
                {name: calls[mode] for name, calls in theirs.items() if mode in calls},
                self.flops * factor,
                size,
            )
            for mode, factor, size in (("forward", 1, moved), ("both", 3, moved + back))
        ]

    def _compare(self, peer: Peer, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
        for i, (own, other) in enumerate(zip(ours, theirs, strict=False)):
            what = "output" if not i else f"gradient {i - 1}"
            agree(f"{self.name}: {what}", to_numpy(own), other, self.tolerance, peer.name)


def agree(what: str, own: Any, other: Any, tolerance: float, peer: str) -> None:
    """DisagreementError unless two NumPy arrays are the same up to a tolerance relative to the largest element."""
    if own.shape != other.shape:
        raise DisagreementError(f"{what} is of shape {own.shape}, that of {peer} of {other.shape}")
    size = max(float(np.max(np.abs(other), initial=0)), 1e-30)
    error = float(np.max(np.abs(own - other), initial=0)) / size
    if not error <= tolerance:
        raise DisagreementError(f"{what} is off by {error:.2g} of that of {peer}")


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Any:
    """Normal numbers in float32."""
    return rng.standard_normal(shape, np.float32) * np.float32(scale)


def _ours(case: Case, arrays: list[Any], places: list[int], g: Any, device: Device) -> dict[str, Call]:
    own = [None if a is None else device.asarray(a) for a in arrays]
    cotangent = device.asarray(g)

    def call(*xs: Any) -> Any:
        given = dict(zip(places, xs, strict=True))
        return case.run(*(given.get(i, a) for i, a in enumerate(own)))

    def both() -> Any:
        y, pullback = vjp(call, *(own[i] for i in places))
        return y, pullback(cotangent)

    return {"forward": lambda: case.run(*own), "both": both}


def _flat(result: tuple[Any, Any]) -> list[Any]:
    """(y, gradients) -> [y, gradient, …]."""
    y, gradients = result
    return [y, *gradients]


def _cotangent(y: Any) -> Any:
    """What the backward pass starts from; of a scalar 1."""
    return np.ones_like(y) if not y.shape else np.random.default_rng(1).standard_normal(y.shape, np.float32)
