"""Sums of a convolution that several blocks share: the same numbers and bits whoever comes last, tickets that are zero again."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn.cuda import conv, conv_float, conv_gather, conv_half, conv_tensor, conv_tf32
from xpnn.cuda.arguments import Arguments
from xpnn.cuda.launch import executing
from xpnn.cuda.plan import Plan

from .emulated import Emulator, emulating
from .mutations import holds, plant
from .test_conv import case, expected, ours
from .test_conv_plans import convolution

# Forward and input gradient of each; phases of a strided gradient have sums of different lengths, and 64 x 9 is no whole number of
# equal shares.
CASES: dict[str, Any] = {
    "one tile": ((1, 64, 4, 4), 64, (3, 3), 1, (1, 1)),
    "strided": ((1, 72, 5, 5), 70, (3, 3), 2, (1, 1)),
    "groups": ((1, 130, 3, 3), 134, (3, 3), 1, (1, 1), 1, 2),
}


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setattr(conv_gather, "_kept", conv_gather._Kept())
    monkeypatch.setenv("XPNN_CONV", "gather")  # the kernel with halos has no shares
    with emulating(monkeypatch) as found:
        yield found


def shared(emulator: Emulator) -> list[Plan]:
    """The gathers that were launched."""
    return [plan for plan in emulator.launched if plan.entry.startswith("conv_gather")]


@pytest.mark.parametrize(
    ("name", "kind", "last"),
    [
        ("one tile", "highest", False),
        ("strided", "highest", True),
        ("groups", "highest", False),
        ("one tile", "float16", True),
        ("strided", "float16", False),
        ("groups", "medium", False),
    ],
)
def test_shared_sums_of_small_integers_are_exact(emulator: Emulator, name: str, kind: str, last: bool) -> None:
    arrays, static = case(*CASES[name], last=last)
    short = kind == "float16"
    with xpnn.precision("highest" if short else kind):
        found = ours(arrays, static, np.float16 if short else np.float32)
    for x, y in zip(found, expected(arrays, static), strict=True):
        np.testing.assert_array_equal(x, y.astype(x.dtype))
    tickets = conv_gather._kept.tickets[0, 0]
    assert len(shared(emulator)) == 2 and not tickets.any()


def noise() -> tuple[Any, Any, dict[str, Any]]:
    (x, w, _), static = case(*CASES["one tile"])
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=a.shape).astype(np.float32) for a in (x, w))
    return x, w, static


def test_two_runs_have_the_same_bits(emulator: Emulator) -> None:
    x, w, static = noise()
    once, again = (conv.forward(x, w, None, **static, need=(False,) * 3)[0] for _ in range(2))
    assert once.tobytes() == again.tobytes()
    np.testing.assert_allclose(once, expected((x, w, None), static)[0], rtol=1e-4, atol=1e-4)


def test_bias_and_activation_come_behind_the_whole_sum(emulator: Emulator) -> None:
    (x, w, bias), static = case(*CASES["one tile"])
    y, _ = conv.forward(x, w, bias, **static, activation="relu", need=(False,) * 3)
    np.testing.assert_array_equal(y, np.maximum(expected((x, w, bias), static)[0], 0))


class Together:
    """An emulator whose blocks all live at once, so that they come in any order and their races are looked for."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator

    def __call__(self, plan: Plan, arguments: Arguments) -> None:
        self.emulator(dataclasses.replace(plan, cooperative=True), arguments)


def test_blocks_that_run_at_the_same_time(emulator: Emulator) -> None:
    x, w, static = noise()
    alone = conv.forward(x, w, None, **static, need=(False,) * 3)[0]
    with executing(Together(emulator)):
        together = conv.forward(x, w, None, **static, need=(False,) * 3)[0]
    assert shared(emulator)[-1].cooperative and alone.tobytes() == together.tobytes()


# A place in conv_out.cuh, what comes there instead. The fences cannot be among them: the emulator's atomics order everything.
FAULTS = [
    ("unsigned(a.shares - 1)", "unsigned(a.shares)"),
    ("unsigned(a.shares - 1)", "0u"),
    ("if (threadIdx.x == 0) a.tickets[work.tile] = 0;", ""),
    ("s < a.shares; ++s", "s < a.shares - 1; ++s"),
    ("(long long)s * ALL", "(long long)((s + work.share) % a.shares) * ALL"),
    ("__threadfence();\n    __syncthreads();", ""),
    ("if (!__syncthreads_or(last)) return false;", "if (!last) return false;"),
    ("(all + shares - 1) / shares", "all / shares"),
    ("int(gridDim.x) / a.shares) + tile", "int(gridDim.x) / a.shares)"),
    ("+ blockIdx.y;\n", ";\n"),
]


@pytest.mark.parametrize(("place", "fault"), FAULTS)
def test_a_planted_fault_is_seen(monkeypatch: pytest.MonkeyPatch, emulator: Emulator, place: str, fault: str) -> None:
    def change(source: str, entry: str) -> str:
        assert place in source
        return source.replace(place, fault, 1)

    planted = plant(monkeypatch, change)
    x, w, static = noise() if "s * ALL" in place else (*case(*CASES["groups"])[0][:2], case(*CASES["groups"])[1])
    wanted = expected((x, w, None), static)[0]

    def is_right() -> bool:
        y, _ = conv.forward(x, w, None, **static, need=(False,) * 3)
        return bool(np.allclose(y, wanted, rtol=1e-4, atol=1e-3))

    with executing(Together(emulator)):
        right = holds(lambda: all(is_right() for _ in range(2)))
    assert planted and not right


@pytest.mark.parametrize(
    ("conv_", "float32", "float16"),
    [
        (convolution(1, 256, 256, 14, 3), 16, 9),  # 16 tiles
        (convolution(1, 512, 512, 7, 3), 16, 16),  # 8 tiles
        (convolution(32, 512, 512, 7, 3), 1, 1),  # 200 tiles
        (convolution(1, 64, 64, 56, 3), 4, 2),  # a short sum
        (convolution(1, 64, 64, 14, 1), 1, 1),
        (convolution(1, 1, 6, 28, 5), 1, 1),
    ],
)
def test_few_tiles_and_long_sums_have_shares(conv_: Any, float32: int, float16: int) -> None:
    half = conv_half.KINDS["float16"]
    for gradient_ in (False, True) if conv_.filters == conv_.channels else (False,):
        plan, values = conv_float.gather_plan(conv_, None, gradient=gradient_, aligned=True)
        short, own = conv_tensor.gather_plan(half, conv_, None, gradient=gradient_, aligned=True)
        assert (values["shares"], own["shares"]) == (float32, float16)
        for found, n, size in ((plan, float32, 4), (short, float16, 2)):
            tiles = found.grid[0] // n
            assert found.bytes == size * sum(conv_.elements) + (2 * n * tiles * 64 * 64 * 4 if n > 1 else 0)


def test_never_more_tiles_with_shares_than_tickets() -> None:
    assert conv_gather.share_count(10**6, 1) == conv_gather._MOST_SHARES
    assert conv_gather.share_count(10**6, conv_gather._ENOUGH_BLOCKS // 2) == 2
    assert conv_gather.share_count(10**6, conv_gather._ENOUGH_BLOCKS // 2 + 1) == 1
    assert conv_tf32.KINDS["high"].tiling(convolution(1, 256, 256, 14, 3), False).shares == 16


def test_streams_and_threads_have_tickets_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conv_gather, "_kept", conv_gather._Kept())
    x, place = np.zeros(1, np.float32), [(0, 7)]
    monkeypatch.setattr(conv_gather, "_stream_of", lambda x: place[0])
    first = conv_gather._tickets(x)
    assert conv_gather._tickets(x) is first and first.dtype == np.uint32 and not first.any()
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(conv_gather._tickets(x)))
    thread.start()
    thread.join()
    place[0] = (0, 8)
    assert found[0] is not first and conv_gather._tickets(x) is not first
    place[0] = None  # a graph is recorded
    assert conv_gather._tickets(x) is not conv_gather._tickets(x)


def test_which_stream_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = SimpleNamespace(ptr=5, is_capturing=lambda: False)
    fake = SimpleNamespace(cuda=SimpleNamespace(get_current_stream=lambda: stream))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    x = SimpleNamespace(device=SimpleNamespace(id=3))
    assert conv_gather._stream_of(x) == (3, 5)
    stream.is_capturing = lambda: True
    assert conv_gather._stream_of(x) is None
