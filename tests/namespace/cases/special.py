"""Calls of special functions."""

from __future__ import annotations

import numpy as np

from tests.namespace.cases.call import Call, binary, call, p, r, reductions, unary

SPECIAL: dict[str, list[Call]] = {
    "special.erf": unary(r, r(5, low=-5.0, high=5.0)),
    "special.erfc": unary(r, r(5, low=-5.0, high=5.0)),
    "special.expit": unary(r, r(5, low=-9.0, high=9.0)),
    "special.gammaln": unary(p, np.asarray([-0.6, -1.4, -5.3, 0.1, 9.5, 40.0])),
    "special.log_expit": unary(r, r(5, low=-9.0, high=9.0)),
    "special.logsumexp": reductions(r, call(np.asarray([1000.0, 1001.0])), empty=False),
    "special.ndtr": unary(r, r(5, low=-5.0, high=5.0)),
    "special.xlogy": [*binary(r, p), call(np.asarray([0.0, 1.0]), p(2))],
}
