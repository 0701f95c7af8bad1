"""What stands beside the optimisers: clipping by value, accumulation of gradients, averages of weights."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import xpnn
from xpnn import losses, nn, optim

from ..conftest import Library


def test_clip_grad_value(lib: Library) -> None:
    grads = {"a": lib.asarray([3.0, -0.5, float("nan")]), "b": [lib.asarray([[-4.0]]), None]}
    clipped = optim.clip_grad_value(grads, 1.5)
    np.testing.assert_array_equal(lib.to_numpy(clipped["a"]), [1.5, -0.5, np.nan])
    np.testing.assert_array_equal(lib.to_numpy(clipped["b"][0]), [[-1.5]])
    assert clipped["b"][1] is None
    np.testing.assert_array_equal(lib.to_numpy(grads["a"]), [3.0, -0.5, np.nan])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_clip_grad_value_keeps_the_dtype(dtype: Any) -> None:
    (clipped,) = optim.clip_grad_value([np.asarray([2.0, -2.0, 0.25]).astype(dtype)], 1.0)
    assert clipped.dtype == dtype and clipped.astype(float).tolist() == [1.0, -1.0, 0.25]


def test_accumulate_gives_the_gradients_of_the_whole_batch(lib: Library) -> None:
    rng = np.random.default_rng(0)
    w, x = lib.asarray(rng.normal(size=(3, 2))), rng.normal(size=(12, 3))
    grad = xpnn.grad(lambda p, x: xpnn.namespace(x).mean(xpnn.namespace(x).sin(x @ p["w"]) ** 2))
    parts = [grad({"w": w}, lib.asarray(x[i : i + 4])) for i in (0, 4, 8)]
    kept = [lib.to_numpy(part["w"]).copy() for part in parts]
    whole = lib.to_numpy(grad({"w": w}, lib.asarray(x))["w"])
    for given in (parts, iter(parts)):
        np.testing.assert_allclose(lib.to_numpy(optim.accumulate(given)["w"]), whole, rtol=1e-12)
    for part, before in zip(parts, kept, strict=True):
        np.testing.assert_array_equal(lib.to_numpy(part["w"]), before)


def test_accumulate_takes_modules_and_sums_short_dtypes_in_float32() -> None:
    layer = nn.Linear(2, 2)
    x = np.ones((3, 2), np.float32)
    grads = [xpnn.grad(lambda m, x: xpnn.namespace(x).sum(m(x)))(layer, i * x) for i in (1, 3)]
    mean = optim.accumulate(grads)
    assert type(mean) is nn.Linear
    np.testing.assert_array_equal(mean.weight, 2 * grads[0].weight)
    (short,) = optim.accumulate(
        [np.full(2, 2.0**-11 if i else 1.0, np.float16)] for i in range(65)
    )  # in float16 it stays 1
    assert short.dtype == np.float16
    np.testing.assert_array_equal(short, np.full(2, (1 + 64 * 2.0**-11) / 65, np.float16))


def test_ema_is_that_of_torch(torch: Any, lib: Library) -> None:
    """In place of torch's first update, which copies, it starts with the arrays as they are."""
    rng = np.random.default_rng(0)
    w = rng.normal(size=(2, 3))
    peer = torch.nn.Linear(3, 2, bias=False)
    peer.weight.data = torch.tensor(w)
    theirs = torch.optim.swa_utils.AveragedModel(peer, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(peer)
    params = [lib.asarray(w)]
    ema = optim.EMA(params, decay=0.9)
    for _ in range(5):
        w = rng.normal(size=(2, 3))
        peer.weight.data = torch.tensor(w)
        theirs.update_parameters(peer)
        params[0][...] = lib.asarray(w)
        ema.update()
    expected = theirs.module.weight.detach().numpy()
    np.testing.assert_allclose(lib.to_numpy(ema.average["0"]), expected, rtol=1e-12)
    with ema.applied() as inside:
        assert inside is params
        np.testing.assert_allclose(lib.to_numpy(params[0]), expected, rtol=1e-12)
    np.testing.assert_array_equal(lib.to_numpy(params[0]), w)
    assert ema.steps == 5
    ema.copy_to()
    np.testing.assert_allclose(lib.to_numpy(params[0]), expected, rtol=1e-12)


def test_ema_of_a_model_in_training_and_its_state() -> None:
    xpnn.seed(0)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    ema, again = optim.EMA(model, 0.5), optim.EMA(model, 0.1)
    data = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32), np.arange(8) % 2
    optimizer = optim.SGD(model, lr=0.5)
    for _ in range(3):
        optimizer.step(xpnn.grad(lambda m: losses.cross_entropy(m(data[0]), data[1]))(model))
        ema.update()
    trained = [p.copy() for p in model.parameters()]
    with pytest.raises(RuntimeError, match="in between"), ema.applied():
        assert not np.array_equal(model[0].weight, trained[0])
        raise RuntimeError("in between")
    for p, q in zip(model.parameters(), trained, strict=True):
        np.testing.assert_array_equal(p, q)
    state = ema.state_dict()
    ema.update()
    again.load_state_dict(state)
    again.update()
    assert again.steps == 4 and again.decay == 0.5
    other = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    again.copy_to(other)
    for (name, p), q in zip(other.named_parameters(), ema.average.values(), strict=True):
        assert name in ema.average
        np.testing.assert_array_equal(p, q)


def test_ema_of_short_and_tied_arrays() -> None:
    """A short array would not feel its own small changes; an array in two places is averaged once."""
    w = np.ones(2, np.float16)
    ema = optim.EMA({"a": w, "b": w, "n": np.arange(3)}, decay=0.999)
    w[...] = 2
    ema.update()
    assert list(ema.average) == ["a"] and ema.average["a"].dtype == np.float32
    np.testing.assert_allclose(ema.average["a"], 1.001, rtol=1e-6)
    with ema.applied():
        assert w.dtype == np.float16 and float(w[0]) == pytest.approx(1.001, rel=1e-3)
    assert (w == 2).all()
