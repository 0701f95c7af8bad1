"""Activations for CuPy: each forward and each backward is one pass over memory; the host side of activation.cu."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from ..cpu.activation_kinds import Activation, every
from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import VECTOR, contiguous, is_aligned
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name, refuse_dtypes
from .launch import launch
from .plan import Plan

__all__ = [
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


class Kernel(Activation):
    """Of one of _KINDS."""

    __name__ = __name__

    def refuse(self, x: Any) -> str | None:
        return refuse_dtypes(x)

    def apply(self, kind: str, x: Any, a: float, b: float) -> tuple[Any, Any]:
        x = contiguous(x)
        y = raw_namespace(x).empty_like(x)
        _launch(kind, y, None, x, (a, b))
        return x, y

    def pull(self, kind: str, saved: Any, a: float, b: float, g: Any) -> Any:
        dx = raw_namespace(saved).empty_like(saved)
        _launch(kind, dx, contiguous(g), saved, (a, b))
        return dx


relu, tanh, sigmoid, silu, gelu, softplus, elu, leaky_relu = every(Kernel)


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
