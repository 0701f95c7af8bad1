"""What lstm, gru and rnn for CuPy share: their conditions, the buffers of a layer, and the products around the loop over time.

Forward: one product for the inputs of all times, then the loop. Backward: the loop, then one product each for dx, dw_ih and dw_hh.
The states of all times lie in one buffer with one slot more than times, a reverse layer fills it from its end: the output, the
states before all steps and those after are views of it, and no direction needs a copy.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from . import bias_activation, recurrent_before, recurrent_cluster, recurrent_persistent, recurrent_step
from .arrays import contiguous
from .dtypes import dtype_name, refuse_dtypes
from .recurrent_kernels import GRU_BEFORE, Cell, wide

__all__ = [
    "Residuals",
    "backward",
    "buffers",
    "flags",
    "forward",
    "options",
    "products",
    "refuse_recurrent",
    "rows",
    "way",
    "without",
]

# XPNN_RECURRENT, for tests and measurements: by itself, a launch a step, a sequence a launch by a block, or by a cluster of blocks.
_WAYS = ("auto", "steps", "persistent", "cluster")
_ASKED, _CHEAPER = "XPNN_RECURRENT", "cheaper by the model of the costs"
_MOST = 2**31 - 1  # what the kernels count in int


class Residuals(NamedTuple):
    """What backward needs: the arguments, the buffers of the forward by the names of the struct's fields, and the options."""

    x: Any
    w_ih: Any
    w_hh: Any
    lengths: Any
    reset: Any
    kept: dict[str, Any]
    reverse: bool
    relu: bool


def refuse_recurrent(
    gates: int, x: Any, states: Sequence[Any], weights: Sequence[Any], lengths: Any, reset: Any, w_hr: Any = None
) -> str | None:
    """Why the arrays of a recurrent layer are not for these kernels, or None."""
    w_ih, w_hh, b_ih, b_hh = weights
    if x.ndim != 3 or w_hh.ndim != 2:
        return "shapes"
    batch, hidden, width = x.shape[1], w_hh.shape[0] // gates, w_hh.shape[1]
    wanted: list[tuple[Any, tuple[int, ...]]] = [(w_ih, (gates * hidden, x.shape[2])), (w_hh, (gates * hidden, width))]
    wanted += [(b, (gates * hidden,)) for b in (b_ih, b_hh)] + [(w_hr, (width, hidden))]
    wanted += [(h, (batch, size)) for h, size in zip(states, (width, hidden), strict=False)]
    if (w_hr is None and width != hidden) or any(a is not None and a.shape != shape for a, shape in wanted):
        return "shapes"
    if lengths is not None and (lengths.shape != x.shape[1:2] or lengths.dtype.kind not in "iu"):
        return "lengths"
    if reset is not None and (reset.shape != x.shape[:2] or reset.dtype != bool):
        return "reset"
    if max(x.shape[0] + 1, x.shape[1], gates * hidden) > _MOST:
        return f"{x.shape[0]} times, {x.shape[1]} rows, {hidden} units"
    given = [a for a in (x, *states, *weights, w_hr) if a is not None]
    if all(dtype_name(a.dtype) == "float64" for a in given):
        return None
    return refuse_dtypes(*given)


def forward(
    cell: Cell, x: Any, states: Sequence[Any], weights: Sequence[Any], lengths: Any, reset: Any, *,
    reverse: bool, keep: bool, relu: bool = False,
) -> tuple[tuple[Any, ...], Residuals | None]:  # fmt: skip
    """(y, the last states) and what backward needs; states: h0, and c0 for a cell with c."""
    given: list[Any] = [None if w is None else contiguous(w) for w in (*weights, *states)]
    w_ih, w_hh, b_ih, b_hh, h0 = given[:5]
    (times, batch), hidden = x.shape[:2], w_hh.shape[1]
    xp = raw_namespace(x)
    lengths, reset = flags(xp, lengths, reset)
    values = {
        "gates": contiguous(xp.matmul(rows(x), w_ih.T)),
        **buffers(xp, cell, x.dtype, times, batch, hidden, keep=keep, ragged=lengths is not None),
        "h0": h0,
        "c0": given[5] if cell.has_c else None,
        "w": w_hh,
        "b_ih": b_ih,
        "b_hh": b_hh,
        "lengths": lengths,
        "reset": reset,
        "keep": int(keep),
        **options(cell, times, batch, hidden, reverse, relu),
    }
    if times:
        _way(cell, x, times, batch, hidden, reset).forward(cell, values)
    else:
        _hand_on(xp, values, {"h0": "h_last", "c0": "c_last"})
    y = values["y"] if lengths is not None else values["h"][:-1] if reverse else values["h"][1:]
    out = (y, values["h_last"], values["c_last"]) if cell.has_c else (y, values["h_last"])
    if not keep:
        return out, None
    kept = {name: values[name] for name in ("gates", "candidate", "h", "c")}
    if not cell.keeps_gates:
        kept["gates"] = None
    return out, Residuals(x, w_ih, w_hh, lengths, reset, kept, reverse, relu)


def flags(xp: Any, lengths: Any, reset: Any) -> tuple[Any, Any]:
    """lengths and reset as the kernels take them."""
    return (
        None if lengths is None else contiguous(lengths.astype(xp.int32)),
        None if reset is None else contiguous(reset).view(xp.uint8),
    )


def buffers(
    xp: Any, cell: Cell, dtype: Any, times: int, batch: int, hidden: int, *, keep: bool, ragged: bool
) -> dict[str, Any]:
    """What a forward writes beside the gates, by the names of the struct's fields."""
    state = (batch, hidden)

    def new(shape: tuple[int, ...], wanted: bool = True, kind: Any = None) -> Any:
        return xp.empty(shape, dtype=dtype if kind is None else kind) if wanted else None

    return {
        "candidate": new((times, *state), keep and cell.keeps_candidate),
        "h": new((times + 1, *state)),
        "c": new((times + 1, *state) if keep else state, cell.has_c, wide(dtype_name(dtype))),
        "y": new((times, *state), ragged),
        "h_last": new(state),
        "c_last": new(state, cell.has_c),
    }


def backward(cell: Cell, residuals: Residuals, g: Sequence[Any], need: Sequence[bool]) -> tuple[Any, ...]:
    """The gradients of x, the states, w_ih, w_hh, b_ih, b_hh, lengths and reset; g: of y and the last states."""
    x, w_ih, w_hh, lengths, reset, kept, reverse, relu = residuals
    (times, batch), hidden = x.shape[:2], w_hh.shape[1]
    xp = raw_namespace(x)
    dy, dh_last, dc_last = (None if d is None else contiguous(d) for d in (*g, None)[:3])
    gates, state = (times * batch, cell.gates * hidden), (batch, hidden)
    # NOTE: beside the gates, not in their place: a pullback may be called again.
    values = {
        "dx": xp.empty(gates, dtype=x.dtype),
        "dh": None if cell.same else xp.empty(gates, dtype=x.dtype),
        "dh0": xp.empty(state, dtype=x.dtype),
        "dc0": xp.empty(state, dtype=x.dtype) if cell.has_c else None,
        "dy": dy,
        "dh_last": dh_last,
        "dc_last": dc_last,
        "w": w_hh,
        "lengths": lengths,
        "reset": reset,
        **kept,
        **options(cell, times, batch, hidden, reverse, relu),
    }
    if times:
        _way(cell, x, times, batch, hidden, reset).backward(cell, values)
    else:
        _hand_on(xp, values, {"dh_last": "dh0", "dc_last": "dc0"})
    states = (values["dh0"], values["dc0"]) if cell.has_c else (values["dh0"],)
    before = kept["h"][1:] if reverse else kept["h"][:-1]
    if reset is not None and need[3 + len(states)]:
        before = without(before, reset != 0)
    of_x, of_w_ih, of_w_hh, *of_biases = need[0], *need[1 + len(states) :]
    wanted = of_x, of_w_ih, of_w_hh and cell is not GRU_BEFORE, *of_biases
    dx, *weights = products(xp, x, w_ih, values["dx"], values["dx" if cell.same else "dh"], before, wanted)
    if cell is GRU_BEFORE and of_w_hh:
        weights[1] = recurrent_before.weights(xp, values["dx"], rows(before), rows(kept["candidate"]))
    return dx, *(d if wanted else None for d, wanted in zip(states, need[1:], strict=False)), *weights, None, None


def options(cell: Cell, times: int, batch: int, hidden: int, reverse: bool, relu: bool) -> dict[str, int]:
    """The numbers of both structs, by the names of their fields."""
    sizes = {"times": times, "batch": batch, "hidden": hidden}
    return {**sizes, "reverse": int(reverse), "relu": int(relu), "cell": cell.number}


def _way(cell: Cell, x: Any, times: int, batch: int, hidden: int, reset: Any = None) -> ModuleType:
    """Which of the loops over time runs."""
    return _choice(cell, x, times, batch, hidden, reset)[0]


def way(cell: Cell, x: Any, w_hh: Any, reset: Any) -> str:
    """Which of the loops over time runs, and why: "steps: reset", "persistent, by tensor cores of a block: …"."""
    module, why = _choice(cell, x, x.shape[0], x.shape[1], w_hh.shape[1], reset)
    if module in (recurrent_step, recurrent_before):
        return f"steps: {why}"
    if module is recurrent_cluster:
        return f"cluster: {why}"
    units = recurrent_persistent.fits(cell, dtype_name(x.dtype), w_hh.shape[1])
    by = "" if dtype_name(x.dtype) == "float32" else " by tensor cores"
    return f"persistent, a block with room for {units} units{by}: {why}"


def _choice(cell: Cell, x: Any, times: int, batch: int, hidden: int, reset: Any) -> tuple[ModuleType, str]:
    """The loop and the reason. The environment is read at each call, and cannot make a layer fit that does not."""
    asked = os.environ.get("XPNN_RECURRENT") or "auto"
    if asked not in _WAYS:
        raise ValueError(f"XPNN_RECURRENT: expected one of {', '.join(_WAYS)}, got {asked!r}")
    if cell is GRU_BEFORE:
        return recurrent_before, "reset_after=False"
    if reset is not None:
        return recurrent_step, "reset"
    dtype = dtype_name(x.dtype)
    if asked == "cluster" and recurrent_cluster.fits(cell, x, hidden):
        return recurrent_cluster, _ASKED
    if asked == "auto" and recurrent_persistent.pays(cell, dtype, times, batch, hidden):
        return recurrent_persistent, _CHEAPER
    if recurrent_persistent.fits(cell, dtype, hidden) is None:
        return recurrent_step, "no block has room for the weights"
    if asked == "auto":
        return recurrent_step, _CHEAPER
    return (recurrent_step if asked == "steps" else recurrent_persistent), _ASKED


def products(xp: Any, x: Any, w_ih: Any, dx: Any, dh: Any, before: Any, need: Sequence[bool]) -> tuple[Any, ...]:
    """The gradients of x, w_ih, w_hh, b_ih, b_hh from those of the gates' inputs, dx and dh (T N, G H)."""
    from_x = xp.matmul(dx, w_ih).reshape(x.shape) if need[0] else None
    dw_ih = xp.matmul(dx.T, rows(x)) if need[1] else None
    dw_hh = xp.matmul(dh.T, rows(before)) if need[2] else None
    db_ih = _sums(xp, dx) if need[3] else None
    if not need[4]:
        db_hh = None
    elif dh is dx and db_ih is not None:
        db_hh = db_ih.copy()
    else:
        db_hh = _sums(xp, dh)
    return from_x, dw_ih, dw_hh, db_ih, db_hh


def _sums(xp: Any, d: Any) -> Any:
    """d (M, F) -> its sums over the rows (F,)."""
    if dtype_name(d.dtype) == "float64":
        return xp.sum(d, axis=0)
    return bias_activation.backward(d, None, None, dx=False, db=True)[1]


def without(states: Any, mask: Any) -> Any:
    """A copy of the states (T, N, H), 0 where the mask (T, N) is true: by their bits, for any dtype."""
    states = states.copy()
    bits = states.view(f"u{states.dtype.itemsize}")
    bits *= raw_namespace(states).astype(~mask, bits.dtype)[:, :, None]  # x[mask] = 0 would make the host wait
    return states


def rows(x: Any) -> Any:
    """x (T, N, F) -> (T N, F)."""
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


def _hand_on(xp: Any, values: dict[str, Any], names: dict[str, str]) -> None:
    """Without any steps: what stands at one end, or zeros, is copied to the other."""
    for given, wanted in names.items():
        if values[wanted] is not None:
            values[wanted][...] = xp.zeros_like(values[wanted]) if values[given] is None else values[given]
