"""conv_batch_norm for CuPy: the convolution leaves the moments of its tiles, so that nothing is read again for the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from . import batch_norm, conv, conv_depthwise
from .arrays import contiguous
from .conv_moments import Moments, combine
from .dtypes import refuse_dtypes

__all__ = ["backward", "forward", "refusal"]


def refusal(
    x: Any, weight: Any, bias: Any, gain: Any, shift: Any, *, eps: float = 1e-5, activation: str | None = None,
    **options: Any,
) -> str | None:  # fmt: skip
    if why := conv.refusal(x, weight, bias, **options):
        return why
    if not eps >= 0 or any(a is not None and a.shape != weight.shape[:1] for a in (gain, shift)):
        return "shapes of the parameters, or eps"
    if conv.convolved(x, weight, **options).positions == 1:
        return "a single value per channel"
    return batch_norm.refuse_options(x, activation) or refuse_dtypes(x, gain, shift)


def forward(
    x: Any, weight: Any, bias: Any, gain: Any, shift: Any, *, eps: float = 1e-5, activation: str | None = None,
    need: tuple[bool, ...], **options: Any,
) -> tuple[Any, Any]:  # fmt: skip
    own: Any = conv if conv_depthwise.refusal(x, weight, bias, **options) else conv_depthwise
    moments = Moments()
    more = {"moments": moments} if own is conv else {}
    z, kept = own.forward(x, weight, bias, **options, **more, need=need[:3])
    z = contiguous(z)
    last = options.get("data_format") == "channels_last"
    rows = z.reshape(-1, z.shape[-1]) if last else z
    gain, shift = (None if a is None else contiguous(a) for a in (gain, shift))
    if moments.parts is None:
        (y, mean, var), norm = batch_norm.forward(rows, gain, shift, eps=eps, activation=activation, need=need)
    else:
        mean, var, centre, scale = combine(moments, z, 1 if last else prod(z.shape[2:]), eps, kept=True in need)
        given = {"weight": gain, "bias": shift, "wide_mean": mean, "wide_var": var}
        y = batch_norm.standardise(rows, eps, activation, **given)
        norm = (rows, gain, y if activation else None, centre, scale, activation)
    return (y.reshape(z.shape), mean, var), (own, kept, z.shape, norm)


def backward(residuals: Any, gs: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    own, kept, shape, norm = residuals
    dy, dmean, dvar = gs
    dy = None if dy is None else contiguous(dy).reshape(norm[0].shape)
    behind = True in need[:3]
    dz, dgain, dshift = batch_norm.backward(norm, (dy, dmean, dvar), (behind, need[3], need[4]))
    before = own.backward(kept, dz.reshape(shape), need[:3]) if behind else (None,) * 3
    return *before, dgain, dshift
