"""Complex arrays: gradients of real losses are dL/da + i dL/db, as torch's .grad is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from xpnn import check_gradient, checkpoint, custom_vjp, grad, namespace, vjp

torch = pytest.importorskip("torch", reason="needs torch for reference gradients")


def _fft(name: str, **options: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    theirs = {{"axis": "dim", "axes": "dim"}.get(key, key): value for key, value in options.items()}
    return (
        lambda x: getattr(namespace(x).fft, name)(x, **options),
        lambda x: getattr(torch.fft, name)(x, **theirs),
    )


def _main(name: str, other: str | None = None) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return (lambda *xs: getattr(namespace(*xs), name)(*xs)), (lambda *xs: getattr(torch, other or name)(*xs))


def _linalg(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return (lambda *xs: getattr(namespace(*xs).linalg, name)(*xs)), (lambda *xs: getattr(torch.linalg, name)(*xs))


def _gram(f: Callable[..., Any], transposed: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f of a positive definite matrix made from x."""
    return lambda x: f(x @ transposed(x) + 0.5 * (x + transposed(x)) @ (x + transposed(x)))


def _ours_adjoint(x: Any) -> Any:
    return namespace(x).conj(x.mT)


_COMPLEX: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    **{
        name: _main(name)
        for name in ("abs", "exp", "log", "sqrt", "sin", "cos", "tanh", "square", "reciprocal", "asin", "atan", "acosh")
    },
    "sign": _main("sign", "sgn"),
    "real": _main("real"),
    "imag": _main("imag"),
    "conj": ((lambda x: namespace(x).conj(x)), torch.conj_physical),
    "x * conj(x) ** 2": (lambda x: x * namespace(x).conj(x) ** 2, lambda x: x * torch.conj_physical(x) ** 2),
    "x ** 1.5": (lambda x: x**1.5, lambda x: x**1.5),
    "1.5 ** x": (lambda x: 1.5**x, lambda x: 1.5**x),
    "x ** x": (lambda x: x**x, lambda x: x**x),
    "x / x**2": (lambda x: (x + 1) / x**2, lambda x: (x + 1) / x**2),
    "prod": (lambda x: namespace(x).prod(x), torch.prod),
    "cumulative_prod": (lambda x: namespace(x).cumulative_prod(x, axis=1), lambda x: torch.cumprod(x, 1)),
    "vecdot": (lambda x: namespace(x).vecdot(x, x * 1j + 2), lambda x: torch.linalg.vecdot(x, x * 1j + 2)),
    "matmul": (lambda x: x @ x.mT, lambda x: x @ x.mT),
    "var": (lambda x: namespace(x).var(x, axis=0), lambda x: torch.var(x, 0, correction=0)),
    "inv": _linalg("inv"),
    "det": _linalg("det"),
    "pinv": _linalg("pinv"),
    "slogdet": _linalg("slogdet"),
    "vector_norm": (lambda x: namespace(x).linalg.vector_norm(x, ord=3), lambda x: torch.linalg.vector_norm(x, ord=3)),
    "matrix_norm": _linalg("matrix_norm"),
    "nuclear norm": (
        lambda x: namespace(x).linalg.matrix_norm(x, ord="nuc"),
        lambda x: torch.linalg.matrix_norm(x, ord="nuc"),
    ),
    "svdvals": _linalg("svdvals"),
    "cholesky": (
        _gram(lambda x: namespace(x).linalg.cholesky(x), _ours_adjoint),
        _gram(torch.linalg.cholesky, lambda x: x.mH),
    ),
    "eigvalsh": (
        _gram(lambda x: namespace(x).linalg.eigvalsh(x), _ours_adjoint),
        _gram(torch.linalg.eigvalsh, lambda x: x.mH),
    ),
    "projectors of eigh": (
        _gram(
            lambda x: (
                (v := namespace(x).linalg.eigh(x)[1]) @ (_ours_adjoint(v) * namespace(x).asarray([[1.0], [2.0], [3.0]]))
            ),
            _ours_adjoint,
        ),
        _gram(lambda x: (v := torch.linalg.eigh(x)[1]) @ (v.mH * torch.tensor([[1.0], [2.0], [3.0]])), lambda x: x.mH),
    ),
    "polar factor by svd": (
        lambda x: (d := namespace(x).linalg.svd(x))[0] @ d[2],
        lambda x: (d := torch.linalg.svd(x))[0] @ d[2],
    ),
    "qr": (
        lambda x: namespace(x).abs(namespace(x).linalg.qr(x)[1]),
        lambda x: torch.linalg.qr(x)[1].abs(),
    ),
    "sum of eigvals": (
        lambda x: namespace(x).sum(namespace(x).linalg.eigvals(x) ** 3),
        lambda x: (torch.linalg.eigvals(x) ** 3).sum(),
    ),
    "eigenvectors": (
        lambda x: (v := namespace(x).linalg.eig(x)[1]) @ _ours_adjoint(v),
        lambda x: (v := torch.linalg.eig(x)[1]) @ v.mH,
    ),
    **{
        f"{name} {options}": _fft(name, **options)
        for name in ("fft", "ifft", "irfft", "hfft")
        for options in ({}, {"n": 6, "norm": "ortho"}, {"n": 2})
    },
    **{
        f"{name} {options}": _fft(name, **options)
        for name in ("fftn", "ifftn", "irfftn")
        for options in ({}, {"norm": "forward"})
    },
    "fftshift": (lambda x: namespace(x).fft.fftshift(x), torch.fft.fftshift),
}

_REAL = {
    **{
        f"{name} {options}": _fft(name, **options)
        for name in ("fft", "rfft", "ihfft")
        for options in ({}, {"n": 6, "norm": "ortho"}, {"n": 2})
    },
    **{
        f"{name} {options}": _fft(name, **options)
        for name in ("rfftn", "fftn")
        for options in ({}, {"norm": "forward"})
    },
    "times i": (lambda x: x * 1j + x, lambda x: x * 1j + x),
    "plus a complex array": (
        lambda x: x * namespace(x).asarray([1j, 2.0, 1 + 1j]),
        lambda x: x * torch.tensor([1j, 2.0, 1 + 1j], dtype=torch.complex128),
    ),
    "eigvals": (
        lambda x: namespace(x).sum(namespace(x).linalg.eigvals(x) ** 2),
        lambda x: (torch.linalg.eigvals(x) ** 2).sum(),
    ),
    "astype": (lambda x: namespace(x).astype(x, namespace(x).complex128) ** 2, lambda x: x.to(torch.complex128) ** 2),
}


def _check(
    ours: Callable[..., Any], theirs: Callable[..., Any], x: np.ndarray[Any, Any], rng: np.random.Generator
) -> None:
    t = torch.tensor(x, requires_grad=True)
    y = theirs(t)
    ys = list(y) if isinstance(y, tuple) else [y]
    gs = [torch.tensor(rng.normal(size=v.shape) + (1j * rng.normal(size=v.shape) if v.is_complex() else 0)) for v in ys]
    (expected,) = torch.autograd.grad([v.resolve_conj() for v in ys], [t], gs)
    result, pullback = vjp(lambda x: tuple(v) if isinstance(v := ours(x), tuple) else (v,), x)
    for mine, other in zip(result, ys, strict=True):
        np.testing.assert_allclose(mine, other.detach().resolve_conj().numpy(), rtol=1e-10, atol=1e-12)
    found = pullback(tuple(np.asarray(g.resolve_conj().numpy()) for g in gs))[0]
    np.testing.assert_allclose(found, expected.resolve_conj().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", _COMPLEX)
def test_gradients_of_complex_arrays_are_torch_s(name: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) + 2 * np.eye(3)
    _check(*_COMPLEX[name], x, rng)


@pytest.mark.parametrize("name", _REAL)
def test_gradients_of_real_arrays_through_complex_ones_are_torch_s(name: str, rng: np.random.Generator) -> None:
    _check(*_REAL[name], rng.normal(size=(3, 3)), rng)


def test_gradient_descent_goes_down() -> None:
    z = np.asarray([1.0 + 2.0j, -3.0j])
    loss = lambda z: namespace(z).sum(namespace(z).abs(z - 1) ** 2)  # noqa: E731
    before = loss(z)
    for _ in range(50):
        z = z - 0.1 * grad(loss)(z)
    assert loss(z) < 1e-6 * before


def test_checkpoints_and_custom_gradients_follow_the_same_convention(rng: np.random.Generator) -> None:
    z = rng.normal(size=3) + 1j * rng.normal(size=3)
    square = custom_vjp(lambda z: (z * z, z), lambda z, g: (2 * namespace(z).conj(z) * g,))
    check_gradient(checkpoint(lambda z: z * namespace(z).abs(z)), z, order=2)
    check_gradient(square, z, order=2)


def test_pullbacks_compose(rng: np.random.Generator) -> None:
    z = rng.normal(size=3) + 1j * rng.normal(size=3)
    y, first = vjp(lambda z: z * z, z)
    _, second = vjp(lambda y: namespace(y).exp(y) * y, y)
    _, both = vjp(lambda z: namespace(z).exp(z * z) * z * z, z)
    g = rng.normal(size=3) + 1j * rng.normal(size=3)
    np.testing.assert_allclose(first(second(g)[0])[0], both(g)[0], rtol=1e-12)
