"""The gate in front of the clock: what is not the same is not timed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.bench.case import Case, DisagreementError, normal
from xpnn.bench.devices import Cpu
from xpnn.bench.peers import Peer, load


def case(**changes: Any) -> Case:
    def make(rng: np.random.Generator) -> Any:
        return normal(rng, 8, 16), normal(rng, 4, 16), normal(rng, 4)

    options: dict[str, Any] = {"run": ops.linear, "flops": 2.0 * 8 * 16 * 4, **changes}
    return Case("toy", make, **options)


@pytest.fixture
def torch() -> Peer:
    pytest.importorskip("torch", reason="needs torch, the peer of the benchmarks")
    return load("torch")


def test_jobs_know_their_work(torch: Peer) -> None:
    import torch as library

    forward, both = case(torch=library.nn.functional.linear).jobs(Cpu(), [torch])
    assert (forward.mode, both.mode) == ("forward", "both")
    assert (forward.flops, both.flops) == (2.0 * 8 * 16 * 4, 6.0 * 8 * 16 * 4)
    assert forward.bytes == 4 * (8 * 16 + 4 * 16 + 4 + 8 * 4)
    assert both.bytes == 2 * forward.bytes + 4 * (8 * 4 + 8 * 16 + 4 * 16 + 4)
    assert set(forward.peers) == set(both.peers) == {"torch"}
    y, gradients = both.ours()
    np.testing.assert_allclose(y, torch.to_numpy(forward.peers["torch"]()), rtol=1e-5, atol=1e-5)
    assert [g.shape for g in gradients] == [(8, 16), (4, 16), (4,)]


def test_wrong_results_are_not_timed(torch: Peer) -> None:
    import torch as library

    linear = library.nn.functional.linear
    with pytest.raises(DisagreementError, match=r"toy: output is off by .* of that of torch"):
        case(run=lambda x, w, b: ops.linear(x, w, b * 1.01), torch=linear).jobs(Cpu(), [torch])
    halved = case(torch=lambda x, w, b: linear(x, w, 0.5 * b + 0.5 * b.detach()))
    with pytest.raises(DisagreementError, match="toy: gradient 2 is off by (0.5|1)"):
        halved.jobs(Cpu(), [torch])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(lambda y: y * np.nan, "off by nan"), (lambda y: y[:, :2], r"of shape \(8, 4\), that of plain")],
)
def test_nan_and_shapes_are_noticed(wrong: Any, words: str) -> None:
    bad = case(peers={"plain": lambda x, w, b: wrong(x @ w.T + b)})
    with pytest.raises(DisagreementError, match=words):
        bad.jobs(Cpu(), [load("plain")])


def test_a_peer_without_gradients_is_timed_forward_only() -> None:
    forward, both = case(peers={"plain": lambda x, w, b: x @ w.T + b}).jobs(Cpu(), [load("plain")])
    assert list(forward.peers) == ["plain"] and list(both.peers) == []


def test_jax_gives_gradients() -> None:
    pytest.importorskip("jax", reason="needs JAX, a peer of the benchmarks")
    forward, both = case(peers={"jax": lambda x, w, b: x @ w.T + b}).jobs(Cpu(), [load("jax")])
    assert list(forward.peers) == list(both.peers) == ["jax"]


def test_integer_arguments_and_absent_ones_are_not_differentiated() -> None:
    def make(rng: np.random.Generator) -> Any:
        return rng.integers(0, 5, size=7), normal(rng, 5, 3), None

    _, both = Case("rows", make, lambda i, w, none: ops.embedding(i, w)).jobs(Cpu())
    assert [g.shape for g in both.ours()[1]] == [(5, 3)]
