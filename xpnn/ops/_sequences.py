"""What the references of the recurrent layers have in common: checks, initial states, and the loop over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ._checks import check_floating, check_word

__all__ = ["check_nonlinearity", "check_recurrent", "input_products", "run"]


def check_nonlinearity(nonlinearity: Any) -> None:
    """Raises ValueError unless it is one of an Elman network."""
    check_word("nonlinearity", nonlinearity, "tanh", "relu")


def check_recurrent(gates: int, x: Any, states: dict[str, Any], weights: dict[str, Any]) -> None:
    """Raises ValueError unless the arrays of a recurrent layer fit together; with "w_hr", h has its rows for features."""
    for name, array in {"x": x, **states}.items():
        if array is not None:
            check_floating(name, array)
    if x.ndim != 3:
        raise ValueError(f"x: expected shape (T, N, I), got {x.shape}")
    w_hh, w_hr = weights["w_hh"], weights.get("w_hr")
    if w_hh.ndim != 2 or w_hh.shape[0] % gates or (w_hr is None and w_hh.shape[0] != gates * w_hh.shape[1]):
        raise ValueError(f"w_hh: expected shape ({gates} H, {'H' if w_hr is None else 'P'}), got {w_hh.shape}")
    hidden, width = w_hh.shape[0] // gates, w_hh.shape[1]
    expected = {"w_ih": (gates * hidden, x.shape[2]), "b_ih": (gates * hidden,), "b_hh": (gates * hidden,)}
    expected |= {"w_hh": w_hh.shape, "w_hr": (width, hidden), "h0": (x.shape[1], width), "c0": (x.shape[1], hidden)}
    for name, array in {**weights, **states}.items():
        if array is not None and array.shape != expected[name]:
            raise ValueError(
                f"{name}: expected shape {expected[name]} for x {x.shape} and H = {hidden}, got {array.shape}"
            )


def input_products(xp: Any, x: Any, w_ih: Any, *biases: Any) -> Any:
    """What the inputs of all steps give to the gates: x (T, N, I) @ w_ih.T + biases -> (T, N, G)."""
    z = xp.matmul(x, xp.matrix_transpose(w_ih))
    for b in biases:
        z = z if b is None else z + b
    return z


def run(
    xp: Any,
    step: Callable[..., tuple[Any, ...]],
    inputs: Any,
    states: Sequence[Any],
    widths: Sequence[int],
    lengths: Any,
    reset: Any,
    reverse: bool,
) -> tuple[Any, ...]:
    """step(inputs at t, *states) -> new states, for all t in turn; the first state is the output.

    inputs (T, N, G), states (N, H) or None for zeros, widths: their H -> y (T, N, H) and the states of each row at its own end.
    """
    times, batch = inputs.shape[:2]
    nothing = [xp.zeros((batch, width), dtype=inputs.dtype, device=inputs.device) for width in widths]
    zeros = nothing[0]
    held = [zero if state is None else state for zero, state in zip(nothing, states, strict=True)]
    running, fresh = _running(xp, lengths, times, inputs), _fresh(xp, reset, inputs)
    order = range(times - 1, -1, -1) if reverse else range(times)
    at = xp.unstack(inputs)
    outputs = [zeros] * times
    for t in order:
        before = held if fresh is None else [xp.where(fresh[t], a, b) for a, b in zip(nothing, held, strict=True)]
        new = step(at[t], *before)
        if running is None:
            held, outputs[t] = list(new), new[0]
        else:
            held = [xp.where(running[t], a, b) for a, b in zip(new, held, strict=True)]
            outputs[t] = xp.where(running[t], new[0], zeros)
    y = xp.stack(outputs) if times else xp.zeros((0, *zeros.shape), dtype=inputs.dtype, device=inputs.device)
    return (y, *held)


def _running(xp: Any, lengths: Any, times: int, inputs: Any) -> Any:
    """For each time, which rows (N, 1) have not ended; None if all have the same length."""
    if lengths is None:
        return None
    if lengths.shape != inputs.shape[1:2] or not xp.isdtype(lengths.dtype, "integral"):
        raise ValueError(f"lengths: expected {inputs.shape[1]} integers, got {lengths.dtype} of shape {lengths.shape}")
    time = xp.arange(times, dtype=lengths.dtype, device=inputs.device)
    return xp.unstack(xp.expand_dims(xp.expand_dims(time, axis=1) < lengths, axis=2))


def _fresh(xp: Any, reset: Any, inputs: Any) -> Any:
    """For each time, which rows (N, 1) begin anew; None if none ever does."""
    if reset is None:
        return None
    if reset.shape != inputs.shape[:2] or not xp.isdtype(reset.dtype, "bool"):
        raise ValueError(
            f"reset: expected booleans of shape {inputs.shape[:2]}, got {reset.dtype} of shape {reset.shape}"
        )
    return xp.unstack(xp.expand_dims(reset, axis=2))
