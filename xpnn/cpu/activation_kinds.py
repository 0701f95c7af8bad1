"""The fused activations as values: their names and numbers, and what their backward reads; cuda/ and compiled/ make them run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Activation", "every"]


@dataclass(frozen=True)
class Activation:
    """An implementation for Primitive.add, but for what a subclass says: refuse, apply and pull.

    options: names and defaults of its numbers, two at most, in the order in which kernels take them. of_value: backward reads y.
    word: an option that names one of several kinds, and these by its values.
    """

    kind: str
    options: tuple[tuple[str, float], ...] = ()
    of_value: bool = False
    word: str | None = None
    kinds: tuple[tuple[Any, str], ...] = ()

    def refusal(self, x: Any, **static: Any) -> str | None:
        for name, value in static.items():
            if name == self.word:
                if value not in [word for word, _ in self.kinds]:
                    return f"{name} {value}"
            elif not isinstance(value, int | float):
                return f"{name} of {type(value).__name__}"
        return self.refuse(x)

    def forward(self, x: Any, *, need: tuple[bool, ...], **static: Any) -> tuple[Any, Any]:
        kind = dict(self.kinds)[static.get(self.word, self.kinds[0][0])] if self.word is not None else self.kind
        a, b, *_ = *(float(static.get(name, default)) for name, default in self.options), 0.0, 0.0
        x, y = self.apply(kind, x, a, b)
        return y, (kind, y if self.of_value else x, (a, b)) if need[0] else None

    def backward(self, residuals: Any, g: Any, need: Sequence[bool]) -> tuple[Any]:
        kind, saved, (a, b) = residuals
        return (self.pull(kind, saved, a, b, g),)

    def refuse(self, x: Any) -> str | None:
        """Why the array is not for this implementation, or None."""
        raise NotImplementedError(f"{type(self).__name__} has no refuse")

    def apply(self, kind: str, x: Any, a: float, b: float) -> tuple[Any, Any]:
        """(x as it was read, y)."""
        raise NotImplementedError(f"{type(self).__name__} has no apply")

    def pull(self, kind: str, saved: Any, a: float, b: float, g: Any) -> Any:
        """g times the slope, from y or x, whichever was saved."""
        raise NotImplementedError(f"{type(self).__name__} has no pull")


Kind = TypeVar("Kind", bound=Activation)


def every(of: type[Kind]) -> tuple[Kind, ...]:
    """relu, tanh, sigmoid, silu, gelu, softplus, elu, leaky_relu."""
    return (
        of("relu", of_value=True),
        of("tanh", of_value=True),
        of("sigmoid", of_value=True),
        of("silu"),
        of("gelu", word="approximate", kinds=(("none", "gelu"), ("tanh", "gelu_tanh"))),
        of("softplus", (("beta", 1.0), ("threshold", 20.0))),
        of("elu", (("alpha", 1.0),)),
        of("leaky_relu", (("negative_slope", 0.01),)),
    )
