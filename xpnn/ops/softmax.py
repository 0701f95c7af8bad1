"""softmax and log_softmax: rows along an axis, turned into probabilities or their logarithms."""

from __future__ import annotations

from typing import Any

from ..compiled import softmax as compiled
from ..cuda import log_softmax as log_cuda
from ..cuda import softmax as cuda
from ..gradients import stop_gradient
from ..namespace import namespace
from ..primitive import Primitive
from ._checks import check_axis, check_floating

__all__ = ["log_softmax", "softmax"]


def reference(x: Any, *, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along an axis.

    x (...) -> y (...), floating point. A row of -inf only gives nan, and so does one with inf or nan in it.
    """
    xp = _checked(x, axis)
    e = xp.exp(_shifted(xp, x, axis))
    return e / xp.sum(e, axis=axis, keepdims=True)


def log_reference(x: Any, *, axis: int = -1) -> Any:
    """log(softmax(x)) along an axis, without rounding small probabilities to zero.

    x (...) -> y (...), floating point.
    """
    xp = _checked(x, axis)
    shifted = _shifted(xp, x, axis)
    if not x.shape[axis]:
        return shifted
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


softmax = Primitive(reference, name="softmax")
softmax.add("numpy", compiled.softmax)
softmax.add("cupy", cuda)
log_softmax = Primitive(log_reference, name="log_softmax")
log_softmax.add("numpy", compiled.log_softmax)
log_softmax.add("cupy", log_cuda)


def _checked(x: Any, axis: int) -> Any:
    """The namespace of x, if x is floating point and has the axis."""
    check_floating("x", x)
    check_axis(x, axis)
    return namespace(x)


def _shifted(xp: Any, x: Any, axis: int) -> Any:
    """x minus its largest element, which both functions do not depend on: so no gradient goes through it."""
    if not x.shape[axis]:
        return x
    return x - stop_gradient(xp.max(x, axis=axis, keepdims=True))
