"""batch_norm_eval for CuPy: one launch over the elements; backward one or two, as the gradients of parameters are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..namespace.libraries import raw_namespace
from .arrays import contiguous
from .batch_norm import pull, refuse_options, standardise
from .dtypes import dtype_name, refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None
) -> str | None:
    if x.ndim < 2 or not eps >= 0:
        return "arguments that do not fit"
    if any(a is not None and a.shape != x.shape[1:2] for a in (mean, var, weight, bias)):
        return "shapes of the parameters"
    if mean.dtype != var.dtype or (mean.dtype != x.dtype and dtype_name(mean.dtype) != "float32"):
        return f"dtypes {x.dtype}, {mean.dtype} and {var.dtype}"
    return refuse_options(x, activation) or refuse_dtypes(x, weight, bias)


def forward(
    x: Any, mean: Any, var: Any, weight: Any, bias: Any, *, eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:  # fmt: skip
    x, mean, var, weight, bias = (None if a is None else contiguous(a) for a in (x, mean, var, weight, bias))
    y = standardise(x, eps, activation, weight=weight, bias=bias, **_given(x, mean, var))
    return y, (x, mean, var, weight, y if activation else None, eps, activation)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, mean, var, weight, y, eps, activation = residuals
    xp = raw_namespace(x)
    new = xp.zeros if 0 in x.shape else xp.empty
    dx = xp.empty_like(x) if need[0] else None
    total, along = (new(x.shape[1], dtype=xp.float32) if wanted else None for wanted in need[1:3])
    dweight, dbias = (new(x.shape[1], dtype=x.dtype) if wanted else None for wanted in need[3:])
    written = {"dx": dx, "dweight": dweight, "dbias": dbias, "sum": total, "along": along}
    pull(contiguous(g), y, x, eps, activation, weight=weight, **written, **_given(x, mean, var))
    if need[1] or need[2]:
        variance = xp.astype(var, xp.float32) + eps
        scale = 1 / xp.sqrt(variance) if weight is None else weight / xp.sqrt(variance)
        total = None if total is None else xp.astype(-scale * total, mean.dtype)
        along = None if along is None else xp.astype(along * scale / (-2 * variance), var.dtype)
    return dx, total, along, dweight, dbias


def _given(x: Any, mean: Any, var: Any) -> dict[str, Any]:
    """The names that the statistics have among the kernel's arguments."""
    if mean.dtype == x.dtype:
        return {"given_mean": mean, "given_var": var}
    return {"wide_mean": mean, "wide_var": var}
