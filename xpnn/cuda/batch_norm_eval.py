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
    channels = [a.dtype for a in (mean, var, x, x)]
    dmean, dvar, dweight, dbias = (
        new(x.shape[1], dtype=dtype) if wanted else None for dtype, wanted in zip(channels, need[1:], strict=True)
    )
    kind = "given" if mean.dtype == x.dtype else "wide"
    written = {"dx": dx, "dweight": dweight, "dbias": dbias, f"{kind}_dmean": dmean, f"{kind}_dvar": dvar}
    pull(contiguous(g), y, x, eps, activation, weight=weight, **written, **_given(x, mean, var))
    return dx, dmean, dvar, dweight, dbias


def _given(x: Any, mean: Any, var: Any) -> dict[str, Any]:
    """The names that the statistics have among the kernel's arguments."""
    if mean.dtype == x.dtype:
        return {"given_mean": mean, "given_var": var}
    return {"wide_mean": mean, "wide_var": var}
