"""Calls of statistical functions."""

from __future__ import annotations

from tests.namespace.cases.call import REDUCTIONS, Array, Call, apart, call, p, r, reductions, z


def with_zeros() -> Array:
    x = p(3, 4)
    x[1, 0] = x[1, 2] = 0.0
    return x


STATISTICAL: dict[str, list[Call]] = {
    "cumulative_prod": [
        call(p(4)),
        call(p(3, 4), axis=1),
        call(with_zeros(), axis=-1),
        call(with_zeros(), axis=0, include_initial=True),
        call(p(1)),
        call(z(5)),
        call(p(3, 0), axis=1),
    ],
    "cumulative_sum": [
        call(r(4)),
        call(r(3, 4), axis=0),
        call(r(3, 4), axis=-1, include_initial=True),
        call(z(5)),
        call(r(3, 0), axis=1, include_initial=True),
    ],
    "max": reductions(apart, empty=False),
    "mean": reductions(r, call(z(3, 2), axis=0), empty=False),
    "min": reductions(apart, empty=False),
    "prod": reductions(
        p, call(with_zeros()), call(with_zeros(), axis=1), call(with_zeros(), axis=(1, 0)), call(z(3, 2), axis=0)
    ),
    "std": [
        *(call(apart(2, 3, 2), **options) for options in REDUCTIONS if options.get("axis") != ()),
        call(apart(4, 3), axis=0, correction=1.0),
        call(z(4, 2), axis=0, only="numpy"),
    ],
    "sum": reductions(r, call(z(3, 2), axis=0)),
    "var": [
        *(call(r(2, 3, 2), **options) for options in REDUCTIONS if options.get("axis") != ()),
        call(r(4, 3), axis=0, correction=1.0),
        call(z(4, 2), axis=0, only="numpy"),
        call(r()),
    ],
}
