"""sigmoid: the logistic function."""

from __future__ import annotations

from typing import Any

from ..compiled import activation as compiled
from ..cpu import sigmoid as cpu
from ..cuda import activation as cuda
from ..primitive import Primitive
from ..special import expit
from ._checks import check_floating

__all__ = ["sigmoid"]


def reference(x: Any) -> Any:
    """1 / (1 + exp(-x)), accurate in both tails.

    x (...) -> y (...), floating point.
    """
    check_floating("x", x)
    return expit(x)


sigmoid = Primitive(reference, name="sigmoid")
sigmoid.add("numpy", compiled.sigmoid)
sigmoid.add("numpy", cpu)
sigmoid.add("cupy", cuda.sigmoid)
