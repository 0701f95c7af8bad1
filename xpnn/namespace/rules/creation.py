"""Creation functions: new arrays are constants of the trace; what is made from a traced array keeps its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..array import Array, box, unbox
from ..rule import Composite, Rule, Zero

_LIKE = "x, /, *, dtype=None, device=None"
_NEW = "shape, *, dtype=None, device=None"


def _full(xp: Any, shape: Any, fill_value: Any, dtype: Any, device: Any) -> Any:
    return xp.broadcast_to(xp.asarray(fill_value, dtype=dtype, device=device), shape)


def _full_like(xp: Any, x: Any, fill_value: Any, dtype: Any, device: Any) -> Any:
    return _full(xp, x.shape, fill_value, x.dtype if dtype is None else dtype, x.device if device is None else device)


def _linspace(xp: Any, start: Any, stop: Any, num: int, dtype: Any, device: Any, endpoint: bool) -> Any:
    dtype = xp.result_type(start, stop) if dtype is None else dtype
    device = next(x.device for x in (start, stop) if hasattr(x, "device")) if device is None else device
    steps = xp.arange(num, dtype=xp.float64, device=device) / max(num - 1 if endpoint else num, 1)
    return xp.astype(start * (1 - steps) + stop * steps, dtype)


def _arange(xp: Any, start: Any, stop: Any, step: Any, dtype: Any, device: Any) -> Any:
    raise TypeError("arange of a traced array has no gradient; use linspace, or xpnn.stop_gradient(x)")


RULES: dict[str, Any] = {
    "arange": Composite("start, /, stop=None, step=1, *, dtype=None, device=None", _arange),
    "empty": Zero(_NEW),
    "empty_like": Zero(_LIKE),
    "eye": Zero("n_rows, n_cols=None, /, *, k=0, dtype=None, device=None"),
    "full": Composite("shape, fill_value, *, dtype=None, device=None", _full),
    "full_like": Composite("x, /, fill_value, *, dtype=None, device=None", _full_like),
    "linspace": Composite("start, stop, /, num, *, dtype=None, device=None, endpoint=True", _linspace),
    "ones": Zero(_NEW),
    "ones_like": Zero(_LIKE),
    "tril": Rule("x, /, *, k=0", x=lambda xp, g, _out, _x, k: xp.tril(g, k=k)),
    "triu": Rule("x, /, *, k=0", x=lambda xp, g, _out, _x, k: xp.triu(g, k=k)),
    "zeros": Zero(_NEW),
    "zeros_like": Zero(_LIKE),
    # A cast is the identity for gradients; the sweep casts back.
    "astype": Rule("x, dtype, /, *, copy=True, device=None", x=lambda xp, g, _out, _x, _dtype, _copy, _device: g),
}


def asarray(xp: Any, module: Any) -> Callable[..., Any]:
    """asarray of the differentiable ``module`` over ``xp``: a traced array stays traced, a list of traced scalars is stacked."""

    def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
        if not any(type(item) is Array for item in _items(obj)) or (type(obj) is Array and obj._node is None):
            return box(xp.asarray(unbox(obj), dtype=dtype, device=device, copy=copy))
        if type(obj) is Array:
            return _converted(obj, dtype, copy)
        dtype = module.result_type(*_items(obj)) if dtype is None else dtype
        return module.stack([asarray(item, dtype=dtype, device=device) for item in obj])

    def _converted(x: Array, dtype: Any, copy: bool | None) -> Any:
        if dtype is None or dtype == x.dtype:
            return module.astype(x, x.dtype) if copy else x
        if copy is False:
            raise ValueError(f"asarray(copy=False) cannot turn {x.dtype} into {dtype} without a copy")
        return module.astype(x, dtype)

    return asarray


def _items(x: Any) -> list[Any]:
    """What stands in a nested sequence: arrays and numbers, whose dtypes decide about that of the whole."""
    return [item for part in x for item in _items(part)] if isinstance(x, list | tuple) else [x]


def from_dlpack(xp: Any) -> Callable[..., Any]:
    """from_dlpack over ``xp``: a traced array refuses to give its memory away."""

    def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
        options = {key: value for key, value in (("device", device), ("copy", copy)) if value is not None}
        return Array(xp.from_dlpack(x, **options))

    return from_dlpack
