"""Faults planted in the convolution by whole warpgroups, one token each: a wrong number, or the emulator's error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xpnn.cuda import conv, conv_wgmma

from .emulated import emulating
from .mutations import holds, plant
from .test_conv import case, expected

# Two tiles for one block, the second one with few positions; three times as many steps as stages, or fewer.
RING, SHORT = ((4, 72, 6, 7), 12, (3, 3), 1, (1, 1)), ((4, 8, 6, 7), 12, (1, 1))
# The case, what stands in the joined text, what comes there instead.
FAULTS = [
    (RING, "GROUP = 1024 >> 4", "GROUP = 512 >> 4"),  # the descriptor's stride
    (RING, "SWIZZLE_128 = 1", "SWIZZLE_128 = 0"),
    (RING, "ptx::mbarrier_wait(&room.full[turn.stage], turn.parity);", ""),
    (RING, "ptx::mbarrier_wait(&room.empty[turn.stage], turn.parity ^ 1);", ""),
    (RING, "&room.empty[turn.stage], turn.parity ^ 1", "&room.empty[turn.stage], turn.parity"),
    (RING, "parity ^= 1;", ""),
    (RING, "ptx::wgmma_fence();", ""),
    (RING, "ptx::wgmma_wait<0>();", ""),
    (RING, "ptx::wgmma_wait<1>();", "ptx::wgmma_wait<2>();"),
    (RING, "if (step > 0) release(before);", "release(turn.stage);"),
    (RING, "step > 0 || k > 0", "k > 0"),
    (RING, "ptx::named_barrier_sync(1 + consumer, THREADS);\n        const Columns", "const Columns"),
    (SHORT, "ptx::named_barrier_sync(1 + consumer, THREADS);  // the last", "// the last"),
    (RING, "now.a + consumer * ROWS * BK", "now.a"),
    (RING, "by[2], by[1]);", "by[1], by[2]);"),
]


def is_right(given: Any) -> bool:
    """Whether the forward is exact; raises what the emulator raises."""
    arrays, static = case(*given)
    y, _ = conv.forward(*(a.astype(np.float16) for a in arrays), **static, need=(False,) * 3)
    return np.array_equal(y, expected(arrays, static)[0])


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_CONV", "wgmma")
    monkeypatch.setattr(conv_wgmma, "refusal", lambda conv, *, gradient: None)
    monkeypatch.setattr(conv_wgmma, "plan_of", conv_wgmma.plan_of.__wrapped__)
    monkeypatch.setattr(conv_wgmma, "_PROCESSORS", 1)
    monkeypatch.setattr(conv_wgmma, "_columns", lambda *_: 64)


@pytest.mark.parametrize(("given", "place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, given: Any, place: str, fault: str) -> None:
    def change(source: str, entry: str) -> str | None:
        if not entry.startswith("conv_wgmma"):
            return None
        assert source.count(place) == 1
        return source.replace(place, fault)

    planted = plant(monkeypatch, change)
    with emulating(monkeypatch):
        right = holds(lambda: is_right(given))
    assert planted and not right


def test_without_a_fault_all_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    with emulating(monkeypatch) as emulator:
        assert is_right(RING)
        assert is_right(SHORT)
    assert emulator.launched[-1].grid == (1, 1, 1)
