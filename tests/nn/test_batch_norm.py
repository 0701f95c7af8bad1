"""The layers with running statistics over several steps: against torch, in traces, under checkpoint, saved; errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn
from xpnn.nn import Module


def total(x: Any) -> Any:
    xp = xpnn.namespace(x)
    return xp.sum(xp.sin(x))


BATCHES = [np.random.default_rng(i).normal(size=(3 + i, 4, 5)) * (i + 1) + i for i in range(4)]


@pytest.mark.parametrize("momentum", [0.1, 0.7, 0.0, 1.0, None])
@pytest.mark.parametrize("kind", ["BatchNorm1d", "InstanceNorm1d"])
def test_running_statistics_follow_torch_over_several_steps(kind: str, momentum: float | None) -> None:
    torch = pytest.importorskip("torch", reason="the reference is torch")
    options: dict[str, Any] = {"momentum": momentum, "track_running_stats": True}
    ours, theirs = getattr(nn, kind)(4, **options).astype("float64"), getattr(torch.nn, kind)(4, **options).double()
    for x in [*BATCHES, BATCHES[0][:0]]:
        if x.size or kind == "BatchNorm1d":  # torch's InstanceNorm spoils its statistics with those of no samples
            ours(x)
            theirs(torch.tensor(x))
        expected = theirs.state_dict()
        found = ours.state_dict()
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-12, err_msg=name, strict=True)
    np.testing.assert_allclose(
        ours.eval()(BATCHES[2]), theirs.eval()(torch.tensor(BATCHES[2])).detach().numpy(), rtol=1e-10
    )
    before = {name: np.array(value) for name, value in ours.state_dict().items()}
    ours(BATCHES[1])
    for name, value in ours.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_instances_of_no_samples_leave_the_statistics() -> None:
    layer = nn.InstanceNorm1d(4, track_running_stats=True, dtype="float64")
    assert layer(BATCHES[0][:0]).shape == (0, 4, 5)
    np.testing.assert_array_equal(layer.state_dict()["running_var"], np.ones(4))


@pytest.mark.parametrize("kind", ["BatchNorm1d", "InstanceNorm1d"])
def test_an_update_inside_a_trace_is_the_same_once_and_raw(kind: str) -> None:
    plain, traced, nested = (getattr(nn, kind)(4, track_running_stats=True, dtype="float64") for _ in range(3))
    plain(BATCHES[0])
    xpnn.grad(lambda m, x: total(m(x)), argnums=(0, 1) if kind == "BatchNorm1d" else 1)(
        nn.Sequential(traced), BATCHES[0]
    )
    slope = xpnn.grad(lambda x: total(nested(x)))
    xpnn.grad(lambda x: total(slope(x)))(BATCHES[0])
    for layer in (traced, nested):
        for name, value in layer.state_dict().items():
            assert isinstance(value, np.ndarray)
            np.testing.assert_allclose(value, plain.state_dict()[name], rtol=1e-14, err_msg=name)


class Twice(Module):
    """A batch norm inside a checkpoint, which may be inside another."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.norm = nn.BatchNorm1d(4, dtype="float64")

    def forward(self, x: Any) -> Any:
        run = lambda norm, x: norm(x) * 2  # noqa: E731
        for _ in range(self.depth):
            run = xpnn.checkpoint(run)
        return run(self.norm, x)


def test_a_checkpoint_updates_once_and_changes_no_number() -> None:
    models = [Twice(depth) for depth in (0, 1, 2)]
    slope = xpnn.grad(lambda m, x: total(m(x)), argnums=(0, 1))
    gradients = [slope(model, x) for model in models for x in BATCHES[:2]]
    for model in models:
        assert model.norm.state_dict()["num_batches_tracked"] == 2
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, models[0].state_dict()[name])
    for i in range(2):
        for m, dx in (gradients[2 + i], gradients[4 + i]):
            np.testing.assert_allclose(dx, gradients[i][1], rtol=1e-12)
            np.testing.assert_allclose(m.norm.weight, gradients[i][0].norm.weight, rtol=1e-12)


def test_an_untraced_checkpoint_updates_and_an_error_in_the_replay_ends_it() -> None:
    model = Twice(1)
    model(BATCHES[0])
    assert model.norm.state_dict()["num_batches_tracked"] == 1
    runs = []

    def fails_again(x: Any) -> Any:
        runs.append(x)
        if len(runs) > 1:
            raise RuntimeError("the second time")
        return x * 2

    with pytest.raises(RuntimeError, match="the second time"):
        xpnn.grad(lambda x: total(xpnn.checkpoint(fails_again)(x)))(np.ones(3))
    model(BATCHES[0])
    assert model.norm.state_dict()["num_batches_tracked"] == 2


def test_state_goes_through_pickle_load_and_astype() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4))
    model(BATCHES[0].astype(np.float32))
    again = pickle.loads(pickle.dumps(model))
    fresh = nn.Sequential(nn.BatchNorm1d(4))
    fresh.load_state_dict(model.state_dict())
    wide = nn.Sequential(nn.BatchNorm1d(4))
    wide.load_state_dict(model.state_dict())
    wide.astype("float64")
    for other in (again, fresh, wide):
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, other.state_dict()[name])
    assert [str(buffer.value.dtype) for _, buffer in wide.named_buffers()] == ["float64", "float64", "int64"]
    model(BATCHES[1].astype(np.float32))
    assert fresh.state_dict()["0.num_batches_tracked"] == 1


def test_a_trained_layer_keeps_float16_apart_from_its_statistics() -> None:
    layer = nn.BatchNorm1d(4)
    y = layer((BATCHES[3] * 100).astype(np.float16))
    assert y.dtype == np.float16 and layer.state_dict()["running_var"].dtype == np.float32
    assert layer.eval()(y).dtype == np.float16


def test_repr() -> None:
    options = "eps=1e-05, momentum=0.1, affine=True, track_running_stats=True"
    assert repr(nn.BatchNorm2d(4)) == f"BatchNorm2d(4, {options})"
    options = "eps=1e-05, momentum=None, affine=False, track_running_stats=False"
    assert repr(nn.InstanceNorm2d(4, momentum=None)) == f"InstanceNorm2d(4, {options})"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.BatchNorm1d(0), ValueError, "num_features: expected 1 or more, got 0"),
        (lambda: nn.BatchNorm1d(2.0), TypeError, "num_features: expected an integer, got float"),  # type: ignore[arg-type]
        (lambda: nn.BatchNorm1d(2, eps=-1.0), ValueError, r"eps: expected 0 or more, got -1\.0"),
        (
            lambda: nn.BatchNorm1d(2, momentum=1.5),
            ValueError,
            r"momentum: expected a number in \[0, 1\] or None, got 1\.5",
        ),
        (
            lambda: nn.BatchNorm1d(2)(np.ones((3, 2, 4, 4))),
            ValueError,
            r"BatchNorm1d: x has shape \(3, 2, 4, 4\), expected \(N, C\) or \(N, C, L\)",
        ),
        (lambda: nn.BatchNorm2d(2)(np.ones((3, 2))), ValueError, r"expected \(N, C, \*S\) with 2 axes S"),
        (lambda: nn.BatchNorm1d(2)(np.ones((3, 4))), ValueError, "expected num_features = 2 on axis 1"),
        (lambda: nn.BatchNorm1d(2)([1.0]), TypeError, "BatchNorm1d: x is list, expected an array"),
        (lambda: nn.BatchNorm1d(2)(np.ones((1, 2))), ValueError, "x: expected more than 1 value per channel"),
        (
            lambda: nn.InstanceNorm1d(2)(np.ones((3, 2, 1))),
            ValueError,
            r"InstanceNorm1d: x has shape \(3, 2, 1\), expected more",
        ),
        (lambda: nn.InstanceNorm1d(2)(np.ones((3, 4, 5))), ValueError, "expected num_features = 2 on axis -2"),
        (
            lambda: nn.InstanceNorm2d(2)(np.ones((2, 4))),
            ValueError,
            r"expected \(N, C, \*S\) or \(C, \*S\) with 2 axes S",
        ),
    ],
)
def test_errors_name_the_argument(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_one_sample_evaluates() -> None:
    layer = nn.BatchNorm1d(2, dtype="float64").eval()
    np.testing.assert_allclose(layer(np.ones((1, 2))), np.full((1, 2), 1 / np.sqrt(1 + 1e-5)), rtol=1e-14)
