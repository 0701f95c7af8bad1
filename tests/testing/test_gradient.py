"""check_gradient finds wrong gradients, and says in one line what it saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import Library
from xpnn import check_gradient, custom_vjp, namespace, stop_gradient


def _cube(slope: Any) -> Any:
    """x**3 with a hand-written gradient slope(x) * g."""
    return custom_vjp(lambda x: (x**3, x), lambda x, g: (slope(x) * g,))


def test_a_right_gradient_passes(lib: Library) -> None:
    check_gradient(_cube(lambda x: 3 * x * x), lib.asarray([0.5, -1.0, 2.0]), order=3)


@pytest.mark.parametrize("slope", [lambda x: 3.001 * x * x, lambda x: 0 * x, lambda x: 3 * x * abs(x)])
def test_a_wrong_gradient_is_found(slope: Any, lib: Library) -> None:
    with pytest.raises(AssertionError, match=r"gradient of order 1: .* central differences give .*tolerance"):
        check_gradient(_cube(slope), lib.asarray([0.5, -1.0, 2.0]))


def test_a_gradient_that_is_wrong_only_in_second_order_is_found() -> None:
    f = _cube(lambda x: 3 * stop_gradient(x) * stop_gradient(x))
    x = np.asarray([0.5, -1.0, 2.0])
    check_gradient(f, x)
    with pytest.raises(AssertionError, match="gradient of order 2"):
        check_gradient(f, x, order=2)


def test_all_arguments_and_outputs_count() -> None:
    def f(x: Any, y: Any) -> dict[str, Any]:
        return {"product": x * y, "lost": [y * stop_gradient(y)]}

    with pytest.raises(AssertionError):
        check_gradient(f, np.ones(2), np.ones(2))


def test_complex_arguments_count_with_both_parts() -> None:
    z = np.asarray([1.0 + 2.0j, -0.5j])
    check_gradient(lambda z: (z * z, namespace(z).abs(z)), z, order=2)
    with pytest.raises(AssertionError):
        check_gradient(lambda z: namespace(z).real(z) + 1j * stop_gradient(namespace(z).imag(z)), z)


def test_integers_are_passed_over(lib: Library) -> None:
    check_gradient(
        lambda x, i: (namespace(x).take(x, i, axis=0), namespace(x).argmax(x)),
        lib.asarray([1.0, 2.0]),
        lib.asarray([1, 1, 0]),
    )


def test_the_seed_chooses_the_direction() -> None:
    seen = []
    for seed in (0, 0, 1):
        with pytest.raises(AssertionError) as error:
            check_gradient(_cube(lambda x: 2 * x), np.asarray([0.5, -1.0]), seed=seed)
        seen.append(str(error.value))
    assert seen[0] == seen[1] != seen[2]


def test_single_precision_is_refused() -> None:
    with pytest.raises(TypeError, match="argument 0: central differences need float64 or complex128, got float32"):
        check_gradient(lambda x: x, np.ones(2, dtype=np.float32))
