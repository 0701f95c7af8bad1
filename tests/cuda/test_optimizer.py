"""The optimisers' kernel in the emulator: against the optimisers themselves in float64, and what is launched when."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES, EmulatorError
from xpnn import nn, optim
from xpnn.cuda import chunks as chunking
from xpnn.cuda import optimizer as cuda
from xpnn.cuda.optimizer import Item
from xpnn.optim import Optimizer

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
RULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "sgd": (optim.SGD, {"lr": 0.1}),
    "momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    "nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}),
    "adam": (optim.Adam, {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.2}),
    "adamw": (optim.AdamW, {"lr": 0.1, "betas": (0.7, 0.9), "weight_decay": 0.2}),
    "rmsprop": (optim.RMSprop, {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop-all": (optim.RMSprop, {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "momentum": 0.8, "centered": True}),
    "lion": (optim.Lion, {"lr": 0.1, "betas": (0.7, 0.9), "weight_decay": 0.2}),
    "lamb": (optim.LAMB, {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.2}),
}
# One element, primes, a vector of 4 and of 8 and beside them, a chunk and beside it, two chunks and a rest.
SHAPES: list[tuple[int, ...]] = [(1,), (7,), (), (4,), (8, 1), (9,), (0,), (5, 13), (4095,), (4096,), (4097,), (8195,)]
ROUNDING = {"float32": 2e-6, "float16": 6e-4, "bfloat16": 5e-3}
every_rule = pytest.mark.parametrize("rule", RULES)


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setattr(Optimizer, "implementations", {"numpy": cuda})
    with emulating(monkeypatch) as found:
        yield found


def make(rule: str, params: Any) -> Any:
    kind, options = RULES[rule]
    return kind(params, **options)


def without_kernel(optimizer: Any) -> Any:
    """The optimiser, computed by array functions."""
    optimizer.implementations = {}
    return optimizer


def arrays(dtype: str, *shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape)).astype(DTYPES[dtype]) for shape in shapes]


def exact(xs: list[Any]) -> list[Any]:
    return [np.asarray(x, np.float64) for x in xs]


def misplaced(x: Any) -> Any:
    """A copy that begins one element after a multiple of 16 bytes."""
    room = np.zeros(x.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 16 + x.dtype.itemsize
    out = room[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    out[...] = x
    return out


def entries(emulator: Emulator) -> list[str]:
    return [plan.entry for plan in emulator.launched]


@pytest.mark.parametrize(("dtype", "rule"), list(itertools.product(DTYPES, RULES)))
def test_three_steps_are_those_of_the_optimiser_in_float64(emulator: Emulator, dtype: str, rule: str) -> None:
    """Step by step: the peer goes on from the rounded arrays, and keeps its own state."""
    p = arrays(dtype, *SHAPES)
    p += [misplaced(x) for x in arrays(dtype, (21,), (4099,), seed=1)]
    peers = exact(p)
    ours, theirs = make(rule, p), without_kernel(make(rule, peers))
    for i in range(3):
        g = arrays(dtype, *[x.shape for x in p], seed=2 + i)
        g[3], g[7] = misplaced(g[3]), misplaced(g[7])
        for x, peer in zip(p, peers, strict=True):
            peer[...] = x
        kept = copy.deepcopy(g)
        ours.step(g)
        theirs.step(exact(g))
        for x, peer, y, before in zip(p, peers, g, kept, strict=True):
            np.testing.assert_allclose(np.asarray(x, np.float64), peer, rtol=ROUNDING[dtype], atol=ROUNDING[dtype])
            assert y.tobytes() == before.tobytes()
    for name, state in theirs.state.items():
        assert list(ours.state[name]) == list(state)
        for key, x in state.items():
            assert ours.state[name][key].dtype == np.float32 and ours.state[name][key].shape == x.shape
            np.testing.assert_allclose(ours.state[name][key], x, rtol=1e-5, atol=1e-6)
    assert set(entries(emulator)) <= {plan.entry for plan in cuda.instantiations()}
    assert len(emulator.launched) == (6 if rule == "lamb" else 3)


@every_rule
def test_badly_aligned_arrays_have_the_same_values(emulator: Emulator, rule: str) -> None:
    p, g = arrays("float32", (50,), (4100,)), arrays("float32", (50,), (4100,), seed=1)
    q = list(map(misplaced, p))
    make(rule, p).step(g)
    optimizer = make(rule, q)
    optimizer.step(list(map(misplaced, g)))
    if rule != "lamb":  # whose norms are added in an order that depends on the vectors
        assert [x.tobytes() for x in p] == [x.tobytes() for x in q]
    for x, y in zip(p, q, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


@every_rule
@pytest.mark.parametrize("others", [list, lambda xs: list(map(misplaced, xs))])
def test_badly_aligned_state(emulator: Emulator, rule: str, others: Any) -> None:
    """Beside others that are aligned, and beside others that begin alike, so that vectors move behind a head."""
    p, q, g = (arrays("float32", (50,), (2,), (4099,), seed=i) for i in (0, 0, 1))
    q, h = others(q), others(g)
    first, second = make(rule, p), make(rule, q)
    first.step(g)
    second.step(h)
    second.state = {i: {name: misplaced(x) for name, x in state.items()} for i, state in second.state.items()}
    first.step(g)
    second.step(h)
    for x, y in zip(p, q, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6)


def test_a_variance_below_zero_is_zero(emulator: Emulator) -> None:
    emulator.schedules = SCHEDULES[:1]
    p, g = [np.ones(300, np.float32)], [np.linspace(0.1, 3, 300, dtype=np.float32)]
    optimizer = optim.RMSprop(p, lr=1e-6, alpha=0.5, centered=True)
    for _ in range(30):
        optimizer.step(g)
    assert np.isfinite(p[0]).all()


def test_lamb_takes_one_for_the_ratio_where_a_norm_is_zero(emulator: Emulator) -> None:
    p = [np.zeros(2, np.float32), np.ones(3, np.float32)]
    optim.LAMB(p, lr=0.1, weight_decay=0.0).step([np.array([2, -2], np.float32), np.zeros(3, np.float32)])
    np.testing.assert_allclose(p[0], [-0.1, 0.1], rtol=1e-5)
    np.testing.assert_array_equal(p[1], [1, 1, 1])


@every_rule
def test_a_hundred_arrays_are_one_launch(emulator: Emulator, rule: str) -> None:
    emulator.schedules = SCHEDULES[:1]
    shapes = [(i % 7 + 1,) for i in range(100)]
    optimizer = make(rule, arrays("float32", *shapes))
    for i in range(2):
        optimizer.step(arrays("float32", *shapes, seed=i))
    one = 2 if rule == "lamb" else 1
    assert len(emulator.launched) == 2 * one
    assert {plan.grid for plan in emulator.launched} == {(100, 1, 1)}


def test_more_arrays_than_fit_into_the_struct_are_two_launches(emulator: Emulator) -> None:
    emulator.schedules = SCHEDULES[:1]
    shapes = [(2,)] * (chunking.ARRAYS + 3)
    p, g = arrays("float32", *shapes), arrays("float32", *shapes, seed=1)
    expected = [x - np.float32(0.1) * y for x, y in zip(p, g, strict=True)]
    make("sgd", p).step(g)
    assert [plan.grid[0] for plan in emulator.launched] == [chunking.ARRAYS, 3]
    np.testing.assert_allclose(p, expected, rtol=1e-6)


def test_each_dtype_is_a_launch(emulator: Emulator) -> None:
    p = [*arrays("float32", (3,), (4,)), *arrays("float16", (5,)), np.ones(2)]
    make("adam", p).step([np.ones_like(x) for x in p])
    assert entries(emulator) == ["optimizer_step<float, Adam>", "optimizer_step<__half, Adam>"]
    assert all((x < 1).any() for x in p)


@pytest.mark.parametrize("most", [2, 1024])
def test_arrays_of_many_chunks(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """More than a block has threads, and chunks that grow with the array."""
    monkeypatch.setattr(Optimizer, "implementations", {"numpy": cuda})
    monkeypatch.setattr(chunking, "_CHUNK", 8)
    monkeypatch.setattr(chunking, "_MOST_CHUNKS", most)
    chunking.chunks.cache_clear()
    p = arrays("float32", (5,), (2083,), (17,))
    peers = exact(p)
    g = arrays("float32", *[x.shape for x in p], seed=1)
    with emulating(monkeypatch, SCHEDULES if most == 2 else SCHEDULES[:2]) as emulator:
        make("lamb", p).step(g)
    without_kernel(make("lamb", peers)).step(exact(g))
    chunking.chunks.cache_clear()
    assert {plan.grid[0] for plan in emulator.launched} == {
        1 + (261 if most == 1024 else 2) + (3 if most == 1024 else 2)
    }
    for x, peer in zip(p, peers, strict=True):
        np.testing.assert_allclose(x, peer, rtol=5e-6, atol=1e-6)


def test_the_tables_of_chunks() -> None:
    sizes = (1, 4096, 4097, 2**33, 12)
    found = chunking.chunks(sizes, "cpu")
    step = 2**23
    assert found.rows.tolist() == [  # type: ignore[attr-defined]
        [1, 4096, 0, 0], [4096, 4096, 1, 8], [4097, 4096, 2, 4104], [2**33, step, 4, 8208], [12, 4096, 1028, 8208 + 2**33],
    ]  # fmt: skip
    owner: Any = found.owner
    assert np.bincount(owner).tolist() == [1, 1, 2, 1024, 1] and owner.dtype == np.int32
    assert (found.number, found.elements) == (1029, sum(sizes))
    assert found.places == (0, 8, 4104, 8208, 8208 + 2**33) and found.flat == 8208 + 2**33 + 16


@every_rule
def test_empty_arrays_have_state_and_launch_nothing(emulator: Emulator, rule: str) -> None:
    p = [np.zeros((0, 3), np.float32)]
    ours, theirs = make(rule, p), without_kernel(make(rule, [p[0].copy()]))
    for optimizer in (ours, theirs):
        optimizer.step([np.zeros((0, 3), np.float32)])
    assert emulator.launched == []
    assert {k: x.shape for k, x in ours.state["0"].items()} == {k: x.shape for k, x in theirs.state["0"].items()}


@every_rule
def test_nan_and_inf_go_into_the_array_and_its_neighbours_are_left_alone(emulator: Emulator, rule: str) -> None:
    p, g = [np.ones(11, np.float32)], [np.ones(11, np.float32)]
    peers = exact(p)
    g[0][3], g[0][5] = np.nan, np.inf
    make(rule, p).step(g)
    with np.errstate(all="ignore"):
        without_kernel(make(rule, peers)).step(exact(g))
    np.testing.assert_allclose(p[0], peers[0], rtol=1e-5)
    assert np.isnan(p[0][3])
    assert rule == "lamb" or np.isfinite(np.delete(p[0], [3, 5])).all()


@every_rule
def test_a_run_goes_on_without_the_kernel_and_back(emulator: Emulator, rule: str) -> None:
    p, q = arrays("float16", (9,), (4,)), arrays("float16", (9,), (4,))
    first, second = make(rule, p), without_kernel(make(rule, q))
    for i in range(3):
        g = arrays("float16", (9,), (4,), seed=i + 1)
        first.step(g)
        second.step(g)
        states = first.state_dict(), second.state_dict()
        first.load_state_dict(states[1])
        second.load_state_dict(states[0])
        for x, y in zip(p, q, strict=True):
            np.testing.assert_allclose(x.astype(float), y.astype(float), rtol=2e-3, atol=2e-3)
            x[...] = y
    assert len(emulator.launched) == (6 if rule == "lamb" else 3)


def test_arrays_that_get_a_gradient_later_begin_later(emulator: Emulator) -> None:
    """Their first velocity is the gradient, whatever the dampening."""
    p = [np.zeros(2, np.float32), np.zeros(3, np.float32)]
    optimizer = optim.SGD(p, lr=1.0, momentum=0.5, dampening=0.25)
    optimizer.step([np.ones(2, np.float32), None])
    optimizer.step([np.ones(2, np.float32), np.ones(3, np.float32)])
    np.testing.assert_array_equal(p[0], [-2.25] * 2)
    np.testing.assert_array_equal(p[1], [-1.0] * 3)
    assert len(emulator.launched) == 3


def test_the_table_is_kept_until_an_array_is_another_one(emulator: Emulator) -> None:
    p, g = arrays("float32", (3,), (4,)), arrays("float32", (3,), (4,))
    optimizer = make("adam", p)

    def memory() -> Any:
        optimizer.step([x.copy() for x in g])
        return cuda._tables[optimizer]["float32", 0].p.memory

    first = memory()
    assert memory() is first
    optimizer.load_state_dict(optimizer.state_dict())
    second = memory()
    assert second is not first
    old, before = p[1], p[1].copy()
    optimizer.params[1] = before.copy()
    assert memory() is not second
    assert np.array_equal(old, before) and not np.array_equal(optimizer.params[1], before)


def test_a_copy_of_an_optimiser_leaves_the_arrays_of_the_first_alone(emulator: Emulator) -> None:
    p, g = arrays("float32", (3,)), arrays("float32", (3,), seed=1)
    optimizer = make("adam", p)
    optimizer.step(g)
    twin = copy.deepcopy(optimizer)
    before = p[0].copy()
    twin.step(g)
    assert np.array_equal(p[0], before) and not np.array_equal(twin.params[0], before)


def test_tied_weights_and_strided_gradients(emulator: Emulator) -> None:
    shared = np.ones((3, 4), np.float32)
    g = np.arange(12, dtype=np.float32).reshape(4, 3).T
    make("sgd", {"a": shared, "b": shared}).step({"a": g, "b": g})
    np.testing.assert_allclose(shared, 1 - 0.1 * g, rtol=1e-6)
    assert len(emulator.launched) == 1


def test_a_module_is_updated_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Optimizer, "implementations", {"numpy": cuda})
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    weights = list(model.parameters())
    before = [w.copy() for w in weights]
    with emulating(monkeypatch) as emulator:
        optim.AdamW(model).step(model)
    assert len(emulator.launched) == 1 and all(a is b for a, b in zip(model.parameters(), weights, strict=True))
    assert all((w != b).any() for w, b in zip(weights, before, strict=True))


class Backwards(optim.SGD):
    """An update of its own, and the kernel of its base."""

    def update(self, p: Any, g: Any, state: dict[str, Any]) -> None:
        p += self.lr * g


def test_an_update_without_a_kernel_of_its_own_runs_itself(emulator: Emulator) -> None:
    p = [np.ones(2, np.float32)]
    Backwards(p, lr=1.0).step([np.ones(2, np.float32)])
    assert p[0].tolist() == [2, 2] and emulator.launched == []


@pytest.mark.parametrize(
    ("p", "g", "state", "reason"),
    [
        (np.ones(2), np.ones(2), {}, "dtype float64"),
        (np.ones(2, np.float32), np.ones(2), {}, "dtypes float32 and float64"),
        (np.ones(2, np.float32), [1.0, 1.0], {}, "gradient of type list"),
        (np.ones((2, 3), np.float32).T, np.ones((3, 2), np.float32), {}, "an array that is not C-contiguous"),
        (
            np.ones(2, np.float16), np.ones(2, np.float16), {"mean": np.ones(2, np.float16)},
            r"state mean of float16 with shape (2,) and strides (2,)",
        ),
    ],
)  # fmt: skip
def test_it_says_what_it_does_not_take(emulator: Emulator, p: Any, g: Any, state: Any, reason: str) -> None:
    optimizer = make("adam", [p])
    optimizer.steps = 1
    item = Item(p, g, state)
    assert cuda.step(optimizer, [item]) == (reason, [item])
    assert emulator.launched == []


def test_what_it_does_not_take_is_stepped_all_the_same(emulator: Emulator) -> None:
    p = [np.ones((2, 3), np.float32).T, np.ones(2), np.ones(5, np.float32)]
    make("adam", p).step([np.ones((3, 2), np.float32), np.ones(2), np.ones(5, np.float32)])
    assert len(emulator.launched) == 1
    for x in p:
        np.testing.assert_allclose(x, 0.9, rtol=1e-3)


def test_the_emulator_sees_an_access_beside_an_array_of_a_table(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the two arrays of the table it names the one that is too short."""
    monkeypatch.setattr(cuda, "chunks", lambda sizes, device: chunking.chunks((sizes[0], sizes[1] + 1), device))
    with pytest.raises(EmulatorError, match=r"p\[1\]|g\[1\]"):
        make("sgd", arrays("float32", (64,), (64,))).step(arrays("float32", (64,), (64,)))


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """p twice, g once, a state twice; LAMB reads p twice more and leaves two sums a chunk, which its step reads."""
    assert cuda.plan("float32", "Sgd", 0, 1000, 1).bytes == 3 * 4000
    assert cuda.plan("float16", "Adam", 2, 1000, 1).bytes == 3 * 2000 + 4 * 4000
    assert cuda.plan("float32", "LambMoments", 2, 1000, 3).bytes == 2 * 4000 + 4 * 4000 + 3 * 8
    assert cuda.plan("float32", "LambStep", 2, 1000, 3).bytes == 2 * 4000 + 2 * 4000 + 3 * 8


def test_few_instantiations_and_arguments_that_every_driver_takes() -> None:
    plans = list(cuda.instantiations())
    assert len({plan.entry for plan in plans}) == len(plans) == 18
    assert all(plan.layout.dtype.itemsize <= 4096 for plan in plans)
