"""Arrays of any size go to the compiled loops here, and as many threads share them as a test asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from xpnn.compiled import blocks, loops, optimizer


@pytest.fixture(autouse=True)
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    for module in (loops, optimizer):
        monkeypatch.setattr(module, "_FEWEST", 0)


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """However little there is to do."""
    monkeypatch.setattr(loops, "_GRAIN", 1)
    for module in (loops, blocks):
        monkeypatch.setattr(module, "threads", lambda: request.param)
    loops.pool.cache_clear()
    yield request.param
    loops.pool().shutdown()
    loops.pool.cache_clear()
