"""A step of an optimiser by compiled loops: one pass over each array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..cuda.optimizer import Item, Step
from .loops import refuse, share

__all__ = ["step"]

_RULES = {"Sgd", "Adam", "RmsProp", "Lion"}
_FEWEST = 1 << 14  # elements of an array, below which a few passes cost less than one call
_NONE = np.empty(0, np.float32)


def step(optimizer: Any, items: Sequence[Item]) -> tuple[str, list[Item]]:
    """Steps what the loops take; (why they do not take the last of the rest, the rest)."""
    why = ""
    taken: list[Item] = []
    rest: list[Item] = []
    for item in items:
        problem = _refusal(item)
        why = problem or why
        (taken if problem is None else rest).append(item)
    if not taken:  # small networks: no more is asked of the optimiser
        return why, rest
    steps = {fresh: optimizer.fused(fresh) for fresh in (False, True)}
    rule = steps[False].rules[0]
    if rule not in _RULES:
        return f"no loop for {rule}", list(items)
    names = [name for name in steps[False].states if name is not None]
    numbers = {fresh: _numbers(how) for fresh, how in steps.items()}
    for item in taken:
        fresh = any(name not in item.state for name in names)
        _step(item, steps[fresh], numbers[fresh])
    return why, rest


def _refusal(item: Item) -> str | None:
    p, g, state = item
    why = refuse(p, g, *state.values(), fewest=_FEWEST)
    if why is None and any(x.shape != p.shape or not x.flags.carray for x in (p, *state.values())):
        why = "an array that is not C-contiguous and writeable, or a state of another shape"
    return why


def _numbers(how: Step) -> Any:
    from .optimizer_loops import NUMBERS

    return np.array([getattr(how, name) for name in NUMBERS], np.float32)


def _step(item: Item, how: Step, numbers: Any) -> None:
    from .optimizer_loops import LOOPS

    p, g, state = item
    for name in how.states:
        if name is not None and name not in state:
            state[name] = np.zeros_like(p)
    states = [state[name].reshape(-1) if name else _NONE for name in (*how.states, None, None, None)[:3]]
    share(LOOPS[how.rules[0]], p.size, [p.reshape(-1), np.ascontiguousarray(g).reshape(-1), *states], numbers)
