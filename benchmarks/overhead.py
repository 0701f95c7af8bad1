"""What tracing costs: OMP_NUM_THREADS=1 python -m benchmarks.overhead [--out FILE.json]

Four questions, each answered as a ratio or difference of interleaved runs in one process:
1. a traced multiply of two small arrays, over the raw one (microseconds; the budget is 1.5);
2. forward and backward of a chain of small operations, per operation, against torch (the budget is half of torch's);
3. inference of a module on raw arrays, against the same lines of NumPy (the budget is 10 %);
4. a training step of 64-128-10 on 32 rows with Adam, against torch (the budget is half of torch's), and which part takes how long.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import xpnn
from xpnn import losses, nn, optim
from xpnn.bench.machine import describe
from xpnn.namespace import Array
from xpnn.tape import leaf

ROUNDS = 31


def interleaved(*functions: Callable[[], Any], number: int) -> list[list[float]]:
    """Seconds per call of each function, ROUNDS times, the functions taking turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(ROUNDS + 1):
        for own, f in zip(times, functions, strict=True):
            start = time.perf_counter()
            for _ in range(number):
                f()
            own.append((time.perf_counter() - start) / number)
    return [own[1:] for own in times]


def traced_multiply() -> dict[str, float]:
    """Microseconds of a raw and a traced multiply of 4 float32 numbers."""
    x, y = np.ones(4, np.float32), np.ones(4, np.float32)
    a, b = Array(x, leaf(x, None)), Array(y, leaf(y, None))
    raw, traced = interleaved(lambda: x * y, lambda: a * b, number=2000)
    over = statistics.median(t - r for t, r in zip(traced, raw, strict=True))
    return {"raw_us": _us(raw), "traced_us": _us(traced), "over_us": over * 1e6}


def multiply_and_add(x: Any, y: Any) -> Any:
    """100 multiplies and 100 adds of 4 numbers: the cheapest operations there are."""
    for _ in range(100):
        x = x * y + y
    return x


def network_like(x: Any, w: Any) -> Any:
    """20 times the operations of a small layer, written out: product, tanh, softmax of rows, mean. 160 operations."""
    xp = _functions(x)
    for _ in range(20):
        h = xp.tanh(x @ w)
        e = xp.exp(h)
        x = h - e / xp.sum(e, **{_axis(x): 1}, **{_keep(x): True}) * xp.mean(h)
    return x


def small_operations(chain: Callable[[Any, Any], Any], operations: int, *shapes: tuple[int, ...]) -> dict[str, float]:
    """Microseconds per operation of the forward and backward pass of a chain and a final sum."""
    rng = np.random.default_rng(0)
    x, y = (rng.uniform(-0.5, 0.5, shape).astype(np.float32) for shape in shapes)
    ours = xpnn.grad(lambda x, y: xpnn.namespace(x).sum(chain(x, y)), argnums=(0, 1))
    runs: list[Callable[[], Any]] = [lambda: ours(x, y)]
    torch = _torch()
    if torch is not None:
        tx, ty = (torch.tensor(a, requires_grad=True) for a in (x, y))
        runs.append(lambda: torch.autograd.grad(chain(tx, ty).sum(), (tx, ty)))
        same = [np.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(ours(x, y), runs[1](), strict=True)]
        assert all(same), "gradients differ from torch's"
    times = interleaved(*runs, number=10)
    result = {"xpnn_us": _us(times[0]) / (operations + 1)}
    if torch is not None:
        result["torch_us"] = _us(times[1]) / (operations + 1)
        result["ratio"] = statistics.median(a / b for a, b in zip(*times, strict=True))
    return result


def _functions(x: Any) -> Any:
    return _torch() if hasattr(x, "requires_grad") else xpnn.namespace(x)


def _axis(x: Any) -> str:
    return "dim" if hasattr(x, "requires_grad") else "axis"


def _keep(x: Any) -> str:
    return "keepdim" if hasattr(x, "requires_grad") else "keepdims"


def inference(batch: int, inputs: int, hidden: int, outputs: int) -> dict[str, float]:
    """Time of Sequential(Linear, ReLU, Linear) on raw arrays over that of the same NumPy lines."""
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    x = np.ones((batch, inputs), np.float32)
    w1, b1, w2, b2 = model.parameters()

    def plain() -> Any:
        return np.maximum(x @ w1.T + b1, 0) @ w2.T + b2

    assert np.allclose(plain(), model(x), atol=1e-5)
    ours, numpy = interleaved(lambda: model(x), plain, number=max(1, 4_000_000 // (batch * inputs * hidden // 8)))
    return {
        "xpnn_us": _us(ours),
        "numpy_us": _us(numpy),
        "ratio": statistics.median(a / b for a, b in zip(ours, numpy, strict=True)),
    }


def small_step(batch: int, inputs: int, hidden: int, outputs: int) -> dict[str, float]:
    """Microseconds of a training step of Sequential(Linear, ReLU, Linear), and of its parts, each alone."""
    rng = np.random.default_rng(0)
    x, labels = rng.random((batch, inputs), np.float32), rng.integers(0, outputs, batch)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
    optimizer = optim.Adam(model, lr=1e-3)
    value_and_grad = xpnn.value_and_grad(lambda model, x, labels: losses.cross_entropy(model(x), labels))

    def step() -> float:
        value, grads = value_and_grad(model, x, labels)
        optimizer.step(grads)
        return float(value)

    grads = value_and_grad(model, x, labels)[1]
    parts = {
        "inference_us": lambda: losses.cross_entropy(model(x), labels),
        "gradient_us": lambda: value_and_grad(model, x, labels),
        "optimizer_us": lambda: optimizer.step(grads),
    }
    torch = _torch()
    runs = [step, *parts.values()]
    if torch is not None:
        runs.append(_torch_step(torch, model, x, labels))
    times = interleaved(*runs, number=100)
    result = {"xpnn_us": _us(times[0])}
    if torch is not None:
        result["torch_us"] = _us(times[-1])
        result["ratio"] = statistics.median(a / b for a, b in zip(times[0], times[-1], strict=True))
    return {**result, **dict(zip(parts, map(_us, times[1:4]), strict=True))}


def _torch_step(torch: Any, model: Any, x: Any, labels: Any) -> Callable[[], Any]:
    """The same step of torch; AssertionError unless its first loss is ours."""
    shapes = [w.shape for w in model.parameters() if w.ndim == 2]
    layers = [torch.nn.Linear(inputs, outputs) for outputs, inputs in shapes]
    theirs = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])
    theirs.load_state_dict({name: torch.tensor(value) for name, value in model.state_dict().items()})
    optimizer = torch.optim.Adam(theirs.parameters(), lr=1e-3)
    tx, targets = torch.from_numpy(x), torch.from_numpy(labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(theirs(tx), targets)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    assert np.isclose(step(), losses.cross_entropy(model(x), labels), rtol=1e-5), "the loss differs from torch's"
    return step


def _us(times: list[float]) -> float:
    return statistics.median(times) * 1e6


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    return torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    out = parser.parse_args().out
    figures = {
        "traced multiply": traced_multiply(),
        "multiply and add, forward and backward": small_operations(multiply_and_add, 200, (4,), (4,)),
        "small layers, forward and backward": small_operations(network_like, 160, (8, 16), (16, 16)),
        **{
            f"inference {'-'.join(map(str, sizes))}, batch {batch}": inference(batch, *sizes)
            for sizes in ((784, 512, 10), (64, 128, 10))
            for batch in (32, 256, 2048)
        },
        "training step 64-128-10, batch 32": small_step(32, 64, 128, 10),
    }
    for name, values in figures.items():
        print(f"{name:40s}", "  ".join(f"{key} {value:.3g}" for key, value in values.items()))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"machine": describe(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
