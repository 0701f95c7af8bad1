"""Networks and layers as cases: inference, and a training step with Adam, at several numbers of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import losses, optim
from ..backend import backend, to_numpy
from ..gradients import value_and_grad
from ..nn.dropout import Dropout
from ..nn.module import Module
from .case import Job, agree
from .devices import Device
from .peers import Peer, Running, Task

__all__ = ["Network"]

_LR = 1e-3
_STEPS = 3  # of training, whose losses must agree: the gradients and the optimiser are in the second and third


@dataclass(frozen=True)
class Network:
    """A network or a layer, and made-up data for it.

    data(rng, N): (inputs, target), NumPy arrays with N rows. loss: the name of a function in xpnn.losses. flops: of the
    forward pass of a row. layer: as which layer of torch.nn, with which arguments, a peer builds it.
    Dropout is left out, since every library draws another mask.
    """

    name: str
    build: Callable[[], Module]
    data: Callable[[np.random.Generator, int], tuple[tuple[Any, ...], Any]]
    loss: str
    flops: float = 0.0
    layer: tuple[str, tuple[Any, ...], Mapping[str, Any]] | None = None
    tolerance: float = 1e-3

    def jobs(self, device: Device, peers: Iterable[Peer] = (), *, rows: int) -> list[Job]:
        """ "forward" and "step" with a number of rows; DisagreementError if a peer computes something else."""
        ours, task = self.prepared(device, rows)
        theirs = {peer: found for peer in peers if (found := peer.network(task, device)) is not None}
        self._compare(ours, theirs)
        moved = sum(x.nbytes for x in (*task.weights.values(), *task.inputs))
        return [
            Job(
                f"{self.name} N={rows}",
                mode,
                own,
                {peer.name: call for peer, found in theirs.items() if (call := getattr(found, mode)) is not None},
                self.flops * rows * factor,
                moved * factor,
                rows,
            )
            for mode, own, factor in (("forward", ours.forward, 1), ("step", ours.step, 3))
            if own is not None
        ]

    def prepared(self, device: Device, rows: int) -> tuple[Running, Task]:
        """Ours, ready to run, and what a peer needs to do the same."""
        inputs, target = self.data(np.random.default_rng(0), rows)
        with backend(device.name):
            evaluated, trained = (_without_dropout(self.build()) for _ in range(2))
            weights = {name: to_numpy(x) for name, x in evaluated.state_dict().items()}
            trained.load_state_dict(weights)
        ours = self._running(evaluated.eval(), trained, tuple(map(device.asarray, inputs)), device.asarray(target))
        return ours, Task(self.name, self.layer, weights, inputs, target, self.loss, _LR)

    def _running(self, evaluated: Module, trained: Module, inputs: tuple[Any, ...], target: Any) -> Running:
        loss = getattr(losses, self.loss)
        optimizer = optim.Adam(trained, lr=_LR)
        differentiated = value_and_grad(lambda model: loss(_first(model(*inputs)), target))

        def step() -> Any:
            value, gradients = differentiated(trained)
            optimizer.step(gradients)
            return value

        return Running(lambda: _first(evaluated(*inputs)), step)

    def _compare(self, ours: Running, theirs: Mapping[Peer, Running]) -> None:
        """Outputs, and the losses of a few steps."""
        assert ours.forward is not None
        assert ours.step is not None
        output = to_numpy(ours.forward())
        own = np.asarray([to_numpy(ours.step()) for _ in range(_STEPS)]) if theirs else None
        for peer, running in theirs.items():
            if running.forward is not None:
                agree(f"{self.name}: output", output, peer.to_numpy(running.forward()), self.tolerance, peer.name)
            if running.step is not None:
                found = np.asarray([peer.to_numpy(running.step()) for _ in range(_STEPS)])
                tolerance = max(self.tolerance, running.tolerance)
                agree(f"{self.name}: loss of {_STEPS} steps", own, found, tolerance, peer.name)


def _first(y: Any) -> Any:
    """The output of a layer that also gives states."""
    return y[0] if isinstance(y, tuple) else y


def _without_dropout(model: Module) -> Module:
    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = 0.0
    return model
