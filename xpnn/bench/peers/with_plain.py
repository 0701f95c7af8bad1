"""NumPy or CuPy and nothing else: the lines that one writes without a library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...backend import to_numpy
from ...namespace.libraries import raw_namespace
from . import Peer, Running, Task

__all__ = ["make"]


def make(device: str) -> Peer:
    return Plain("numpy" if device == "cpu" else "cupy")


class Plain:
    name = "plain"

    def __init__(self, version: str) -> None:
        self.version = f"{version} {np.__version__}" if version == "numpy" else version

    def function(
        self, f: Callable[..., Any], arrays: Sequence[Any], places: Sequence[int], g: Any, device: Any
    ) -> dict[str, Callable[[], Any]]:
        own = [None if a is None else device.asarray(a) for a in arrays]
        return {"forward": lambda: f(*own)}

    def network(self, task: Task, device: Any) -> Running | None:
        if task.name not in _NETWORKS:
            return None
        weights = {name: device.asarray(x) for name, x in task.weights.items()}
        inputs, target = tuple(map(device.asarray, task.inputs)), device.asarray(task.target)
        xp, network = raw_namespace(inputs[0]), _NETWORKS[task.name]
        step = _training(xp, weights, inputs[0], target, task.lr) if task.name == "mlp" else None
        return Running(lambda: network(xp, weights, *inputs), step)

    def to_numpy(self, x: Any) -> Any:
        return to_numpy(x)


def _mlp(xp: Any, p: Any, x: Any) -> Any:
    x = x.reshape(x.shape[0], -1)
    for name in "14":
        x = xp.maximum(x @ p[f"{name}.weight"].T + p[f"{name}.bias"], 0)
    return x @ p["7.weight"].T + p["7.bias"]


def _cnn(xp: Any, p: Any, x: Any) -> Any:
    for name in "03":
        x = xp.maximum(_conv(xp, x, p[f"{name}.weight"], p[f"{name}.bias"]), 0)
        x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max(axis=(3, 5))
    x = xp.maximum(x.reshape(x.shape[0], -1) @ p["8.weight"].T + p["8.bias"], 0)
    return x @ p["11.weight"].T + p["11.bias"]


def _conv(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Convolution by im2col: x (N, C, H, W), weight (K, C, R, S) -> (N, K, H - R + 1, W - S + 1)."""
    k, _, r, s = weight.shape
    n, _, h, w = x.shape[0], x.shape[1], x.shape[2] - r + 1, x.shape[3] - s + 1
    columns = xp.stack([x[:, :, i : i + h, j : j + w] for i in range(r) for j in range(s)], axis=2)
    y = weight.reshape(k, -1) @ columns.reshape(n, -1, h * w) + bias[:, None]
    return y.reshape(n, k, h, w)


def _lstm(xp: Any, p: Any, x: Any, lengths: Any) -> Any:
    weight, bias = p["lstm.weight_hh_l0"].T, p["lstm.bias_ih_l0"] + p["lstm.bias_hh_l0"]
    hidden = weight.shape[0]
    h = c = xp.zeros((x.shape[0], hidden), dtype=x.dtype)
    projected = x @ p["lstm.weight_ih_l0"].T + bias
    for t in range(x.shape[1]):
        gates = projected[:, t] + h @ weight
        i, f, o = (_sigmoid(xp, gates[:, j * hidden : (j + 1) * hidden]) for j in (0, 1, 3))
        after = f * c + i * xp.tanh(gates[:, 2 * hidden : 3 * hidden])
        inside = (t < lengths)[:, None]
        c, h = xp.where(inside, after, c), xp.where(inside, o * xp.tanh(after), h)
    return h @ p["output.weight"].T + p["output.bias"]


def _gru(xp: Any, p: Any, x: Any) -> Any:
    weight, bias = p["gru.weight_hh_l0"].T, p["gru.bias_hh_l0"]
    hidden = weight.shape[0]
    h = xp.zeros((x.shape[0], hidden), dtype=x.dtype)
    projected, states = x @ p["gru.weight_ih_l0"].T + p["gru.bias_ih_l0"], []
    for t in range(x.shape[1]):
        own, past = projected[:, t], h @ weight + bias
        r, z = (_sigmoid(xp, (own + past)[:, j * hidden : (j + 1) * hidden]) for j in (0, 1))
        h = (1 - z) * xp.tanh(own[:, 2 * hidden :] + r * past[:, 2 * hidden :]) + z * h
        states.append(h)
    return (xp.stack(states, axis=1) @ p["output.weight"].T + p["output.bias"])[..., 0]


def _sigmoid(xp: Any, x: Any) -> Any:
    return 1 / (1 + xp.exp(-x))


_NETWORKS: dict[str, Callable[..., Any]] = {"mlp": _mlp, "cnn": _cnn, "lstm": _lstm, "gru": _gru}


def _training(xp: Any, weights: Any, x: Any, labels: Any, lr: float) -> Callable[[], Any]:
    """A step of the dense network, its gradients by hand, and Adam."""
    p = {name: w.copy() for name, w in weights.items()}
    m, v = ({name: xp.zeros_like(w) for name, w in p.items()} for _ in range(2))
    x, rows, steps = x.reshape(x.shape[0], -1), xp.arange(x.shape[0]), [0]

    def step() -> Any:
        layers = [x]
        for name in "14":
            layers.append(xp.maximum(layers[-1] @ p[f"{name}.weight"].T + p[f"{name}.bias"], 0))
        logits = layers[-1] @ p["7.weight"].T + p["7.bias"]
        g = xp.exp(logits - logits.max(axis=1, keepdims=True))
        g /= g.sum(axis=1, keepdims=True)
        loss = -xp.log(g[rows, labels]).mean()
        g[rows, labels] -= 1
        g /= x.shape[0]
        steps[0] += 1
        for name, h in zip("741", reversed(layers), strict=True):
            back = (g @ p[f"{name}.weight"]) * (h > 0) if name != "1" else None
            _adam(xp, p, m, v, {f"{name}.weight": g.T @ h, f"{name}.bias": g.sum(axis=0)}, lr, steps[0])
            g = back
        return loss

    return step


def _adam(xp: Any, p: Any, m: Any, v: Any, gradients: Any, lr: float, t: int) -> None:
    for name, g in gradients.items():
        m[name] = 0.9 * m[name] + 0.1 * g
        v[name] = 0.999 * v[name] + 0.001 * g * g
        p[name] -= lr / (1 - 0.9**t) * m[name] / (xp.sqrt(v[name]) / (1 - 0.999**t) ** 0.5 + 1e-8)
