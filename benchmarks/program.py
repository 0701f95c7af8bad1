"""What a whole program costs before it computes: python -m benchmarks.program [--quick] [--out DIR]

Of xpnn, torch, JAX and Keras, where installed: seconds of the import beyond that of NumPy, bytes of the installed package with all
that it requires, and seconds from the start of the process to the end of the first training step of a dense network
784-256-256-10 with 64 rows. Each figure is the median of fresh processes, the libraries taking turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import statistics
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from . import child

__all__ = ["LIBRARIES", "installed_bytes", "main", "measure"]

_IMPORT = "import json, time, numpy; a = time.perf_counter(); import {}; print(json.dumps(time.perf_counter() - a))"
_DATA = """
import json, time
import numpy as np
x, y = np.random.default_rng(0).random((64, 784), np.float32), np.arange(64) % 10
"""
_DONE = "\nprint(json.dumps(time.time()))\n"

# The first training step with Adam, as the library's own tutorial writes it.
LIBRARIES = {
    "xpnn": """
import xpnn
from xpnn import losses, nn, optim
layers = nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
model = nn.Sequential(*layers)
optimizer = optim.Adam(model, lr=1e-3)
value, grads = xpnn.value_and_grad(lambda model: losses.cross_entropy(model(x), y))(model)
optimizer.step(grads)
float(value)
""",
    "torch": """
import torch
from torch import nn
layers = nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
model = nn.Sequential(*layers)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
value = nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
value.backward()
optimizer.step()
value.item()
""",
    "jax": """
import jax
import jax.numpy as jnp
keys = jax.random.split(jax.random.key(0), 3)
sizes = (784, 256), (256, 256), (256, 10)
p = [(jax.random.normal(k, s) * s[0] ** -0.5, jnp.zeros(s[1])) for k, s in zip(keys, sizes)]
m, v = jax.tree.map(jnp.zeros_like, p), jax.tree.map(jnp.zeros_like, p)
def loss(p, x, y):
    for w, b in p[:-1]:
        x = jax.nn.relu(x @ w + b)
    logs = jax.nn.log_softmax(x @ p[-1][0] + p[-1][1])
    return -jnp.take_along_axis(logs, y[:, None], axis=1).mean()
@jax.jit
def step(p, m, v, x, y):
    value, g = jax.value_and_grad(loss)(p, x, y)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    p = jax.tree.map(lambda p, m, v: p - 1e-3 * (m / 0.1) / (jnp.sqrt(v / 0.001) + 1e-8), p, m, v)
    return value, p, m, v
jax.block_until_ready(step(p, m, v, x, y))
""",
    "keras": """
import keras
dense = keras.layers.Dense
model = keras.Sequential([dense(256, "relu"), dense(256, "relu"), dense(10)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.train_on_batch(x, y)
""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.program", description=__doc__.split("\n\n")[1])
    parser.add_argument("--quick", action="store_true", help="one process each: does it run, not how fast")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write program.json into this folder")
    options = parser.parse_args(arguments)
    results = measure(1 if options.quick else 7)
    for name, found in results.items():
        print(f"{name:6s} " + "  ".join(f"{key} {value:.3g}" for key, value in found.items()))
    if options.out is not None:
        child.write(options.out, "program", options.quick, results)
    return 0


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """{library: its figures}, of the libraries that are installed. The first round, which fills caches, is left out."""
    names = [name for name in LIBRARIES if importlib.util.find_spec(name)]
    imports: dict[str, list[float]] = {name: [] for name in names}
    starts: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds + 1):
        for name in names:
            imports[name].append(child.run(_IMPORT.format(name))[0])
            end, start = child.run(_DATA + LIBRARIES[name] + _DONE)
            starts[name].append(end - start)
    return {
        name: {
            "import_seconds": statistics.median(imports[name][1:]),
            "first_step_seconds": statistics.median(starts[name][1:]),
            "installed_bytes": installed_bytes(name),
        }
        for name in names
    }


def installed_bytes(package: str) -> int:
    """Bytes of a package and of all that it requires, without compiled bytecode."""
    return sum(_own_bytes(name) for name in _required(package))


def _required(package: str) -> set[str]:
    """The package and what it requires in this environment, by normalised names; what is not installed is left out."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name not in found:
            found.add(name)
            waiting += _direct(name)
    return found


def _direct(package: str) -> Iterator[str]:
    """The packages that one requires; those of its extras, and those for other systems, are left out where not installed."""
    try:
        lines = distribution(package).requires or []
    except PackageNotFoundError:
        return
    for line in lines:
        if "extra ==" not in line and (name := re.match(r"[\w.-]+", line)):
            yield name[0]


def _own_bytes(package: str) -> int:
    if package == "xpnn":  # may be a checkout; a wheel holds these two folders
        files: list[Any] = [path for folder in ("xpnn", "kernels") for path in (child.ROOT / folder).rglob("*")]
    else:
        try:
            files = [Path(str(file.locate())) for file in distribution(package).files or []]
        except PackageNotFoundError:
            return 0
    return sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")


if __name__ == "__main__":
    raise SystemExit(main())
