"""All cases by name: the operations (a file of benchmarks/cases each), the networks of `xpnn demo`, single layers."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from xpnn.bench.grid import Entry
from xpnn.bench.networks import SIZES, layers, networks

__all__ = ["GROUPS", "chosen", "entries", "names"]

CASES = Path(__file__).parent / "cases"
GROUPS = ("ops", "networks", "layers")


def operations() -> list[str]:
    return sorted(path.stem for path in CASES.glob("*.py"))


def names() -> dict[str, list[str]]:
    """The names of each group, as --case takes them."""
    return {
        "ops": operations(),
        "networks": [f"network-{name}" for name in networks()],
        "layers": [f"layer-{name}" for name in layers()],
    }


def chosen(words: Sequence[str]) -> list[str]:
    """The names behind names and groups, in the order of the registry; ValueError with what there is."""
    known = names()
    everything = [name for group in GROUPS for name in known[group]]
    unknown = sorted(set(words) - {*GROUPS, *everything})
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join([*GROUPS, *everything])}")
    wanted = {name for word in words for name in known.get(word, [word])}
    return [name for name in everything if name in wanted or not words]


def entries(name: str, quick: bool = False) -> list[Entry]:
    """The cases of a name; of a quick run the networks and layers with few rows only."""
    kind, _, rest = name.partition("-")
    if kind in ("network", "layer"):
        found = (networks() if kind == "network" else layers())[rest]
        sizes = SIZES[:2] if quick else SIZES
        return [Entry(name, f"{found.name} N={rows}", partial(found.jobs, rows=rows)) for rows in sizes]
    cases = importlib.import_module(f"benchmarks.cases.{name}").CASES
    return [Entry(name, case.name, case.jobs) for case in cases]
