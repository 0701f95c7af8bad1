"""torch as the peer of optimisers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """torch, computing in float64 what it keeps in the default dtype (NAdam) or in bfloat16 (Muon)."""
    module = pytest.importorskip("torch", reason="the reference is torch")
    monkeypatch.setattr(module.Tensor, "bfloat16", lambda x: x.clone())
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(module.float32)
