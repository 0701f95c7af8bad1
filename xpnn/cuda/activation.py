"""Activations for CuPy: each forward and each backward is one pass over memory; the host side of activation.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = [
    "Activation",
    "elu",
    "gelu",
    "instantiations",
    "leaky_relu",
    "plan",
    "relu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
]

# As in the kernel file.
_FILE = "activation.cu"
_KINDS = ("relu", "tanh", "sigmoid", "silu", "gelu", "gelu_tanh", "softplus", "elu", "leaky_relu")
_THREADS = 256
_IN_FLIGHT = {True: 2, False: 4}  # vectors, or single elements, of a thread
_MOST_BLOCKS = 1 << 15
_FLOPS = 8  # of an element, about: the activations differ, and wait for memory


@dataclass(frozen=True)
class Activation:
    """An implementation for Primitive.add: one of _KINDS.

    options: the names and defaults of its numbers, in the order in which the kernel takes them. of_value: backward reads y.
    """

    kind: str
    options: tuple[tuple[str, float], ...] = ()
    of_value: bool = False
    __name__ = __name__

    def refusal(self, x: Any, **static: Any) -> str | None:
        for name, value in static.items():
            if not isinstance(value, int | float):
                return f"{name} of {type(value).__name__}"
        return refuse_dtypes(x)

    def forward(self, x: Any, *, need: tuple[bool, ...], **static: Any) -> tuple[Any, Any]:
        return _forward(self.kind, contiguous(x), self._numbers(static), self.of_value, need[0])

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
        return (_backward(residuals, g),)

    def _numbers(self, static: dict[str, Any]) -> tuple[float, float]:
        a, b, *_ = *(float(static.get(name, default)) for name, default in self.options), 0.0, 0.0
        return a, b


@dataclass(frozen=True)
class Gelu(Activation):
    """gelu, whose option names one of two kinds."""

    def refusal(self, x: Any, *, approximate: str = "none") -> str | None:  # type: ignore[override]
        return refuse_dtypes(x) if approximate in ("none", "tanh") else f"approximate {approximate}"

    def forward(self, x: Any, *, approximate: str = "none", need: tuple[bool, ...]) -> tuple[Any, Any]:  # type: ignore[override]
        kind = "gelu_tanh" if approximate == "tanh" else "gelu"
        return _forward(kind, contiguous(x), (0.0, 0.0), self.of_value, need[0])


relu = Activation("relu", of_value=True)
tanh = Activation("tanh", of_value=True)
sigmoid = Activation("sigmoid", of_value=True)
silu = Activation("silu")
gelu = Gelu("gelu")
softplus = Activation("softplus", (("beta", 1.0), ("threshold", 20.0)))
elu = Activation("elu", (("alpha", 1.0),))
leaky_relu = Activation("leaky_relu", (("negative_slope", 0.01),))


def _forward(kind: str, x: Any, numbers: tuple[float, float], of_value: bool, need: bool) -> tuple[Any, Any]:
    y = raw_namespace(x).empty_like(x)
    _launch(kind, y, None, x, numbers)
    return y, (kind, y if of_value else x, numbers) if need else None


def _backward(residuals: Any, g: Any) -> Any:
    kind, saved, numbers = residuals
    dx = raw_namespace(saved).empty_like(saved)
    _launch(kind, dx, contiguous(g), saved, numbers)
    return dx


def _launch(kind: str, out: Any, g: Any, x: Any, numbers: tuple[float, float]) -> None:
    """out = f(x), or g * f'(x) where there is a g."""
    aligned = is_aligned(out, g, x)
    own = plan(dtype_name(x.dtype), x.size, backward=g is not None, aligned=aligned)
    arguments = own.layout(
        out=out, g=g, x=x, count=x.size, kind=_KINDS.index(kind), aligned=aligned, a=numbers[0], b=numbers[1]
    )
    launch(own, arguments)


@functools.lru_cache(1024)
def plan(dtype: str, count: int, *, backward: bool, aligned: bool) -> Plan:
    """The launch over `count` elements; aligned: all arrays begin at multiples of 16 bytes."""
    width = VECTOR // ITEM_SIZE[dtype] if aligned and count >= VECTOR // ITEM_SIZE[dtype] else 1
    blocks = -(-count // (width * _IN_FLIGHT[width > 1] * _THREADS))
    return Plan(
        file=_FILE,
        entry=f"activation_{'backward' if backward else 'forward'}<{C_TYPES[dtype]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(min(blocks, _MOST_BLOCKS), 1, 1),
        block=(_THREADS, 1, 1),
        bytes=(3 if backward else 2) * count * ITEM_SIZE[dtype],
        flops=_FLOPS * count,
    )


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that `plan` can ask for."""
    for dtype in C_TYPES:
        for backward in (False, True):
            yield plan(dtype, 1, backward=backward, aligned=True)


@functools.cache
def _layout(t: str) -> Layout:
    arrays = ("out", f"{t}*"), ("g", f"const {t}*"), ("x", f"const {t}*")
    numbers = ("count", "long long"), ("kind", "int"), ("aligned", "int"), ("a", "float"), ("b", "float")
    return Layout(f"ActivationArguments<{t}>", (*arrays, *numbers))
