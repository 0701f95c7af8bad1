"""The comparison of a reference with torch, which the tests of ops share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.primitive import use_reference

from ..conftest import Library

__all__ = ["check_against_torch"]


def check_against_torch(
    lib: Library, ours: Callable[..., Any], theirs: Callable[..., Any], arrays: Sequence[Any]
) -> None:
    """The outputs of ours(*arrays), by the reference, and of theirs(*tensors) are the same, and so are all gradients.

    arrays: NumPy; float64 ones are differentiated, integers and None are passed on. A missing gradient counts as zero.
    """
    torch = pytest.importorskip("torch", reason="needs torch, which the reference is compared with")
    places = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]

    def call(*xs: Any) -> Any:
        own = [None if a is None else lib.asarray(a) for a in arrays]
        for i, x in zip(places, xs, strict=True):
            own[i] = x
        return ours(*own)

    tensors = [None if a is None else torch.tensor(a) for a in arrays]
    wanted = [tensors[i].requires_grad_() for i in places]
    expected = _several(theirs(*tensors))
    rng = np.random.default_rng(1)
    gs = [np.asarray(rng.normal(size=tuple(y.shape))) for y in expected]
    connected = [(y, torch.tensor(g)) for y, g in zip(expected, gs, strict=True) if y.requires_grad]
    expected_gradients = torch.autograd.grad(
        [y for y, _ in connected], wanted, [g for _, g in connected], allow_unused=True
    )
    with use_reference():
        out, pullback = xpnn.vjp(call, *[lib.asarray(arrays[i]) for i in places])
        raw = [lib.asarray(g) for g in gs]
        gradients = pullback(tuple(raw) if isinstance(out, tuple) else raw[0])
    for y, e in zip(_several(out), expected, strict=True):
        np.testing.assert_allclose(lib.to_numpy(y), e.detach().numpy(), rtol=1e-10, atol=1e-11, strict=True)
    for i, d, e in zip(places, gradients, expected_gradients, strict=True):
        e = np.zeros(arrays[i].shape) if e is None else e.numpy()
        np.testing.assert_allclose(lib.to_numpy(d), e, rtol=1e-9, atol=1e-10, err_msg=f"gradient of argument {i}")


def _several(out: Any) -> tuple[Any, ...]:
    return tuple(out) if isinstance(out, tuple | list) else (out,)
