"""relu: the positive part."""

from __future__ import annotations

from typing import Any

from ..compiled import activation as compiled
from ..cpu import relu as cpu
from ..cuda import activation as cuda
from ..namespace import namespace
from ..primitive import Primitive

__all__ = ["relu"]


def reference(x: Any) -> Any:
    """max(x, 0), with slope 0 at 0; nan stays nan.

    x (...) -> y (...), any real dtype.
    """
    xp = namespace(x)
    return xp.where(x <= 0, xp.zeros_like(x), x)


relu = Primitive(reference, name="relu")
relu.add("numpy", compiled.relu)
relu.add("numpy", cpu)
relu.add("cupy", cuda.relu)
