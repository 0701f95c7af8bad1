"""Matrices at which decompositions and determinants are not smooth, or only by other formulas than elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.conftest import Library
from xpnn import check_gradient, grad, namespace

_SINGULAR = {
    "rank 2 of 3": np.diag([2.0, 3.0, 0.0]),
    "rank 1 of 2": np.asarray([[1.0, 2.0], [2.0, 4.0]]),
    "rank 0 of 2": np.zeros((2, 2)),
    "nilpotent": np.asarray([[0.0, 1.0], [0.0, 0.0]]),
    "one of a stack": np.stack([np.eye(3), np.diag([1.0, 0.0, 2.0])]),
    "complex": np.diag([2.0, 1j, 0.0]),
    "rank 2 of 4": np.diag([1.0, 2.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("name", _SINGULAR)
def test_the_determinant_of_singular_matrices_has_derivatives(name: str, lib: Library) -> None:
    check_gradient(lambda x: namespace(x).linalg.det(x), lib.asarray(_SINGULAR[name]), order=2)


def _symmetric(f: Any) -> Any:
    return lambda x: f(namespace(x).linalg, (x + x.mT) / 2)


def test_functions_of_equal_eigenvalues_have_gradients(lib: Library) -> None:
    x = lib.asarray(np.diag([2.0, 2.0, 3.0]))
    check_gradient(_symmetric(lambda linalg, x: linalg.vector_norm(linalg.eigvalsh(x), ord=3)), x)
    check_gradient(_symmetric(lambda linalg, x: linalg.matrix_norm(x, ord="nuc")), x)


def test_the_eigenvector_of_a_simple_value_has_a_gradient_beside_equal_ones(lib: Library) -> None:
    x = np.diag([2.0, 2.0, 3.0]) + 0.1 * np.outer([1, 0, 2], [1, 0, 2])
    x[1, 1] = np.linalg.eigvalsh(x)[0]
    check_gradient(_symmetric(lambda linalg, x: linalg.eigh(x)[1][:, 2] ** 2), lib.asarray(x))


@pytest.mark.parametrize("name", ["eigh", "svd"])
def test_vectors_of_equal_values_have_the_gradient_nan(name: str, lib: Library, rng: np.random.Generator) -> None:
    weights = lib.asarray(rng.normal(size=(3, 3)))

    def f(x: Any) -> Any:
        xp = namespace(x)
        return xp.sum(getattr(xp.linalg, name)(x)[-1] * xp.asarray(weights))

    assert np.isnan(lib.to_numpy(grad(f)(lib.asarray(np.eye(3))))).any()


def test_vectors_that_complete_a_basis_have_no_gradient(lib: Library, rng: np.random.Generator) -> None:
    x = lib.asarray(rng.normal(size=(4, 3)))

    def last_column(name: str, **options: Any) -> Any:
        return lambda x: namespace(x).sum(getattr(namespace(x).linalg, name)(x, **options)[0][:, 3] ** 3)

    with pytest.raises(TypeError, match="complete a basis have no gradient; svd: use full_matrices=False"):
        grad(last_column("svd"))(x)
    with pytest.raises(TypeError, match="complete a basis have no gradient; qr: use mode='reduced'"):
        grad(last_column("qr", mode="complete"))(x)
    check_gradient(lambda x: namespace(x).linalg.svd(x)[0][:, :3], x)
    check_gradient(lambda x: namespace(x).linalg.qr(x, mode="complete")[0][:, :3], x, order=2)


def test_the_pseudoinverse_of_deficient_rank_moves_within_that_rank(lib: Library, rng: np.random.Generator) -> None:
    a, b = lib.asarray(rng.normal(size=(4, 2))), lib.asarray(rng.normal(size=(2, 3)))
    check_gradient(lambda a, b: namespace(a, b).linalg.pinv(a @ b, rtol=1e-8), a, b, order=2)
