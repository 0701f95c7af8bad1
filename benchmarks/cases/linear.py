"""linear at sizes of a small, a usual and a large layer."""

from __future__ import annotations

from typing import Any

from xpnn import ops

from ..case import Case, normal

SIZES = [(32, 64, 128), (256, 784, 512), (1024, 4096, 4096)]


def theirs(x: Any, weight: Any, bias: Any) -> Any:
    import torch

    return torch.relu(torch.nn.functional.linear(x, weight, bias))


def with_jax(x: Any, weight: Any, bias: Any) -> Any:
    import jax

    return jax.nn.relu(x @ weight.T + bias)


def plain(x: Any, weight: Any, bias: Any) -> Any:
    return (x @ weight.T + bias).clip(0)


def case(n: int, i: int, o: int) -> Case:
    return Case(
        name=f"linear+relu N={n} {i}->{o}",
        make=lambda rng: (normal(rng, n, i), normal(rng, o, i, scale=i**-0.5), normal(rng, o)),
        run=lambda x, weight, bias: ops.linear(x, weight, bias, activation="relu"),
        torch=theirs,
        peers={"jax": with_jax, "plain": plain},
        flops=2.0 * n * i * o,
    )


CASES = [case(*size) for size in SIZES]
