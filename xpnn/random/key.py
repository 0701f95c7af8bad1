"""Keys: the explicit origin of random numbers."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from numbers import Real
from typing import Any

from xpnn.random import philox

# Children of a key come from blocks that no draw reaches: the two top bits of the block number say for what.
_SPLIT = 0b10 << 62
_FOLD = 0b11 << 62


@dataclass(frozen=True, slots=True)
class Key:
    """A place in the space of random numbers: a 64-bit seed and one of its 2**64 streams.

    The same key always gives the same numbers, so a key serves for one draw; `split` and `fold` make new ones.
    """

    seed: int
    stream: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole("seed", self.seed, 64))
        object.__setattr__(self, "stream", whole("stream", self.stream, 64))

    def split(self, n: int = 2) -> tuple[Key, ...]:
        """`n` independent keys. The first ones do not depend on `n`, and none equals a `fold`."""
        return tuple(self._child(_SPLIT, i) for i in range(whole("n", n, 62)))

    def fold(self, i: int) -> Key:
        """The independent key number `i` (0 <= i < 2**62), say of a step, an epoch or a layer."""
        return self._child(_FOLD, whole("i", i, 62))

    def _child(self, purpose: int, i: int) -> Key:
        number = purpose | i
        counter = (number & philox.MASK, number >> 32, self.stream & philox.MASK, self.stream >> 32)
        w0, w1, w2, w3 = philox.block(counter, self.seed)
        return Key(w0 | w1 << 32, w2 | w3 << 32)


def integer(name: str, value: int) -> int:
    """`value` as a Python integer, or an error that names it."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}") from None


def numbers(**values: Any) -> None:
    """Raises TypeError unless all are real numbers."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name}: expected a number, got {type(value).__name__}")


def whole(name: str, value: int, bits: int) -> int:
    """`value` as a Python integer of at most `bits` bits and no sign, or an error that names it."""
    number = integer(name, value)
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name}: expected 0 <= {name} < 2**{bits}, got {number}")
    return number
