"""All kernels compiled ahead of their use, into CuPy's cache on disk."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from . import __name__ as package
from . import __path__ as path
from .execute import prepare
from .plan import Plan

__all__ = ["families", "instantiations", "precompile"]


def families() -> Iterator[ModuleType]:
    """Every host file that says with ``instantiations`` which kernels its plans can ask for."""
    for info in pkgutil.iter_modules(path):
        module = importlib.import_module(f"{package}.{info.name}")
        if module.__name__ != __name__ and hasattr(module, "instantiations"):
            yield module


def instantiations() -> dict[str, Plan]:
    """A plan for each of these kernels, by its entry."""
    return {plan.entry: plan for family in families() for plan in family.instantiations()}


def precompile() -> Iterator[str]:
    """Compiles each kernel for the current GPU, or finds it in the cache, and names it when that is done.

    Kernels that another kind of GPU runs are named and left out. Raises KernelError for one that does not compile.
    """
    for entry, plan in instantiations().items():
        prepare(plan)
        yield entry
