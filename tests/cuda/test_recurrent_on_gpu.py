"""lstm, gru and rnn on a GPU, both ways of the loop over time, against float64 on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import ops
from xpnn.primitive import explain

from ..conftest import libraries
from .recurrent_layers import DTYPES, ERRORS, LAYERS, case, exactly, like, wants

pytestmark = pytest.mark.gpu

# T, N, I, H: one block, many blocks of several rows, a layer that fits no block.
SHAPES = [(5, 3, 7, 5), (20, 300, 16, 64), (30, 9, 33, 96), (12, 40, 24, 128), (6, 17, 40, 200)]


@pytest.fixture(params=libraries("cupy"))
def cupy(request: pytest.FixtureRequest) -> Any:
    request.param()  # skips where there is no GPU
    import cupy

    return cupy


def on_gpu(cupy: Any, name: str, given: Any, options: Any) -> tuple[list[Any], list[Any]]:
    """Outputs and gradients as NumPy arrays; all computed twice, with the same bits."""
    arrays = [None if a is None else cupy.asarray(a) for a in given]
    need = wants(given)
    found = []
    for _ in range(2):
        outputs, residuals = LAYERS[name].forward(*arrays, need=need, **options)
        gs = tuple(cupy.asarray(like(i, cupy.asnumpy(y))) for i, y in enumerate(outputs))
        gradients = [g for g in LAYERS[name].backward(residuals, gs, need) if g is not None]
        found.append([cupy.asnumpy(x) for x in (*outputs, *gradients)])
    for x, y in zip(*found, strict=True):
        assert x.tobytes() == y.tobytes()
    return found[0][: len(outputs)], found[0][len(outputs) :]


@pytest.mark.parametrize("way", ["steps", "persistent"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_layers(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], name: str, dtype: str, way: str
) -> None:
    monkeypatch.setenv("XPNN_RECURRENT", way)
    lengths = np.random.default_rng(0).integers(0, shape[0] + 1, size=shape[1])
    for given, options in (
        case(name, shape, dtype=DTYPES[dtype]),
        case(name, shape, lengths, dtype=DTYPES[dtype], reverse=True),
        case(name, shape, lengths, dtype=DTYPES[dtype], reset=4),
    ):
        found, expected = on_gpu(cupy, name, given, options), exactly(name, given, options)
        for xs, ys, allowed in zip(found, expected, ERRORS[dtype], strict=True):
            for x, y in zip(xs, ys, strict=True):
                assert x.dtype == DTYPES[dtype]
                assert np.linalg.norm((x.astype(np.float64) - y).ravel()) <= allowed * np.linalg.norm(y.ravel())


def test_ops_run_them(cupy: Any) -> None:
    given, _ = case("lstm", (3, 2, 4, 5))
    assert explain(ops.lstm, *(None if a is None else cupy.asarray(a) for a in given)) == [
        "lstm: cuda.lstm (persistent, a block with room for 64 units: cheaper by the model of the costs)"
    ]
