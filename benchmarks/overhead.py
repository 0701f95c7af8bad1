"""What tracing costs: OMP_NUM_THREADS=1 python -m benchmarks.overhead [--out FILE.json]

Three questions, each answered as a ratio or difference of interleaved runs in one process:
1. a traced multiply of two small arrays, over the raw one (microseconds; the budget is 1.5);
2. forward and backward of a chain of small operations, per operation, against torch (the budget is half of torch's);
3. inference of a module on raw arrays, against the same lines of NumPy (the budget is 10 %).
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
from xpnn import nn
from xpnn.namespace import Array
from xpnn.tape import leaf

from .machine import describe

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


def small_operations() -> dict[str, float]:
    """Microseconds per operation of the forward and backward pass of 100 multiplies, 100 adds and a sum."""
    x, y = np.ones(4, np.float32), np.full(4, 0.5, np.float32)

    def chain(x: Any, y: Any) -> Any:
        for _ in range(100):
            x = x * y + y
        return x.sum() if hasattr(x, "requires_grad") else xpnn.namespace(x).sum(x)

    ours = xpnn.grad(chain, argnums=(0, 1))
    runs: list[Callable[[], Any]] = [lambda: ours(x, y)]
    torch = _torch()
    if torch is not None:
        tx, ty = (torch.tensor(a, requires_grad=True) for a in (x, y))
        runs.append(lambda: torch.autograd.grad(chain(tx, ty), (tx, ty)))
        theirs = runs[1]()
        assert all(np.allclose(a, b) for a, b in zip(ours(x, y), theirs, strict=True)), "gradients differ from torch's"
    times = interleaved(*runs, number=10)
    result = {"xpnn_us": _us(times[0]) / 201}
    if torch is not None:
        result["torch_us"] = _us(times[1]) / 201
        result["ratio"] = statistics.median(a / b for a, b in zip(*times, strict=True))
    return result


def inference(batch: int) -> dict[str, float]:
    """Time of Sequential(Linear(64, 128), ReLU, Linear(128, 10)) on raw arrays over that of the same NumPy lines."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    x = np.ones((batch, 64), np.float32)
    w1, b1, w2, b2 = model.parameters()

    def plain() -> Any:
        return np.maximum(x @ w1.T + b1, 0) @ w2.T + b2

    assert np.allclose(plain(), model(x), atol=1e-6)
    ours, numpy = interleaved(lambda: model(x), plain, number=max(1, 20000 // batch))
    return {
        "xpnn_us": _us(ours),
        "numpy_us": _us(numpy),
        "ratio": statistics.median(a / b for a, b in zip(ours, numpy, strict=True)),
    }


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
        "small operations, forward and backward": small_operations(),
        "inference 64-128-10, batch 32": inference(32),
        "inference 64-128-10, batch 256": inference(256),
        "inference 64-128-10, batch 2048": inference(2048),
    }
    for name, values in figures.items():
        print(f"{name:40s}", "  ".join(f"{key} {value:.3g}" for key, value in values.items()))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"machine": describe(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
