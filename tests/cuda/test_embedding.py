"""embedding for CuPy, in the emulator: rows and gradients, runs over chunks, indices that are none; what it refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import ops
from xpnn.cuda import embedding
from xpnn.primitive import Primitive
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
ROUNDING = {"float32": 1e-6, "float16": 6e-4, "bfloat16": 5e-3}
every = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


def random(dtype: str, *shape: int) -> Any:
    return np.random.default_rng([0, *shape]).normal(size=shape).astype(DTYPES[dtype])


def gradient(index: Any, g: Any, rows: int, padding_idx: int | None = None) -> Any:
    """The gradient of a table of `rows` rows."""
    table = np.zeros((rows, g.shape[-1]), g.dtype)
    _, residuals = embedding.forward(index, table, padding_idx=padding_idx, need=(False, True))
    nothing, dweight = embedding.backward(residuals, g, (False, True))
    assert nothing is None and dweight.dtype == g.dtype
    return dweight


def expected(index: Any, g: Any, rows: int, padding_idx: int | None = None) -> tuple[Any, Any]:
    """That gradient in float64, and the sum of magnitudes, which errors are relative to."""
    kept = (index >= 0) & (index < rows) & (index != (-1 if padding_idx is None else padding_idx % rows))
    exact, scale = np.zeros((2, rows, g.shape[-1]))
    np.add.at(exact, index[kept], g[kept].astype(np.float64))
    np.add.at(scale, index[kept], np.abs(g[kept].astype(np.float64)))
    return exact, scale


def check(index: Any, g: Any, rows: int, padding_idx: int | None = None) -> Any:
    dweight = gradient(index, g, rows, padding_idx)
    exact, scale = expected(index, g, rows, padding_idx)
    assert np.all(np.abs(dweight.astype(np.float64) - exact) <= ROUNDING[str(g.dtype)] * scale)
    return dweight


# Columns: one, primes, one below and above a tile of 32, of 32 vectors of 4 and of 8.
COLUMNS = (1, 3, 8, 31, 33, 40, 128, 132, 256, 264)


@every
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64, np.uint8])
def test_rows_are_those_of_the_table(emulator: Emulator, dtype: str, index_dtype: Any) -> None:
    for columns, count in zip(COLUMNS, itertools.cycle([1, 5, 77, 130]), strict=False):
        table = random(dtype, 7, columns)
        index = np.random.default_rng(count).integers(0, 7, size=count).astype(index_dtype)
        y, nothing = embedding.forward(index, table, need=(False, False))
        assert nothing is None and y.tobytes() == table[index].tobytes()


@every
def test_gradients_of_every_width(emulator: Emulator, dtype: str) -> None:
    for columns, count in itertools.product(COLUMNS, (1, 15, 17, 50)):
        index = np.random.default_rng(count).integers(0, 9, size=count)
        check(index, random(dtype, count, columns), 9)


def test_it_agrees_with_the_reference(emulator: Emulator) -> None:
    own = Primitive(ops.embedding.reference, name="embedding")
    own.add("numpy", embedding)
    rng = np.random.default_rng(0)
    cases = []
    for shape, columns, padding_idx in itertools.product([(3, 4), (0,), (1,), (70,)], (1, 8, 13), (None, 2, -1)):
        table = rng.normal(size=(7, columns)).astype(np.float32)
        cases.append(((rng.integers(0, 7, size=shape), table), {"padding_idx": padding_idx}))
    table = rng.normal(size=(14, 16)).astype(np.float32)[::2, ::2]
    cases.append(((rng.integers(0, 7, size=(4, 6)).T[::2], table), {}))
    assert check_primitive(own, cases) == 37
    assert embedding.forward(np.array(4), table, need=(False, False))[0].tobytes() == table[4].tobytes()


# Lengths of runs in sorted order, chunks being of 16 positions.
RUNS = {
    "one run": [100],
    "one run of whole chunks": [64],
    "a run for each chunk": [16] * 4,
    "a run in the middle of a chunk": [3, 5, 8, 1],
    "over one boundary": [15, 2, 15],
    "over one boundary, then another run over the next": [10, 12, 12, 14],
    "from a boundary on": [16, 40, 1],
    "up to a boundary": [3, 45, 16],
    "over many chunks": [7, 200, 2, 16 * 9, 5],
    "single rows": [1] * 50,
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_over_chunks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each in an order that is not sorted, with rows between that nothing picks."""
    sorted_index = np.repeat(2 * np.arange(len(RUNS[name])) + 1, RUNS[name])
    index = np.random.default_rng(0).permutation(sorted_index)
    rows = 2 * len(RUNS[name]) + 2
    with emulating(monkeypatch, SCHEDULES[:4]):
        for columns in (3, 8):
            dweight = check(index, random("float32", index.size, columns), rows)
            assert not dweight[::2].any()


@every
def test_a_very_frequent_row_is_spread_over_chunks_in_one_order(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Under every schedule, in any alignment: the same bits."""
    index = np.random.default_rng(0).permutation(np.repeat([4, 1, 2], [1500, 30, 70]))
    room = random(dtype, index.size * 8 + 1)
    g = room[1:].reshape(-1, 8)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        dweight = check(index, g, 5)
        assert gradient(index.astype(np.int32), g.copy(), 5).tobytes() == dweight.tobytes()
    entries = [plan.entry.partition("<")[0] for plan in emulator.launched]
    assert entries == ["embedding_forward", "embedding_backward", "embedding_combine"] * 2
    assert emulator.launched[1].entry.endswith(", 1>") and not emulator.launched[4].entry.endswith(", 1>")


@pytest.mark.parametrize("padding_idx", [0, 3, -1])
def test_the_padding_row_is_not_read(emulator: Emulator, padding_idx: int) -> None:
    index = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [40, 3, 50, 100, 2, 35]))
    g = random("float32", index.size, 8)
    g[index == padding_idx % 6] = np.nan
    assert not check(index, g, 6, padding_idx)[padding_idx].any()


@pytest.mark.parametrize("columns", [3, 8])
@every
def test_an_index_outside_of_the_table_reads_nothing(emulator: Emulator, dtype: str, columns: int) -> None:
    """The emulator would see it: a row of nan, no gradient, and the other rows are what they are."""
    table = random(dtype, 5, columns)
    index = np.concatenate([[-1, 5, 2, -(2**40), 2**40, 4, 0], np.full(40, 5), np.full(40, -1), np.full(40, 4)])
    y, _ = embedding.forward(index, table, need=(False, False))
    inside = (index >= 0) & (index < 5)
    assert y[inside].tobytes() == table[index[inside]].tobytes() and np.all(np.isnan(y[~inside].astype(np.float64)))
    check(index, random(dtype, index.size, columns), 5)
    assert np.all(np.isnan(embedding.forward(index, table[:0], need=(False, False))[0].astype(np.float64)))


def test_few_blocks_take_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    table, index = random("float32", 9, 132), np.random.default_rng(0).integers(0, 9, size=300)
    with emulating(monkeypatch) as emulator:
        monkeypatch.setattr(embedding, "_MOST_BLOCKS", 1)
        monkeypatch.setattr(embedding, "forward_plan", embedding.forward_plan.__wrapped__)
        assert embedding.forward(index, table, need=(False, False))[0].tobytes() == table[index].tobytes()
    assert [plan.grid for plan in emulator.launched] == [(2, 1, 1)]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 0, 3)])
def test_without_indices_or_columns_nothing_is_launched(emulator: Emulator, shape: tuple[int, ...]) -> None:
    for index, columns in [(np.zeros(shape, np.int64), 4), (np.zeros(5, np.int64), 0)]:
        y, residuals = embedding.forward(index, np.ones((3, columns), np.float32), need=(False, True))
        assert y.shape == (*index.shape, columns)
        dweight = embedding.backward(residuals, y, (False, True))[1]
        assert dweight.shape == (3, columns) and not dweight.any()
    assert emulator.launched == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight": np.ones((4, 3))}, "dtype float64"),
        ({"weight": np.ones(4, np.float32)}, "shape of weight"),
        ({"indices": np.ones(2, np.float32)}, "indices of float32"),
        ({"indices": np.ones(2, bool)}, "indices of bool"),
        ({"padding_idx": 4}, "padding_idx 4"),
        ({"padding_idx": -5}, "padding_idx -5"),
        ({"weight": np.broadcast_to(np.float32(1), (1, 2**30 + 1))}, "1073741825 columns"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"indices": np.zeros(2, np.int64), "weight": np.ones((4, 3), np.float32), "padding_idx": None}
    assert embedding.refusal(**call) is None
    assert embedding.refusal(**{**call, **change}) == reason


def test_ops_embedding_has_it_for_cupy() -> None:
    assert ops.embedding.implementations["cupy"] == [embedding]


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """Forward: indices, rows of the table at most as many as there are, y; backward: order, indices, g, rows; the sums twice."""
    assert embedding.forward_plan("float16", 4, 1000, 10, 64, aligned=True).bytes == 1000 * 4 + 1010 * 64 * 2
    main, last = embedding.backward_plans("float32", 8, 1000, 5000, 64, aligned=True)
    assert main.bytes == 1000 * 16 + 2000 * 64 * 4
    assert last.bytes == 2 * (-(-1000 // embedding.chunk_length("float32", 1000, 64))) * 64 * 4


def test_every_size_has_plans_of_the_table_and_fills_a_gpu() -> None:
    listed = {plan.entry for plan in embedding.instantiations()}
    counts, columns = (1, 16, 17, 10_000, 2**33), (1, 4, 7, 64, 520, 2**24)
    for dtype, count, width, aligned in itertools.product(DTYPES, counts, columns, (True, False)):
        forward = embedding.forward_plan(dtype, 8, count, 100, width, aligned=aligned)
        backward = embedding.backward_plans(dtype, 8, count, 100, width, aligned=aligned)
        assert {plan.entry for plan in (forward, *backward)} <= listed and len(backward) <= 2
        assert forward.block[0] * forward.block[1] == 256
    many = embedding.backward_plans("float32", 8, 2**20, 50_000, 512, aligned=True)
    assert all(plan.grid[0] >= 1000 for plan in many)
