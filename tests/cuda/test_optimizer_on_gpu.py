"""The optimisers and clip_grad_norm on a GPU: one launch for all arrays, against NumPy's form in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn import optim
from xpnn.cuda import clipping, optimizer
from xpnn.fallback import fallback_report, forget_fallbacks

from .test_on_gpu import cupy as cupy  # the fixture
from .test_optimizer import RULES

pytestmark = pytest.mark.gpu

SIZES = [1, 7, 0, 64, 4097, 250_001, 5_000_003]
TOLERANCE = {"float32": 1e-5, "float16": 2e-3}


def drawn(dtype: str, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=n).astype(dtype) for n in SIZES]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rule", RULES)
def test_steps(cupy: Any, rule: str, dtype: str) -> None:
    """Element by element after each of three steps; two runs have the same bits; the kernel takes all arrays."""
    kind, options = RULES[rule]
    peers = [x.astype(np.float64) for x in drawn(dtype, 0)]
    theirs = kind(peers, **options)
    runs = [[cupy.asarray(x) for x in drawn(dtype, 0)] for _ in range(2)]
    ours = [kind(p, **options) for p in runs]
    forget_fallbacks()
    for i in range(3):
        g = drawn(dtype, i + 1)
        for x, peer in zip(runs[0], peers, strict=True):
            peer[...] = cupy.asnumpy(x)
        for run in ours:
            run.step([cupy.asarray(x) for x in g])
        theirs.step([x.astype(np.float64) for x in g])
        for x, again, peer in zip(*runs, peers, strict=True):
            assert x.tobytes() == again.tobytes()
            near = np.isclose(cupy.asnumpy(x).astype(float), peer, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
            # Of millions of elements Lion may take one for negative that is positive by less than a rounding.
            assert np.mean(~near) <= (1e-6 if rule == "lion" else 0) if x.size else True
    assert fallback_report() == {}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_clip_grad_norm(cupy: Any, dtype: str) -> None:
    g = drawn(dtype, 0)
    found = [optim.clip_grad_norm([cupy.asarray(x) for x in g], 3.0) for _ in range(2)]
    scaled, norm = found[0]
    exact = np.sqrt(sum((x.astype(np.float64) ** 2).sum() for x in g))
    assert type(norm) is cupy.ndarray and norm.tobytes() == found[1][1].tobytes()
    np.testing.assert_allclose(float(norm), exact, rtol=1e-5)
    for x, again, y in zip(scaled, found[1][0], g, strict=True):
        assert x.tobytes() == again.tobytes()
        np.testing.assert_allclose(cupy.asnumpy(x).astype(float), y * (3 / exact), rtol=2e-3, atol=1e-6)


def test_every_instantiation_runs(cupy: Any) -> None:
    """bfloat16 among them, where CuPy has it."""
    entries = {plan.entry for family in (optimizer, clipping) for plan in family.instantiations()}
    assert len(entries) == 24
    ml_dtypes = pytest.importorskip("ml_dtypes")
    try:
        p = cupy.ones(4099, dtype=ml_dtypes.bfloat16)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this CuPy has no bfloat16: {error}")
    for kind, options in RULES.values():
        kind([p], **options).step([cupy.ones(4099, dtype=ml_dtypes.bfloat16)])
    scaled, _ = optim.clip_grad_norm([p], 1.0)
    assert np.isfinite(cupy.asnumpy(scaled[0]).astype(np.float32)).all()
