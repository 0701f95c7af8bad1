"""The names of the standard: each on one list, with the standard's signature; other names raise."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Any

import array_api_compat.numpy
import array_api_strict
import numpy as np
import pytest

from xpnn import diff, grad
from xpnn.namespace.array import TracedArrayError
from xpnn.namespace.diff import PLAIN
from xpnn.namespace.rules import TABLES

# What array_api_strict exports beyond the standard.
_ITS_OWN = frozenset(
    "ArrayAPIStrictFlags Device __version__ get_array_api_strict_flags reset_array_api_strict_flags"
    " set_array_api_strict_flags linalg fft".split()
)
_MADE_BY_HAND = ["asarray", "from_dlpack"]  # in rules/creation.py
_BEYOND_STRICT = {"linalg.eig", "linalg.eigvals"}  # of the standard, but not in array_api_strict 2.6
_NAMESPACES = [array_api_compat.numpy, array_api_strict]


def _standard() -> set[str]:
    main = {name for name in array_api_strict.__all__ if name not in _ITS_OWN}
    extensions = {f"{e}.{name}" for e in ("linalg", "fft") for name in getattr(array_api_strict, e).__all__}
    return main | extensions


def test_every_name_of_the_standard_is_on_exactly_one_list() -> None:
    listed = Counter([*PLAIN, *_MADE_BY_HAND, *(name for table in TABLES.values() for name in table)])
    assert max(listed.values()) == 1
    ours = {name for name in listed if not name.startswith("special.")}
    assert ours == _standard() | _BEYOND_STRICT


@pytest.mark.parametrize("xp", _NAMESPACES, ids=lambda xp: xp.__name__)
@pytest.mark.parametrize("name", sorted(_standard() - set(PLAIN)))
def test_signatures_are_those_of_the_standard(name: str, xp: Any) -> None:
    ours, theirs = diff(xp), array_api_strict
    for part in name.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    for mine, other in zip(
        inspect.signature(ours).parameters.values(), inspect.signature(theirs).parameters.values(), strict=True
    ):
        assert (mine.name, mine.kind) == (other.name, other.kind)
        # array_api_strict marks a device that was not given, where the standard says None
        default = None if "UNDEF" in repr(other.default) else other.default
        assert mine.default == default


@pytest.mark.parametrize("xp", _NAMESPACES, ids=lambda xp: xp.__name__)
def test_constants_and_data_types_are_the_library_s_own(xp: Any) -> None:
    for name in PLAIN:
        assert getattr(diff(xp), name) is getattr(xp, name)


@pytest.mark.parametrize("name", ["einsum", "linalg.lstsq", "fft.dct", "special.jv"])
def test_a_name_without_a_rule_raises_and_says_so(name: str) -> None:
    where = diff(array_api_compat.numpy)
    *path, last = name.split(".")
    for part in path:
        where = getattr(where, part)
    with pytest.raises(AttributeError, match=f"no gradient rule for '{last}'"):
        getattr(where, last)
    assert not hasattr(where, "__wrapped__")


@pytest.mark.parametrize(
    "f",
    [
        lambda xp, x: xp.arange(x),
        lambda xp, x: xp.linalg.vector_norm(xp.ones(3), ord=x),
        lambda xp, x: xp.from_dlpack(x),
        lambda xp, x: xp.repeat(xp.ones(3), x),
    ],
)
def test_a_traced_array_where_there_is_no_gradient_raises(f: Any) -> None:
    with pytest.raises(TypeError):
        grad(lambda x: f(diff(array_api_compat.numpy), x))(np.asarray(2.0))


def test_the_message_names_the_argument_without_a_gradient() -> None:
    xp = diff(array_api_compat.numpy)
    with pytest.raises(TracedArrayError, match="'ord' has no gradient; use xpnn.stop_gradient"):
        grad(lambda x: xp.linalg.vector_norm(xp.ones(3), ord=x))(np.asarray(2.0))


def test_where_the_result_does_not_depend_on_an_argument_its_gradient_is_zero() -> None:
    xp = diff(array_api_compat.numpy)
    x = np.asarray([1.0, 2.0])
    assert grad(lambda y: xp.sum(xp.copysign(x, y)))(x).tolist() == [0.0, 0.0]
    assert grad(lambda y: xp.sum(xp.nextafter(x, y)))(x).tolist() == [0.0, 0.0]


def test_the_same_namespace_is_made_once() -> None:
    assert diff(array_api_strict) is diff(array_api_strict)
    assert diff(array_api_compat.numpy).__name__ == "xpnn.diff.numpy"
