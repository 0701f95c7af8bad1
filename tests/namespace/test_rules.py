"""Every rule on every call of the table: values against the raw library, gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from tests.namespace.cases import CASES, KINKS, STEPS, Call, Kink
from xpnn import check_gradient, diff, special, tree, vjp
from xpnn.namespace.array import Array
from xpnn.namespace.rule import Zero
from xpnn.namespace.rules import TABLES


def _calls(lib: Any, table: dict[str, list[Call]], name: str) -> list[tuple[list[Any], Callable[..., Any]]]:
    """The calls of ``name`` that the library takes: their floating-point arrays, and a function of namespace and arrays."""
    calls = [call.prepare(lib.asarray) for call in table[name] if call.only in ("", lib.name)]
    if not calls:
        pytest.skip(f"{lib.name} has no {name} of arrays")
    return calls


def _raw(lib: Any, name: str) -> Any:
    """The library's own namespace, in which special functions have their raw forms."""
    return SimpleNamespace(special=special) if name.startswith("special.") else lib.xp


def _assert_same(lib: Any, ours: Any, theirs: Any) -> None:
    """The same containers, shapes, dtypes and numbers, to rounding."""
    assert isinstance(ours, tuple | list) == isinstance(theirs, tuple | list)
    assert getattr(ours, "_fields", None) == getattr(theirs, "_fields", None)
    ours, theirs = ([x for _, x in tree.flatten(y)] for y in (ours, theirs))
    for x, y in zip(ours, theirs, strict=True):
        x = x._value if type(x) is Array else x
        if not hasattr(y, "size"):  # a dtype, its limits, a shape or a truth value
            assert x == y or str(x) == str(y)
            continue
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(lib.to_numpy(x), lib.to_numpy(y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_traced_functions_give_the_values_of_the_library(name: str, lib: Any) -> None:
    for arrays, run in _calls(lib, CASES, name):
        ours, _ = vjp(lambda *xs, run=run: run(diff(lib.xp), name, *xs), *arrays)
        _assert_same(lib, ours, run(_raw(lib, name), name, *arrays))


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_order_1_and_2_are_those_of_central_differences(name: str, lib: Any) -> None:
    xp = diff(lib.xp)
    for number, (arrays, run) in enumerate(_calls(lib, CASES, name)):

        def f(*xs: Any, run: Callable[..., Any] = run) -> Any:
            return run(xp, name, *map(xp.asarray, xs))

        f.__name__ = f"{name} (call {number})"
        check_gradient(f, *arrays, order=2)


@pytest.mark.parametrize("kink", KINKS, ids=str)
def test_gradients_at_kinks_are_those_of_the_table(kink: Kink) -> None:
    _, run = Call(kink.arrays, kink.options).prepare(np.asarray)
    with np.errstate(all="ignore"):
        y, pullback = vjp(lambda *xs: run(diff(array_api_compat.numpy), kink.name, *xs), *kink.arrays)
        gradients = pullback(np.ones_like(y))
    for ours, expected in zip(gradients, kink.gradients, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", STEPS)
def test_functions_on_the_zero_list_give_the_values_of_the_library_untraced(name: str, lib: Any) -> None:
    for arrays, run in _calls(lib, STEPS, name):
        expected = run(_raw(lib, name), name, *arrays)
        _assert_same(lib, run(diff(lib.xp), name, *map(Array, arrays)), expected)
        if arrays:
            traced: list[Any] = []
            vjp(lambda *xs, run=run, traced=traced: traced.append(run(diff(lib.xp), name, *xs)) or xs, *arrays)
            _assert_same(lib, traced[0], expected)
            assert all(x._node is None for _, x in tree.flatten(traced[0]) if type(x) is Array)


@pytest.mark.parametrize("name", STEPS)
def test_functions_on_the_zero_list_are_constant_around_their_arguments(name: str, lib: Any) -> None:
    for arrays, run in _calls(lib, STEPS, name):
        for step in (1e-7, -1e-7):
            moved = run(_raw(lib, name), name, *(x + step for x in arrays))
            _assert_same(lib, moved, run(_raw(lib, name), name, *arrays))


def test_the_tables_of_calls_hold_every_rule() -> None:
    rules = {name: rule for table in TABLES.values() for name, rule in table.items()}
    zero = {name for name, rule in rules.items() if isinstance(rule, Zero)}
    assert set(STEPS) == zero
    assert set(CASES) == set(rules) - zero - {"arange"} | {"asarray"}  # arange refuses traced arrays
