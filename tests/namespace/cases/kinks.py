"""Points where a function has a kink, a pole or an infinite slope, and the gradient there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Kink:
    """A call at a point where the function has a kink, a pole or an infinite slope, and the gradient of the sum there."""

    name: str
    arrays: tuple[Any, ...]
    gradients: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(str(np.asarray(x).tolist()) for x in self.arrays)})"


def _kink(name: str, arrays: Any, gradients: Any, **options: Any) -> Kink:
    return Kink(name, tuple(np.asarray(x, dtype=np.float64) for x in arrays), tuple(gradients), options)


_INF = np.inf

KINKS = [
    _kink("abs", [[0.0, 1.0]], [[0.0, 1.0]]),
    _kink("sign", [[0.0]], [[0.0]]),
    _kink("maximum", [[1.0, 2.0], [1.0, 3.0]], [[0.5, 0.0], [0.5, 1.0]]),
    _kink("minimum", [[1.0, 2.0], [1.0, 3.0]], [[0.5, 1.0], [0.5, 0.0]]),
    _kink("max", [[1.0, 3.0, 3.0]], [[0.0, 0.5, 0.5]]),
    _kink("min", [[1.0, 1.0, 3.0]], [[0.5, 0.5, 0.0]]),
    _kink("clip", [[-1.0, 0.0, 1.0, 2.0]], [[1.0, 1.0, 1.0, 0.0]], min=-1.0, max=1.0),
    _kink("hypot", [[0.0], [0.0]], [[0.0], [0.0]]),
    _kink("std", [[2.0, 2.0]], [[0.0, 0.0]]),
    _kink("prod", [[0.0, 3.0, 2.0]], [[6.0, 0.0, 0.0]]),
    _kink("pow", [[0.0, 0.0, -2.0], [2.0, 0.0, 2.0]], [[0.0, 0.0, -4.0], [0.0, 0.0, 0.0]]),
    _kink("linalg.vector_norm", [[0.0, 0.0]], [[0.0, 0.0]]),
    _kink("linalg.vector_norm", [[3.0, -3.0]], [[0.5, -0.5]], ord=np.inf),
    _kink("linalg.vector_norm", [[0.0, -3.0]], [[0.0, -1.0]], ord=1),
    _kink("linalg.vector_norm", [[0.0, -3.0]], [[0.0, -1.0]], ord=3),
    _kink("logaddexp", [[-_INF, 0.0], [-_INF, -_INF]], [[0.0, 1.0], [0.0, 0.0]]),
    _kink("special.logsumexp", [[-_INF, -_INF]], [[0.0, 0.0]]),
    _kink("special.logsumexp", [[-_INF, 5.0]], [[0.0, 1.0]]),
    _kink("special.xlogy", [[0.0], [0.0]], [[0.0], [0.0]]),
    _kink("linalg.det", [[[1.0, 2.0], [2.0, 4.0]]], [[[4.0, -2.0], [-2.0, 1.0]]]),
    # infinite slopes
    _kink("sqrt", [[0.0]], [[_INF]]),
    _kink("log", [[0.0]], [[_INF]]),
    _kink("asin", [[1.0]], [[_INF]]),
    _kink("acos", [[1.0]], [[-_INF]]),
    _kink("acosh", [[1.0]], [[_INF]]),
    _kink("atanh", [[1.0]], [[_INF]]),
    _kink("reciprocal", [[0.0]], [[-_INF]]),
    _kink("log1p", [[-1.0]], [[_INF]]),
]
