"""causal_conv1d for CuPy: a launch forward, one or two backward; the host side of causal_conv1d.cu and causal_conv1d_rows.cu.

The plans depend on shapes and dtypes only, not on the GPU: all sums have the same bits on all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .conv_depthwise import sum_launch
from .conv_depthwise_shape import Launch
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = ["Problem", "backward", "backward_launches", "forward", "forward_launch", "instantiations", "refusal", "way"]

# As in the kernel files.
_COLUMNS, _ROWS, _THREADS, _MOST = "causal_conv1d.cu", "causal_conv1d_rows.cu", 128, 8
_ACTIVATIONS = {None: 0, "relu": 1, "silu": 2}
_SHORT = 4  # taps of the kernels that hold fewer of them
_BESIDE = 8
# Threads that keep the largest GPUs busy, and steps of a strip: the more, the fewer inputs are read twice.
_ENOUGH_THREADS, _LEAST_LENGTH, _MOST_LENGTH = 1 << 17, 16, 64
# Blocks of the backward: each slice of them is a row of sums to add.
_BACKWARD_BLOCKS = 2048
_LARGEST = 2**30  # what the kernels count in int


class Problem(NamedTuple):
    """x (batch, channels, steps), with the channels last (batch, steps, channels)."""

    batch: int
    channels: int
    steps: int
    taps: int
    last: bool

    @property
    def elements(self) -> tuple[int, int, int]:
        """Of x, of the weight, of the state."""
        sequences = self.batch * self.channels
        return sequences * self.steps, self.channels * self.taps, sequences * (self.taps - 1)


def refusal(
    x: Any, weight: Any, bias: Any, state: Any, *, activation: str | None = None, data_format: str = "channels_first"
) -> str | None:
    if data_format not in ("channels_first", "channels_last"):
        return f"data_format {data_format}"
    if activation not in _ACTIVATIONS:
        return f"activation {activation}"
    if x.ndim != 3 or weight.ndim != 3:
        return "shapes"
    own = _problem(x, weight, data_format)
    if weight.shape != (own.channels, 1, own.taps) or (bias is not None and bias.shape != (own.channels,)):
        return "shapes"
    if state is not None and state.shape != _state_shape(own):
        return "shapes"
    if not 2 <= own.taps <= _MOST:
        return f"a kernel of {own.taps} elements"
    if max(own.batch * own.channels, own.batch * (own.steps + 3), own.channels * own.taps) >= _LARGEST:
        return f"2^30 or more sequences, steps or weights: x {x.shape}, weight {weight.shape}"
    return refuse_dtypes(x, weight, bias, state)


def way(
    x: Any, weight: Any, bias: Any, state: Any, *, activation: str | None = None, data_format: str = "channels_first"
) -> str:
    return "vectors of channels" if data_format == "channels_last" else "vectors of time"


def forward(
    x: Any,
    weight: Any,
    bias: Any,
    state: Any,
    *,
    activation: str | None = None,
    data_format: str = "channels_first",
    need: tuple[bool, ...],
) -> tuple[Any, Any]:
    own = _problem(x, weight, data_format)
    x, weight, bias, state = (None if a is None else contiguous(a) for a in (x, weight, bias, state))
    xp = raw_namespace(x)
    y = xp.empty_like(x)
    if x.size:
        after = xp.empty(_state_shape(own), dtype=x.dtype)
        aligned = is_aligned(x, weight, bias, state, y, after)
        plan, numbers = forward_launch(dtype_name(x.dtype), own, activation, aligned=aligned)
        launch(plan, plan.layout(y=y, after=after, x=x, weight=weight, bias=bias, before=state, **numbers))
    else:
        after = xp.zeros(_state_shape(own), dtype=x.dtype) if state is None else state.copy()
    return (y, after), (x, weight, bias, state, own, activation) if True in need else None


def backward(residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any, Any, Any, Any]:
    x, weight, bias, state, own, activation = residuals
    xp = raw_namespace(x)
    gy, gafter = (None if a is None else contiguous(a) for a in g)
    if not x.size:
        new = [xp.zeros_like(a) if wanted else None for a, wanted in zip((x, weight, bias), need[:3], strict=True)]
        return (*new, _passed_on(state, gafter) if need[3] else None)  # type: ignore[return-value]
    if gy is None:
        gy = xp.zeros_like(x)
    dx, dweight, db, dbefore = (
        xp.empty_like(a) if wanted else None for a, wanted in zip((x, weight, bias, state), need, strict=True)
    )
    aligned = is_aligned(x, weight, bias, state, gy, gafter, dx, dbefore)
    main, *last = backward_launches(dtype_name(x.dtype), own, activation, sums=need[1] or need[2], aligned=aligned)
    sums = xp.empty(last[0].numbers["slices"] * last[0].numbers["columns"], dtype=xp.float32) if last else None
    own_sums = {"dweight": None, "db": None} if last else {"dweight": dweight, "db": db}
    read = {"g": gy, "gafter": gafter, "x": x, "weight": weight, "bias": bias, "before": state}
    launch(main.plan, main.plan.layout(dx=dx, dbefore=dbefore, **own_sums, sums=sums, **read, **main.numbers))
    for plan, numbers in last:
        launch(plan, plan.layout(dweight=dweight, db=db, sums=sums, **numbers))
    return dx, dweight, db, dbefore


def _problem(x: Any, weight: Any, data_format: str) -> Problem:
    last = data_format == "channels_last"
    batch, channels, steps = (x.shape[0], x.shape[2], x.shape[1]) if last else x.shape
    return Problem(batch, channels, steps, weight.shape[2], last)


def _state_shape(own: Problem) -> tuple[int, int, int]:
    kept = own.taps - 1
    return (own.batch, kept, own.channels) if own.last else (own.batch, own.channels, kept)


def _passed_on(state: Any, gafter: Any) -> Any:
    """The gradient of the state where there is no step."""
    return raw_namespace(state).zeros_like(state) if gafter is None else gafter.copy()


@functools.lru_cache(1024)
def forward_launch(dtype: str, own: Problem, activation: str | None, *, aligned: bool) -> Launch:
    """aligned: all arrays begin at multiples of 16 bytes."""
    x, weight, state = own.elements
    numbers: dict[str, int]
    if own.last:
        held, width = _held(dtype, own, aligned, VECTOR // ITEM_SIZE[dtype], 4)
        block, tiles, strips, length = _tiling(own, width)
        entry, grid = f"causal_columns_forward<{C_TYPES[dtype]}, {held}, {width}>", -(-own.batch * strips // block[1])
        numbers = {"strips": strips, "length": length, "tiles": tiles, "chunks": 0, "stack": 0, "vector": 0}
    else:
        entry, block = f"causal_rows_forward<{C_TYPES[dtype]}>", (_THREADS, 1)
        chunks = _chunks(dtype, own)
        stack = max(_THREADS // chunks, 1)
        tiles = -(-chunks // _THREADS)
        grid = -(-own.batch * own.channels // stack)
        numbers = {"strips": 0, "length": 0, "tiles": tiles, "chunks": chunks, "stack": stack, "vector": int(aligned)}
    plan = Plan(
        file=_COLUMNS if own.last else _ROWS,
        entry=entry,
        layout=_layout(C_TYPES[dtype], backward=False),
        grid=(grid * tiles, 1, 1),
        block=(*block, 1),
        bytes=(2 * x + weight + 2 * state) * ITEM_SIZE[dtype],
        flops=2 * x * own.taps,
    )
    return Launch(plan, {**_sizes(own, activation), **numbers})


@functools.lru_cache(1024)
def backward_launches(
    dtype: str, own: Problem, activation: str | None, *, sums: bool, aligned: bool
) -> tuple[Launch, ...]:
    """The launch of the backward, and that of depthwise_sum if sums are wanted and there are several slices."""
    x, weight, state = own.elements
    numbers: dict[str, int]
    if own.last:
        held, width = _held(dtype, own, aligned, 4, 2)
        block, beside, strips, length = _tiling(own, width)
        entry, items, most = f"causal_columns_backward<{C_TYPES[dtype]}, {held}, {width}>", own.batch * strips, block[1]
        numbers = {"strips": strips, "length": length, "tiles": beside, "chunks": 0, "ahead": 0, "vector": 0}
    else:
        ahead = _BESIDE * ITEM_SIZE[dtype] // VECTOR
        chunks = _chunks(dtype, own) + ahead
        entry, items, beside = f"causal_rows_backward<{C_TYPES[dtype]}>", own.batch * chunks, own.channels
        most = min(-(-items // 32) * 32, _THREADS)
        block = most, 1
        numbers = {"strips": 0, "length": 0, "tiles": 0, "chunks": chunks, "ahead": ahead, "vector": int(aligned)}
    each = -(-items // (most * max(_BACKWARD_BLOCKS // beside, 1))) * most
    slices = -(-items // each)
    plan = Plan(
        file=_COLUMNS if own.last else _ROWS,
        entry=entry,
        layout=_layout(C_TYPES[dtype], backward=True),
        grid=(slices * beside, 1, 1),
        block=(*block, 1),
        bytes=(3 * x + weight + 3 * state) * ITEM_SIZE[dtype] + (4 * slices * (weight + own.channels) if sums else 0),
        flops=(6 if activation else 4) * x * own.taps,
    )
    main = Launch(plan, {**_sizes(own, activation), **numbers, "each": each})
    if slices == 1 or not sums:
        return (main,)
    return main, sum_launch(dtype, slices, weight + own.channels, weight)


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        for taps, last, aligned in (
            (_SHORT, True, True),
            (_MOST, True, True),
            (_MOST, True, False),
            (_MOST, False, True),
        ):
            own = Problem(1, 8, 64, taps, last)
            yield forward_launch(dtype, own, None, aligned=aligned).plan
            yield backward_launches(dtype, own, None, sums=True, aligned=aligned)[0].plan


def _held(dtype: str, own: Problem, aligned: bool, short: int, long: int) -> tuple[int, int]:
    """(taps that a thread of causal_columns holds, channels that move at once): short, long for few taps and for many."""
    held, width = (_SHORT, short) if own.taps <= _SHORT else (_MOST, long)
    return (held, width) if aligned and own.channels % width == 0 else (_MOST, 1)


def _tiling(own: Problem, width: int) -> tuple[tuple[int, int], int, int, int]:
    """(block: vectors of channels, strips; blocks side by side; strips of a sequence; steps of a strip)."""
    groups = -(-own.channels // width)
    beside = min(32, 1 << (groups - 1).bit_length())
    shared = own.batch * own.steps * groups // _ENOUGH_THREADS
    length = min(max(1 << max(shared.bit_length() - 1, 0), _LEAST_LENGTH), _MOST_LENGTH)
    return (beside, _THREADS // beside), -(-groups // beside), -(-own.steps // length), length


def _chunks(dtype: str, own: Problem) -> int:
    """Vectors that a row may touch: one more where rows may begin within one."""
    width = VECTOR // ITEM_SIZE[dtype]
    return (own.steps - 2) // width + 2 if own.steps % width else own.steps // width


def _sizes(own: Problem, activation: str | None) -> dict[str, int]:
    sizes = {"batch": own.batch, "channels": own.channels, "steps": own.steps, "taps": own.taps}
    return {**sizes, "activation": _ACTIVATIONS[activation]}


@functools.cache
def _layout(t: str, backward: bool) -> Layout:
    """ForwardArguments<t>, or BackwardArguments<t>."""
    written = ("dx", "dbefore", "dweight", "db") if backward else ("y", "after")
    read = ("g", "gafter") if backward else ()
    arrays = (
        *((name, f"{t}*") for name in written),
        *((("sums", "float*"),) if backward else ()),
        *((name, f"const {t}*") for name in (*read, "x", "weight", "bias", "before")),
    )
    names = ("batch", "channels", "steps", "taps", "activation", "strips", "length", "tiles", "chunks")
    more = ("ahead", "vector", "each") if backward else ("stack", "vector")
    name = "BackwardArguments" if backward else "ForwardArguments"
    return Layout(f"{name}<{t}>", (*arrays, *((n, "int") for n in (*names, *more))))
