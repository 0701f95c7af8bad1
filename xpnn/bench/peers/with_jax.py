"""JAX: everything behind one jit, and awaited; with as many threads as NumPy's BLAS, unless it was started before."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import BackendError
from ..machine import threads
from . import Peer, Running, Task, split

__all__ = ["make"]


def make(device: str) -> Peer:
    # What XLA asks, at its start, for the number of its threads; it does not know OMP_NUM_THREADS.
    os.environ.setdefault("NPROC", str(threads()))
    jax = importlib.import_module("jax")
    if jax.default_backend() != device.partition(":")[0]:
        raise BackendError(f"JAX computes on {jax.default_backend()}, not on {device}")
    return Jax(jax)


class Jax:
    name = "jax"

    def __init__(self, jax: Any) -> None:
        self._jax = jax
        self.version = str(jax.__version__)

    def function(
        self, f: Callable[..., Any], arrays: Sequence[Any], places: Sequence[int], g: Any, device: Any
    ) -> dict[str, Callable[[], Any]]:
        jax = self._jax
        own, cotangent = [None if a is None else jax.numpy.asarray(a) for a in arrays], jax.numpy.asarray(g)
        wanted, put = split(own, places)

        def with_gradients(g: Any, *xs: Any) -> Any:
            y, pullback = jax.vjp(lambda *xs: f(*put(xs)), *xs)
            return y, pullback(g)

        value, both = jax.jit(lambda *xs: f(*put(xs))), jax.jit(with_gradients)
        return {
            "forward": lambda: jax.block_until_ready(value(*wanted)),
            "both": lambda: jax.block_until_ready(both(cotangent, *wanted)),
        }

    def network(self, task: Task, device: Any) -> Running | None:
        if task.name not in _NETWORKS:
            return None
        jax, np_ = self._jax, self._jax.numpy
        network, loss = _NETWORKS[task.name], _LOSSES[task.loss]
        weights = {name: np_.asarray(x) for name, x in task.weights.items()}
        inputs, target = tuple(map(np_.asarray, task.inputs)), np_.asarray(task.target)
        forward = jax.jit(lambda p, *inputs: network(jax, p, *inputs))
        step = jax.jit(_adam(jax, lambda p, y, *inputs: loss(jax, network(jax, p, *inputs), y), task.lr))
        zeros = jax.tree.map(np_.zeros_like, weights)
        state = [(weights, zeros, zeros, np_.zeros((), np_.int32))]

        def train() -> Any:
            value, state[0] = jax.block_until_ready(step(*state[0], target, *inputs))
            return value

        return Running(lambda: jax.block_until_ready(forward(weights, *inputs)), train)

    def to_numpy(self, x: Any) -> Any:
        return np.asarray(x)


def _adam(jax: Any, loss: Callable[..., Any], lr: float) -> Callable[..., Any]:
    """(weights, means, squares, number of steps, *data) -> (loss, the first four after a step of Adam)."""

    def step(p: Any, m: Any, v: Any, t: Any, *data: Any) -> Any:
        value, g = jax.value_and_grad(loss)(p, *data)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate, root = lr / (1 - 0.9**t), jax.numpy.sqrt(1 - 0.999**t)
        moved = jax.tree.map(lambda p, m, v: p - rate * m / (jax.numpy.sqrt(v) / root + 1e-8), p, m, v)
        return value, (moved, m, v, t)

    return step


def _linear(p: Any, name: str, x: Any) -> Any:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _mlp(jax: Any, p: Any, x: Any) -> Any:
    x = x.reshape(x.shape[0], -1)
    for name in "14":
        x = jax.nn.relu(_linear(p, name, x))
    return _linear(p, "7", x)


def _cnn(jax: Any, p: Any, x: Any) -> Any:
    for name in "03":
        x = jax.lax.conv(x, p[f"{name}.weight"], (1, 1), "VALID") + p[f"{name}.bias"][:, None, None]
        x = jax.lax.reduce_window(jax.nn.relu(x), -jax.numpy.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    return _linear(p, "11", jax.nn.relu(_linear(p, "8", x.reshape(x.shape[0], -1))))


def _lstm(jax: Any, p: Any, x: Any, lengths: Any) -> Any:
    hidden = p["lstm.weight_hh_l0"].shape[1]

    def cell(state: Any, now: Any) -> Any:
        (h, c), (t, x) = state, now
        i, f, g, o = jax.numpy.split(x + h @ p["lstm.weight_hh_l0"].T + p["lstm.bias_hh_l0"], 4, axis=1)
        after = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        inside = (t < lengths)[:, None]
        c = jax.numpy.where(inside, after, c)
        return (jax.numpy.where(inside, jax.nn.sigmoid(o) * jax.numpy.tanh(after), h), c), None

    zeros = jax.numpy.zeros((x.shape[0], hidden), x.dtype)
    projected = (x @ p["lstm.weight_ih_l0"].T + p["lstm.bias_ih_l0"]).swapaxes(0, 1)
    (h, _), _ = jax.lax.scan(cell, (zeros, zeros), (jax.numpy.arange(x.shape[1]), projected))
    return _linear(p, "output", h)


def _gru(jax: Any, p: Any, x: Any) -> Any:
    def cell(h: Any, x: Any) -> Any:
        xr, xz, xn = jax.numpy.split(x, 3, axis=1)
        hr, hz, hn = jax.numpy.split(h @ p["gru.weight_hh_l0"].T + p["gru.bias_hh_l0"], 3, axis=1)
        z = jax.nn.sigmoid(xz + hz)
        h = (1 - z) * jax.numpy.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + z * h
        return h, h

    zeros = jax.numpy.zeros((x.shape[0], p["gru.weight_hh_l0"].shape[1]), x.dtype)
    projected = (x @ p["gru.weight_ih_l0"].T + p["gru.bias_ih_l0"]).swapaxes(0, 1)
    _, y = jax.lax.scan(cell, zeros, projected)
    return _linear(p, "output", y.swapaxes(0, 1))[..., 0]


def _cross_entropy(jax: Any, logits: Any, labels: Any) -> Any:
    logs = jax.nn.log_softmax(logits)
    return -jax.numpy.take_along_axis(logs, labels[:, None], axis=1).mean()


def _l1(jax: Any, y: Any, target: Any) -> Any:
    return jax.numpy.abs(y - target).mean()


_NETWORKS: dict[str, Callable[..., Any]] = {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm, "gru": _gru}
_LOSSES: dict[str, Callable[..., Any]] = {"cross_entropy": _cross_entropy, "l1_loss": _l1}
