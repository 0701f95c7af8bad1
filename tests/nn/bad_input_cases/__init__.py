"""What nobody should be given as an argument, in tables by group; every file here with a list CASES is part of the test.

A case is bad(argument, came, call): the name that the message has to say, what came, in the words of the message, and the
call that has to raise it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Bad", "all_cases", "bad"]


@dataclass(frozen=True)
class Bad:
    """A call with a wrong argument."""

    argument: str
    came: str
    call: Callable[[], Any]


def bad(argument: str, came: Any, call: Callable[[], Any]) -> Bad:
    return Bad(argument, str(came), call)


def all_cases() -> list[tuple[str, Bad]]:
    """Pairs (group-number-argument, case) of all files of this folder."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        cases = importlib.import_module(f"{__name__}.{module.name}").CASES
        found += [(f"{module.name}-{i}-{case.argument}", case) for i, case in enumerate(cases)]
    return found
