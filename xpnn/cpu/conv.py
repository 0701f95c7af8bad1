"""conv for NumPy: a matrix product per block of images, over the columns that im2col lays out for the block.

Channels come first throughout: with the columns (C, taps, positions) of an image the product has the layout of the
output, and nothing is transposed. Backward lays the columns out again; keeping them would take as much memory as the
kernel has taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .activated import ACTIVATIONS, activate, pulled
from .dtypes import refuse_dtypes
from .im2col import Columns, Geometry, Slab, geometry, rows
from .windows import Pairs

__all__ = ["backward", "empty", "first", "forward", "positions", "refusal", "sweep"]

# Images with fewer positions than this are put side by side into one matrix: a product with few columns is slow.
# So are those with fewer positions than filters for dweight, a sum over positions.
_THIN = 64


def refusal(
    x: Any,
    weight: Any,
    bias: Any,
    scale: Any = None,
    residual: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
) -> str | None:
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if activation not in ACTIVATIONS:
        return f"activation {activation}"
    if not 3 <= x.ndim == weight.ndim or groups < 1 or weight.shape[0] % groups:
        return "shapes"
    images = first(x, data_format)
    if images.shape[1] != weight.shape[1] * groups or any(
        a is not None and a.shape != weight.shape[:1] for a in (bias, scale)
    ):
        return "shapes"
    if 0 in x.shape or 0 in weight.shape:
        return "size 0"
    out = geometry(images.shape, weight.shape, stride, padding, dilation, groups).out
    if min(out) < 1:
        return "a kernel larger than the input"
    if residual is not None and first(residual, data_format).shape != (len(x), len(weight), *out):
        return "shape of residual"
    return refuse_dtypes(x, weight, bias, scale, residual)


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    scale: Any = None,
    residual: Any = None,
    *,
    stride: tuple[int, ...],
    padding: Pairs,
    dilation: tuple[int, ...],
    groups: int = 1,
    data_format: str = "channels_first",
    activation: str | None = None,
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    images = first(x, data_format)
    plan = geometry(images.shape, weight.shape, stride, padding, dilation, groups)
    y = empty(data_format, (plan.batch, plan.filters, *plan.out), x.dtype)
    w = weight.reshape(groups, -1, plan.depth)
    slabs = plan.slabs(x.itemsize)
    columns = Columns(plan, merged=len(slabs) == 1 and plan.positions < _THIN)
    outputs = _Outputs(plan, columns.merged)
    for block in plan.blocks(x.itemsize):
        part = y[block.images, block.filters]
        product, is_view = outputs.matrices(part)
        source = columns.source(images[block.images, block.channels])
        for slab in slabs:
            np.matmul(w[block.groups], columns.gather(source, slab), outputs.at(product, slab))
        if scale is not None:
            product *= scale[block.filters].reshape(-1, product.shape[2], 1)
        if bias is not None:
            product += bias[block.filters].reshape(-1, product.shape[2], 1)
        if not is_view:
            part[...] = outputs.shaped(product, part)
    out = y if data_format == "channels_first" else np.moveaxis(y, 1, -1)
    if residual is not None:
        out += residual
    activate(out, activation)
    if True not in need:
        return out, None
    return out, (images, w, weight.shape, plan, data_format, None if activation is None else out, activation, scale)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    x, w, shape, plan, data_format, y, activation, scale = residuals
    want_x, want_weight, want_bias, want_scale, want_residual = (*need, False, False)[:5]
    dz = pulled(g, y, activation)
    g = first(dz, data_format)
    dx = empty(data_format, x.shape, x.dtype) if want_x else None
    dweight = np.zeros(shape, x.dtype) if want_weight or want_scale else None
    if dx is not None or dweight is not None:
        own = w if scale is None else w * scale.reshape(len(w), -1, 1)
        sweep(plan, x, own, g, dx, dweight if dweight is None else dweight.reshape(w.shape))
    dscale = None
    if scale is not None and dweight is not None:  # so far the gradient of scale * weight
        dscale = (dweight.reshape(len(scale), -1) * w.reshape(len(scale), -1)).sum(axis=1) if want_scale else None
        dweight *= scale.reshape(-1, *(1,) * (dweight.ndim - 1))
    db = np.add.reduce(g, axis=(0, *range(2, g.ndim))) if want_bias else None
    dx = dx if dx is None or data_format == "channels_first" else np.moveaxis(dx, 1, -1)
    return (dx, dweight if want_weight else None, db, dscale, dz.copy() if want_residual else None)[: len(need)]


def sweep(plan: Geometry, x: Any, w: Any, g: Any, dx: Any, dw: Any) -> None:
    """Fills dx (N, C, *S) and adds to dw (G, K / G, depth), where they are not None."""
    slabs = plan.slabs(x.itemsize)
    columns = Columns(plan, merged=len(slabs) == 1 and plan.positions < max(_THIN, w.shape[1]))
    outputs = _Outputs(plan, columns.merged)
    for block in plan.blocks(x.itemsize):
        part = g[block.images, block.filters]
        dy, is_view = outputs.matrices(part)
        if not is_view:
            outputs.shaped(dy, part)[...] = part
        if dw is not None:
            source = columns.source(x[block.images, block.channels])
            for slab in slabs:
                products = np.matmul(outputs.at(dy, slab), columns.gather(source, slab).mT)
                dw[block.groups] += products[0] if len(products) == 1 else np.add.reduce(products, axis=0)
        if dx is not None:
            own = dx[block.images, block.channels]
            target = columns.target(own)
            for slab in slabs:
                matrix = _transposed_product(w[block.groups], outputs.at(dy, slab), columns.matrix(own, slab))
                columns.scatter(matrix, target, slab)
            columns.finish(target, own)


def _transposed_product(w: Any, dy: Any, out: Any) -> Any:
    """NOTE: BLAS takes 15 times as long for the outer product that it is with one filter in a group."""
    return (np.multiply if w.shape[1] == 1 else np.matmul)(w.mT, dy, out)


class _Outputs:
    """Outputs of a block as matrices (M, G, K / G, columns), in the layout of the block's Columns.

    They are views of the outputs where the layout allows it, else a buffer.
    """

    def __init__(self, plan: Geometry, merged: bool) -> None:
        self.plan = plan
        self.merged = merged
        self.buffer = np.empty(0)

    def matrices(self, part: Any) -> tuple[Any, bool]:
        """The matrices for a part of y (images, K, *out), and whether they share its memory."""
        plan = self.plan
        per_group = plan.filters // plan.groups
        if part.flags.c_contiguous and (not self.merged or len(part) == 1):
            return part.reshape(len(part), -1, per_group, plan.positions), True
        if self.buffer.size < part.size:
            self.buffer = np.empty(part.size, part.dtype)
        shape = (
            (1, -1, per_group, len(part) * plan.positions)
            if self.merged
            else (len(part), -1, per_group, plan.positions)
        )
        return self.buffer[: part.size].reshape(shape), False

    def at(self, matrices: Any, slab: Slab) -> Any:
        """Their columns for a slab; where images are merged, there is only one slab."""
        return matrices if self.merged else matrices[..., slab.places]

    def shaped(self, matrices: Any, part: Any) -> Any:
        """The matrices in the shape of the part that they are for."""
        return rows(matrices, (part.shape[1],), len(part), self.plan.out, self.merged)


def positions(x: Any, weight: Any, *, data_format: str = "channels_first", groups: int = 1, **windows: Any) -> int:
    """How many values each channel of the output has."""
    plan = geometry(first(x, data_format).shape, weight.shape, groups=groups, **windows)
    return plan.batch * plan.positions


def first(x: Any, data_format: str) -> Any:
    """x as (N, C, *S)."""
    return x if data_format == "channels_first" else np.moveaxis(x, -1, 1)


def empty(data_format: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of shape (N, C, *S), in memory as data_format has it."""
    if data_format == "channels_first":
        return np.empty(shape, dtype)
    return np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)
