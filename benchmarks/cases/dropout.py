"""dropout on a batch of hidden vectors. No peer: every library draws another mask, so results cannot be compared."""

from __future__ import annotations

from xpnn import ops
from xpnn.random import Key

from ..case import Case, normal

CASES = [
    Case(
        name="dropout (256, 512)",
        make=lambda rng: (normal(rng, 256, 512),),
        run=lambda x: ops.dropout(x, 0.5, key=Key(0)),
    )
]
