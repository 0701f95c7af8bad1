"""Networks and layers as cases: every peer that has one computes and trains the same."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
import pytest

from xpnn import BackendError, MissingExtraError
from xpnn.bench.case import DisagreementError
from xpnn.bench.devices import Cpu
from xpnn.bench.networks import layers, networks
from xpnn.bench.peers import NAMES, Running, Task, load
from xpnn.nn import Dropout

ALL = {**networks(), **layers()}
# (peer, network): the modes in which it is measured
HAS = {
    **{("torch", name): ["forward", "step"] for name in ALL},
    **{("jax", name): ["forward", "step"] for name in networks()},
    **{("plain", name): ["forward"] for name in networks()},
    ("plain", "mlp"): ["forward", "step"],
    ("thinc", "mlp"): ["forward", "step"],
    ("sklearn", "mlp"): ["step"],
}


@pytest.mark.parametrize(("peer", "name"), HAS, ids=lambda x: x)
def test_a_peer_does_the_same_work(peer: str, name: str) -> None:
    if peer != "plain":
        pytest.importorskip(peer, reason=f"needs {peer}, a peer of the benchmarks")
    jobs = ALL[name].jobs(Cpu(), [load(peer)], rows=3)
    assert [job.mode for job in jobs if peer in job.peers] == HAS[peer, name]
    assert all(job.size == 3 and job.case == f"{name} N=3" and job.bytes > 0 for job in jobs)


def test_what_a_peer_lacks_is_timed_without_it() -> None:
    jobs = layers()["linear"].jobs(Cpu(), [load("plain")], rows=2)
    assert [(job.mode, dict(job.peers)) for job in jobs] == [("forward", {}), ("step", {})]


class StandIn:
    """A peer that does what it is told to."""

    name, version = "stand-in", "1"

    def __init__(self, running: Running) -> None:
        self.running = running

    def function(self, *_: Any) -> Any:
        raise AssertionError("not a network")

    def network(self, task: Task, device: Any) -> Running:
        assert task.layer == ("Linear", (512, 512), {}) and set(task.weights) == {"weight", "bias"}
        self.expected = task.inputs[0] @ task.weights["weight"].T + task.weights["bias"]
        return self.running

    def to_numpy(self, x: Any) -> Any:
        return np.asarray(x)


def test_the_gate_compares_outputs_and_three_losses() -> None:
    peer = StandIn(Running(lambda: peer.expected, None))
    network = layers()["linear"]
    assert [list(job.peers) for job in network.jobs(Cpu(), [peer], rows=2)] == [["stand-in"], []]
    peer.running = Running(lambda: peer.expected * 1.1, None)
    with pytest.raises(DisagreementError, match="linear: output is off by 0.09"):
        network.jobs(Cpu(), [peer], rows=2)
    peer.running = Running(None, lambda: (peer.expected**2).mean())  # its loss never falls
    with pytest.raises(DisagreementError, match="linear: loss of 3 steps is off by .* of that of stand-in"):
        network.jobs(Cpu(), [peer], rows=2)


@pytest.mark.parametrize("name", ALL)
def test_a_training_step_lowers_the_loss(name: str) -> None:
    step = ALL[name].jobs(Cpu(), rows=4)[1].ours
    losses = [float(step()) for _ in range(25)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_networks_have_no_dropout_in_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    def used(*_: Any) -> Any:
        raise AssertionError("a mask was drawn")

    monkeypatch.setattr(importlib.import_module("xpnn.nn.dropout").ops, "dropout", used)
    assert any(isinstance(module, Dropout) for module in networks()["mlp"].build().modules())
    networks()["mlp"].jobs(Cpu(), rows=2)[1].ours()


def test_an_unknown_peer_and_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"peer must be one of torch, jax, sklearn, thinc, plain, got 'keras'"):
        load("keras")
    for name in NAMES[:4]:
        for module in (name, f"{name}.api", f"{name}.neural_network"):
            monkeypatch.setitem(importlib.import_module("sys").modules, module, None)
        with pytest.raises(MissingExtraError, match=r"is not installed: pip install"):
            load(name)


@pytest.mark.parametrize("name", ["jax", "sklearn", "thinc"])
def test_a_peer_that_has_no_gpu_says_so(name: str) -> None:
    pytest.importorskip(name, reason=f"needs {name}, a peer of the benchmarks")
    with pytest.raises(BackendError, match="on (the CPU|cpu)"):
        load(name, "gpu:0")


def test_jax_gets_as_many_threads_as_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax", reason="needs JAX, a peer of the benchmarks")
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    load("jax")
    assert os.environ["NPROC"] == "3"
