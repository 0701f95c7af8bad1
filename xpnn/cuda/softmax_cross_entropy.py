"""softmax_cross_entropy for CuPy, in all the cases of the reference; the host side of softmax_cross_entropy.cu.

The kernels give the loss and the gradient of the logits. That of given probabilities or of class weights, which hardly anyone
asks for, is made of array functions and the kernel of log_softmax.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import contiguous
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan
from .softmax import forward_into as softmax_into
from .softmax_tiling import GEOMETRY, MOST_LENGTH, PIECES, REST, WHOLE, Rows, geometry, placed, rows_of, tiling

__all__ = ["backward", "backward_plan", "forward", "forward_plans", "instantiations", "refusal"]

_FILE = "softmax_cross_entropy.cu"
_THREADS = 256
_REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}  # as in the kernel file


class _Call(NamedTuple):
    """What forward and backward have in common; arrays contiguous, labels of 32 or 64 bits."""

    logits: Any
    target: Any
    weight: Any
    rows: Rows
    ignore_index: int
    label_smoothing: float
    reduction: str

    @property
    def axis(self) -> int:
        return 0 if self.logits.ndim == 1 else 1

    @property
    def of_labels(self) -> bool:
        return bool(self.target.dtype.kind in "iu")

    @property
    def counted(self) -> bool:
        """Whether anything is added up over the rows."""
        return self.reduction != "none"

    def compared(self) -> dict[str, Any]:
        """The fields of what the rows are compared with."""
        size = self.target.dtype.itemsize if self.of_labels else 0
        return {
            "shares": None if size else self.target,
            "labels": self.target if size == 4 else None,
            "long_labels": self.target if size == 8 else None,
            "weight": self.weight,
            "ignore_index": self.ignore_index,
        }


def refusal(
    logits: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> str | None:
    """In words; also what the reference raises for."""
    axis = 0 if logits.ndim == 1 else 1
    if logits.ndim == 0 or not 0 < logits.shape[axis] <= MOST_LENGTH:
        return f"logits of shape {logits.shape}"
    of_labels = target.dtype.kind in "iu"
    if target.shape != (logits.shape[:axis] + logits.shape[axis + 1 :] if of_labels else logits.shape):
        return f"targets of shape {target.shape} for logits of shape {logits.shape}"
    if weight is not None and weight.shape != (logits.shape[axis],):
        return f"weights of shape {weight.shape}"
    if reduction not in _REDUCTIONS or not 0 <= label_smoothing <= 1 or not -(2**63) <= ignore_index < 2**63:
        return "options"
    return refuse_dtypes(logits, weight, None if of_labels else target)


def forward(
    logits: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    xp = raw_namespace(logits)
    rows = rows_of(dtype_name(logits.dtype), logits.shape, 0 if logits.ndim == 1 else 1)
    target = _as_kernel_reads(target)
    weight = None if weight is None else contiguous(weight)
    call = _Call(contiguous(logits), target, weight, rows, ignore_index, label_smoothing, reduction)
    labels = logits.shape[: call.axis] + logits.shape[call.axis + 1 :]
    loss = xp.empty(() if call.counted else labels, dtype=logits.dtype)
    kept = xp.empty(3 * rows.number + 1, dtype=xp.float32) if True in need else None
    if rows.number:
        _launch_forward(xp, call, loss, kept)
    elif call.counted:
        loss = xp.full((), 0.0 if reduction == "sum" else xp.nan, dtype=logits.dtype)
    return loss, None if kept is None else (call, loss, kept)


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any]:
    call, loss, kept = residuals
    g = contiguous(raw_namespace(kept).asarray(g))  # which NumPy would make a scalar
    dlogits = _of_logits(call, kept, g) if need[0] else None
    if not need[1] and not need[2]:
        return dlogits, None, None
    return dlogits, *_of_target_and_weight(call, loss, kept, g, need)


@functools.lru_cache(1024)
def forward_plans(rows: Rows, *, probabilities: bool, counted: bool, aligned: bool) -> tuple[Plan, ...]:
    """The launch over the rows, and a second one where they are in pieces, or in several blocks whose losses are counted.

    aligned: what placed() says of logits, and probabilities.
    """
    tiles = tiling(rows, aligned=aligned)
    parts = 16 * rows.number * tiles.pieces if tiles.pieces > 1 else 0
    entry, layout = f"softmax_cross_entropy_forward{tiles.template}", _forward_layout(C_TYPES[rows.dtype])
    own = rows.number * (ITEM_SIZE[rows.dtype] + 12 + (0 if probabilities else 8))
    main = Plan(
        file=_FILE,
        entry=entry,
        layout=layout,
        grid=tiles.grid,
        block=tiles.block,
        bytes=(2 if probabilities else 1) * rows.bytes + (parts or own),
        flops=4 * rows.size,
    )
    if parts:
        return main, Plan(
            file=_FILE, entry=entry, layout=layout, grid=(1, 1, 1), block=tiles.block, bytes=parts + own, flops=parts
        )
    if not counted or tiles.tiles == 1:
        return (main,)
    return main, Plan(
        file=_FILE,
        entry=f"softmax_cross_entropy_sum<{C_TYPES[rows.dtype]}>",
        layout=_sum_layout(C_TYPES[rows.dtype]),
        grid=(1, 1, 1),
        block=(_THREADS, 1, 1),
        bytes=8 * tiles.tiles,
        flops=2 * tiles.tiles,
    )


@functools.lru_cache(1024)
def backward_plan(rows: Rows, *, probabilities: bool, aligned: bool) -> Plan:
    """The one launch of the backward; aligned: logits, their gradient, and probabilities."""
    tiles = tiling(rows, aligned=aligned)
    return Plan(
        file=_FILE,
        entry=f"softmax_cross_entropy_backward{tiles.template}",
        layout=_backward_layout(C_TYPES[rows.dtype]),
        grid=tiles.grid,
        block=tiles.block,
        bytes=(3 if probabilities else 2) * rows.bytes + rows.number * (12 + (0 if probabilities else 8)),
        flops=5 * rows.size,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for rows, aligned in [
            (Rows(dtype, 1, 8, 1), True),
            (Rows(dtype, 1, 1, 8), True),
            (Rows(dtype, 999, 8, 1), False),
        ]:
            yield from forward_plans(rows, probabilities=False, counted=True, aligned=aligned)
            yield backward_plan(rows, probabilities=False, aligned=aligned)


def _as_kernel_reads(target: Any) -> Any:
    """Labels of 32 or 64 bits, probabilities as they are; contiguous."""
    if target.dtype.kind in "iu" and dtype_name(target.dtype) not in ("int32", "int64"):
        return target.astype("int64")
    return contiguous(target)


def _launch_forward(xp: Any, call: _Call, loss: Any, kept: Any) -> None:
    rows, shares = call.rows, None if call.of_labels else call.target
    aligned = placed(rows, call.logits, shares)
    main, *last = forward_plans(rows, probabilities=shares is not None, counted=call.counted, aligned=aligned)
    tiles = tiling(rows, aligned=aligned)
    in_pieces, blocks = tiles.pieces > 1, tiles.tiles
    parts = xp.empty((rows.number, tiles.pieces, 4), dtype=xp.float32) if in_pieces else None
    sums = xp.empty((blocks, 2), dtype=xp.float32) if last and not in_pieces else None
    common = {"x": call.logits, **call.compared(), **geometry(rows, aligned=aligned)}
    options = {"reduction": _REDUCTIONS[call.reduction], "smoothing": call.label_smoothing}
    for plan, stage in ((main, PIECES), *((plan, REST) for plan in last)) if in_pieces else ((main, WHOLE),):
        written = {"loss": loss, "kept": kept, "sums": sums, "parts": parts}
        launch(plan, plan.layout(**written, **common, stage=stage, **options))
    if sums is not None:
        (plan,) = last
        numbers = {"rows": rows.number, "blocks": blocks, "reduction": options["reduction"]}
        launch(plan, plan.layout(loss=loss, kept=kept, sums=sums, **numbers))


def _of_logits(call: _Call, kept: Any, g: Any) -> Any:
    xp = raw_namespace(call.logits)
    dlogits = xp.empty_like(call.logits)
    shares = None if call.of_labels else call.target
    aligned = placed(call.rows, call.logits, dlogits, shares)
    plan = backward_plan(call.rows, probabilities=shares is not None, aligned=aligned)
    arrays = {"dx": dlogits, "g": g, "kept": kept, "x": call.logits, **call.compared()}
    options = {"reduction": _REDUCTIONS[call.reduction], "smoothing": call.label_smoothing}
    launch(plan, plan.layout(**arrays, **geometry(call.rows, aligned=aligned), **options))
    return dlogits


def _of_target_and_weight(call: _Call, loss: Any, kept: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any]:
    """From loss = -sum_c w_c q_c log p_c of each row, q the smoothed target, and the count that the mean divides by."""
    xp = raw_namespace(call.logits)
    axis, smoothing, classes = call.axis, call.label_smoothing, call.rows.length
    along = (classes,) + (1,) * (call.logits.ndim - 1 - axis)
    dtype = call.logits.dtype
    g = _wide(g) / kept[-1] if call.reduction == "mean" else _wide(g)
    minus = -_wide(softmax_into(call.logits, axis, log=True)) * (g if call.counted else xp.expand_dims(g, axis=axis))
    weight = 1.0 if call.weight is None else xp.reshape(_wide(call.weight), along)
    dtarget = xp.astype(minus * weight * (1 - smoothing), dtype) if need[1] else None
    if not need[2]:
        return dtarget, None
    others = tuple(i for i in range(call.logits.ndim) if i != axis)
    if not call.of_labels:
        q = _wide(call.target) * (1 - smoothing) + smoothing / classes
        return dtarget, xp.astype(xp.sum(q * minus, axis=others), dtype)
    labels = xp.expand_dims(call.target.astype("int64"), axis=axis)
    hits = _wide((labels == xp.reshape(xp.arange(classes), along)) & (labels != call.ignore_index))
    q = hits * (1 - smoothing) + _wide(labels != call.ignore_index) * (smoothing / classes)
    dweight = xp.sum(q * minus, axis=others)
    if call.reduction == "mean":
        dweight = dweight - xp.sum(hits, axis=others) * (_wide(loss) * g)
    return dtarget, xp.astype(dweight, dtype)


def _wide(x: Any) -> Any:
    """x in float32."""
    return x.astype("float32")


def _compared(t: str) -> tuple[tuple[str, str], ...]:
    arrays = ("shares", f"const {t}*"), ("labels", "const int*"), ("long_labels", "const long long*")
    return (*arrays, ("weight", f"const {t}*"), ("ignore_index", "long long"))


_OPTIONS = ("reduction", "int"), ("smoothing", "float")


@functools.cache
def _forward_layout(t: str) -> Layout:
    written = ("loss", f"{t}*"), ("kept", "float*"), ("sums", "float*"), ("parts", "float*")
    fields = (*written, ("x", f"const {t}*"), *_compared(t), *GEOMETRY, ("stage", "int"), *_OPTIONS)
    return Layout(f"ForwardArguments<{t}>", fields)


@functools.cache
def _sum_layout(t: str) -> Layout:
    numbers = ("rows", "long long"), ("blocks", "int"), ("reduction", "int")
    return Layout(f"SumArguments<{t}>", (("loss", f"{t}*"), ("kept", "float*"), ("sums", "const float*"), *numbers))


@functools.cache
def _backward_layout(t: str) -> Layout:
    read = ("dx", f"{t}*"), ("g", f"const {t}*"), ("kept", "const float*"), ("x", f"const {t}*")
    return Layout(f"BackwardArguments<{t}>", (*read, *_compared(t), *GEOMETRY, *_OPTIONS))
