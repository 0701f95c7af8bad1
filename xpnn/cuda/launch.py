"""The seam between host code and whatever runs a kernel: CuPy on a GPU, something else under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .arguments import Arguments
from .execute import execute
from .plan import Plan

__all__ = ["Executor", "current", "executing", "launch"]

Executor = Callable[[Plan, Arguments], None]

_executor: ContextVar[Executor] = ContextVar("xpnn_executor", default=execute)


def launch(plan: Plan, arguments: Arguments) -> None:
    """Runs the kernel of a plan over its grid; does not wait for it. An empty grid is no launch (CuPy would make it one block)."""
    if arguments.layout is not plan.layout and arguments.layout != plan.layout:
        raise ValueError(f"{plan.entry}: expected arguments {plan.layout.struct}, got {arguments.layout.struct}")
    if not plan.empty:
        _executor.get()(plan, arguments)


def current() -> Executor:
    """What runs the launches of this thread or task."""
    return _executor.get()


@contextmanager
def executing(executor: Executor) -> Iterator[None]:
    """Inside, `executor` runs the launches of this thread or task: an emulator, or a recorder."""
    token = _executor.set(executor)
    try:
        yield
    finally:
        _executor.reset(token)
