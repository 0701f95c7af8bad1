"""softmax_cross_entropy for CuPy, run in the emulator: against the reference in all its cases, float64, and what it refuses."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.emulator import SCHEDULES
from xpnn import losses, ops
from xpnn.cuda import softmax_cross_entropy as cuda
from xpnn.cuda.launch import launch
from xpnn.cuda.softmax_tiling import Rows
from xpnn.gradients import vjp
from xpnn.primitive import Primitive, explain
from xpnn.testing import check_primitive

from .emulated import Emulator, emulating

DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
ROUNDING = {"float32": 2e-6, "float16": 1e-3, "bfloat16": 8e-3}
REDUCTIONS = ("none", "sum", "mean")
# One class, primes, one below and above what a thread, a team, a block brings at once; maps with few and many columns; few rows
# in pieces; more rows than a block takes.
SHAPES = [
    (1, 1), (7, 1), (5, 4), (5, 5), (3, 7), (9, 8), (4, 9), (3, 16), (2, 257), (2, 1024), (1, 1025), (2, 2052), (70, 3), (600, 2),
    (2, 16500), (2, 33000), (5,), (12,), (2, 3, 1), (2, 3, 2), (3, 5, 4), (1, 9, 33), (2, 70, 5), (1, 3, 4, 8), (2, 9000),
    (1, 8200, 4),
]  # fmt: skip


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with emulating(monkeypatch) as found:
        yield found


@pytest.fixture
def primitive() -> Primitive:
    """ops.softmax_cross_entropy with the form for CuPy in the place of that for NumPy."""
    own = Primitive(ops.softmax_cross_entropy.reference, name="softmax_cross_entropy")
    own.add("numpy", cuda)
    return own


def random(shape: tuple[int, ...], dtype: str = "float32", scale: float = 3) -> Any:
    return (np.random.default_rng([1, *shape]).normal(size=shape) * scale).astype(DTYPES[dtype])


def labels_of(shape: tuple[int, ...], ignored: int | None = None, dtype: Any = np.int64) -> Any:
    """Labels for logits of a shape; every third one ignored."""
    axis = min(1, len(shape) - 1)
    labels = np.random.default_rng([2, *shape]).integers(0, shape[axis], shape[:axis] + shape[axis + 1 :])
    if ignored is not None:
        labels.reshape(-1)[1::3] = ignored
    return labels.astype(dtype)


def shares_of(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    """A distribution over the classes of each row."""
    shares = np.random.default_rng([3, *shape]).random(shape)
    return (shares / shares.sum(min(1, len(shape) - 1), keepdims=True)).astype(DTYPES[dtype])


def weights_of(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    return np.random.default_rng(4).random(shape[min(1, len(shape) - 1)]).astype(DTYPES[dtype]) + DTYPES[dtype](0.1)


def labelled() -> Iterator[tuple[Any, Any]]:
    for i, shape in enumerate(SHAPES):
        ignored, kind = (-100, np.int64) if i % 2 else (0, np.int32)
        labels = labels_of(shape, ignored if len(shape) > 1 and shape[1] > 1 else None, kind)
        options = {"ignore_index": ignored, "reduction": REDUCTIONS[i % 3], "label_smoothing": (0.0, 0.2)[i % 4 // 2]}
        yield (random(shape), labels, weights_of(shape) if i % 5 == 4 else None), options


def of_probabilities() -> Iterator[tuple[Any, Any]]:
    for i, shape in enumerate(SHAPES[1::2]):
        options = {"reduction": REDUCTIONS[i % 3], "label_smoothing": (0.0, 0.3)[i % 2]}
        yield (random(shape), shares_of(shape), weights_of(shape) if i % 4 > 1 else None), options


def all_options() -> Iterator[tuple[Any, Any]]:
    shapes, smoothings, either = itertools.cycle([(13, 5), (2, 3, 4)]), (0.0, 0.25, 1.0), (True, False)
    for of_labels, weighted, smoothing, reduction in itertools.product(either, either, smoothings, REDUCTIONS):
        shape = next(shapes)
        target = labels_of(shape, 1) if of_labels else shares_of(shape)
        options = {"ignore_index": 1, "label_smoothing": smoothing, "reduction": reduction}
        yield (random(shape), target, weights_of(shape) if weighted else None), options


@pytest.mark.parametrize(("cases", "count"), [(labelled, 26), (of_probabilities, 13), (all_options, 36)])
def test_it_agrees_with_the_reference(emulator: Emulator, primitive: Primitive, cases: Any, count: int) -> None:
    """Losses, and the gradients of logits, probabilities and class weights."""
    assert check_primitive(primitive, cases()) == count


def test_every_kernel_of_a_dtype_is_launched(emulator: Emulator, primitive: Primitive) -> None:
    for shape in [(3, 8), (1, 2, 4), (600, 3)]:
        primitive_gradient(primitive, random(shape), labels_of(shape))
    entries = {plan.entry for plan in emulator.launched}
    assert entries == {plan.entry for plan in cuda.instantiations() if "<float" in plan.entry}


def primitive_gradient(primitive: Any, logits: Any, target: Any, g: Any = None, **options: Any) -> tuple[Any, Any]:
    """The loss, and the gradient of the logits."""
    loss, pullback = vjp(lambda x: primitive(x, target, None, **options), logits)
    return loss, pullback(np.ones_like(loss) if g is None else g)[0]


def exact(logits: Any, shares: Any, axis: int) -> tuple[Any, Any]:
    """(the mean loss, its gradient) in float64."""
    x, q = (np.asarray(a, np.float64) for a in (logits, shares))
    x = x - x.max(axis, keepdims=True)
    logp = x - np.log(np.exp(x).sum(axis, keepdims=True))
    rows = x.size / x.shape[axis]
    return -(q * logp).sum() / rows, (np.exp(logp) * q.sum(axis, keepdims=True) - q) / rows


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float32", (20, 272)),
        ("float16", (20, 272)),
        ("float16", (13, 7)),
        ("bfloat16", (20, 272)),
        ("bfloat16", (2, 5, 12)),
        ("bfloat16", (2, 5, 16)),
        ("float16", (1, 40, 24)),
    ],
)
def test_it_is_as_near_to_float64_as_the_dtype_allows(emulator: Emulator, dtype: str, shape: tuple[int, ...]) -> None:
    logits, labels, shares = random(shape, dtype), labels_of(shape), shares_of(shape, dtype)
    one_hot = np.moveaxis(np.eye(shape[1])[labels], -1, 1)
    for target, q in ((labels, one_hot), (shares, shares)):
        loss, residuals = cuda.forward(logits, target, None, need=(True, False, False))
        gradient, _, _ = cuda.backward(residuals, np.ones_like(loss), (True, False, False))
        for x, y in zip((loss, gradient), exact(logits, q, 1), strict=True):
            assert x.dtype == DTYPES[dtype]
            assert np.abs(np.asarray(x, np.float64) - y).max() <= ROUNDING[dtype] * np.abs(y).max()


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_labels_of_every_kind(emulator: Emulator, primitive: Primitive, kind: str) -> None:
    logits = random((6, 5))
    expected = ops.softmax_cross_entropy(logits, labels_of((6, 5)))
    np.testing.assert_allclose(primitive(logits, labels_of((6, 5), dtype=kind)), expected, rtol=1e-6)


@pytest.mark.parametrize("wrong", [5, -1, 2**40, -(2**63)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_label_that_is_no_class_makes_its_row_nan(
    emulator: Emulator, primitive: Primitive, wrong: int, reduction: str
) -> None:
    logits, labels = random((4, 5)), labels_of((4, 5))
    expected, gradient = primitive_gradient(primitive, logits, labels, reduction="none")
    labels[2] = wrong
    loss, found = primitive_gradient(primitive, logits, labels, reduction=reduction)
    assert np.isnan(found[2]).all()
    if reduction == "none":
        assert np.isnan(loss[2]) and np.array_equal(np.delete(loss, 2), np.delete(expected, 2))
        assert np.array_equal(np.delete(found, 2, 0), np.delete(gradient, 2, 0))
    else:
        assert np.isnan(loss)


@pytest.mark.parametrize("shape", [(3, 5), (3, 8), (2, 16500), (2, 3, 4)])
def test_the_mean_of_nothing_is_nan_and_its_gradient_zero(
    emulator: Emulator, primitive: Primitive, shape: tuple[int, ...]
) -> None:
    labels = np.full_like(labels_of(shape), -100)
    logits = random(shape)
    logits[0] = np.nan
    loss, gradient = primitive_gradient(primitive, logits, labels)
    assert np.isnan(loss) and np.array_equal(gradient, np.zeros(shape))
    assert primitive(logits, labels, reduction="sum") == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_where_only_classes_without_weight_occur_nothing_counts_either(
    emulator: Emulator, primitive: Primitive, smoothing: float
) -> None:
    args = random((3, 5)), np.array([2, 2, -100]), np.array([1, 1, 0, 1, 1], np.float32)
    for form in (primitive, primitive.reference):
        loss, pullback = vjp(lambda x, form=form: form(x, *args[1:], label_smoothing=smoothing), args[0])
        gradient = pullback(np.float32(1))[0]
        assert np.isnan(loss) and np.isnan(gradient[:2]).all()


@pytest.mark.parametrize("target", ["labels", "smooth", "shares"])
@pytest.mark.parametrize("shape", [(3, 7), (3, 8), (3, 4, 4), (3, 4500)])
def test_rows_with_infinities_and_nan(
    emulator: Emulator, primitive: Primitive, shape: tuple[int, ...], target: str
) -> None:
    """As the reference has it: the first row holds the values, the second nothing but them."""
    inf, nan = np.inf, np.nan
    to = shares_of(shape) if target == "shares" else labels_of(shape)
    options: dict[str, Any] = {"reduction": "none", "label_smoothing": 0.1 if target == "smooth" else 0.0}
    for values in ([-inf], [inf], [nan], [-inf, inf], [1e4, -1e4], [1e30], [1e34, -1e34]):
        logits = random(shape)
        for i, value in enumerate(values):
            logits[0, (3 * i + 2) % shape[1]] = value
            logits[1, i :: len(values)] = value
        with np.errstate(all="ignore"):
            expected = primitive_gradient(ops.softmax_cross_entropy.reference, logits, to, **options)
        found = primitive_gradient(primitive, logits, to, **options)
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6)


def test_large_logits_stay_exact(emulator: Emulator, primitive: Primitive) -> None:
    """The probabilities of logits near 1e4 have all their digits: what is kept is no sum of maximum and logarithm."""
    logits = random((4, 9), scale=1)
    for shift, places in [(0, 5e-6), (1e4, 2e-3)]:  # the shifted logits themselves are rounded by 5e-4
        moved = logits + np.float32(shift)
        loss, gradient = primitive_gradient(primitive, moved, labels_of((4, 9)))
        q = np.eye(9)[labels_of((4, 9))]
        for x, y in zip((loss, gradient), exact(moved, q, 1), strict=True):
            np.testing.assert_allclose(x, y, rtol=5e-6, atol=1e-7)
        np.testing.assert_allclose(gradient, exact(logits, q, 1)[1], rtol=places, atol=places)
    logits = np.array([[1e4, 0.0, -1e4]], np.float32)
    assert primitive(logits, np.array([2])) == np.float32(2e4) and primitive(logits, np.array([0])) == 0


@pytest.mark.parametrize(
    ("shape", "launches"), [((40, 12), [1, 0]), ((600, 3), [1, 1]), ((2, 16500), [2, 0]), ((2, 8200, 4), [2, 0])]
)
def test_at_most_two_launches_whose_bits_no_schedule_changes(
    monkeypatch: pytest.MonkeyPatch, primitive: Primitive, shape: tuple[int, ...], launches: list[int]
) -> None:
    logits, labels = random(shape), labels_of(shape, 0)
    with emulating(monkeypatch, SCHEDULES) as emulator:
        loss, _ = primitive_gradient(primitive, logits, labels, ignore_index=0)
    names = [plan.entry.partition("<")[0] for plan in emulator.launched]
    assert [names.count(f"softmax_cross_entropy_{name}") for name in ("forward", "sum")] == launches
    assert names.count("softmax_cross_entropy_backward") == 1
    expected = ops.softmax_cross_entropy(logits.astype(np.float64), labels, ignore_index=0)
    np.testing.assert_allclose(loss, expected, rtol=2e-6)


def test_strided_and_badly_aligned_arrays(emulator: Emulator, primitive: Primitive) -> None:
    labels, weight = labels_of((8, 8)), weights_of((8, 8))
    for logits in (random((16, 8))[::2, ::-1], random((8, 8)).T):
        args = (logits, labels[::-1], weight[::-1])
        np.testing.assert_allclose(primitive(*args), ops.softmax_cross_entropy(*args), rtol=1e-6)


@pytest.mark.parametrize(("dtype", "shape"), [("float32", (5, 261)), ("float16", (9, 517)), ("float32", (2, 16500))])
def test_rows_that_begin_anywhere_move_as_vectors(emulator: Emulator, dtype: str, shape: tuple[int, ...]) -> None:
    """Logits that begin anywhere as well; not beside arrays of their shape that begin elsewhere."""
    labels, shares, weight = labels_of(shape), shares_of(shape, dtype), weights_of(shape, dtype)
    for start in (0, 1, 3):
        logits = np.zeros(shape[0] * shape[1] + start, DTYPES[dtype])[start:].reshape(shape)
        logits[...] = random(shape, dtype)
        for target, own in ((labels, None), (shares, None), (labels, weight), (shares, weight)):
            emulator.launched.clear()
            smoothing = 0.0 if own is None else 0.1
            loss, residuals = cuda.forward(logits, target, own, label_smoothing=smoothing, need=(True, False, False))
            (gradient, _, _) = cuda.backward(residuals, np.ones_like(loss), (True, False, False))
            single = [", 1, false>" in plan.entry for plan in emulator.launched]
            assert (single[0], single[-1]) == (start > 0 and target is shares, start > 0)
            q = np.asarray(target, np.float64) if target is shares else target
            w = None if own is None else np.asarray(own, np.float64)
            exactly = functools.partial(ops.softmax_cross_entropy, target=q, weight=w, label_smoothing=smoothing)
            expected, pullback = vjp(exactly, np.asarray(logits, np.float64))
            slope = pullback(np.float64(1))[0]
            assert abs(np.float64(loss) - expected) <= ROUNDING[dtype] * abs(expected)
            assert np.abs(np.asarray(gradient, np.float64) - slope).max() <= ROUNDING[dtype] * np.abs(slope).max()


@pytest.mark.parametrize("shape", [(150, 10), (7, 511)])
def test_a_block_takes_tiles_one_after_another(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    """As it does where there are more of them than blocks fill a GPU."""
    logits, labels = random(shape, "float16"), labels_of(shape)
    monkeypatch.setattr(cuda, "launch", lambda plan, values: launch(dataclasses.replace(plan, grid=(1, 1, 1)), values))
    loss, residuals = cuda.forward(logits, labels, None, reduction="none", need=(True, False, False))
    (gradient, _, _) = cuda.backward(residuals, np.ones_like(loss), (True, False, False))
    expected = primitive_gradient(
        ops.softmax_cross_entropy.reference, logits.astype(np.float64), labels, reduction="none"
    )
    for x, y in zip((loss, gradient), expected, strict=True):
        assert np.abs(x - y).max() <= ROUNDING["float16"] * np.abs(y).max()


def test_without_rows_nothing_is_launched(emulator: Emulator, primitive: Primitive) -> None:
    for shape in [(0, 3), (2, 3, 0)]:
        logits, labels = np.zeros(shape, np.float32), labels_of(shape)
        with np.errstate(invalid="ignore"):
            found = [primitive_gradient(primitive, logits, labels, reduction=r) for r in REDUCTIONS]
        assert [loss.shape for loss, _ in found] == [labels.shape, (), ()]
        assert found[1][0] == 0 and np.isnan(found[2][0])
        assert all(gradient.shape == shape for _, gradient in found)
    assert emulator.launched == []


def test_inference_keeps_nothing(emulator: Emulator) -> None:
    loss, residuals = cuda.forward(random((3, 5)), labels_of((3, 5)), None, need=(False, False, False))
    assert residuals is None and loss.shape == () and np.isfinite(loss)


def test_no_plan_chooses_a_kernel_that_is_not_listed() -> None:
    listed = {plan.entry for plan in cuda.instantiations()}
    assert len(listed) == 21
    sizes = (1, 3, 4, 8, 100, 10**6)
    for dtype, *shape, aligned, counted in itertools.product(DTYPES, sizes, sizes, sizes, (True, False), (True, False)):
        rows = Rows(dtype, *shape)
        forward = cuda.forward_plans(rows, probabilities=counted, counted=counted, aligned=aligned)
        backward = cuda.backward_plan(rows, probabilities=counted, aligned=aligned)
        assert {plan.entry for plan in (*forward, backward)} <= listed
        assert len(forward) <= 2


def test_a_plan_counts_the_bytes_that_must_move() -> None:
    """Logits once; for each row a label, a loss, and three numbers kept; backward: logits, their gradient, the numbers."""
    rows = Rows("float16", 4096, 1000, 1)
    main, last = cuda.forward_plans(rows, probabilities=False, counted=True, aligned=True)
    assert main.bytes == 4096 * (1000 * 2 + 8 + 2 + 12)
    assert last.bytes == main.grid[0] * 8
    assert cuda.backward_plan(rows, probabilities=False, aligned=True).bytes == 4096 * (2 * 1000 * 2 + 8 + 12)
    assert cuda.backward_plan(rows, probabilities=True, aligned=True).bytes == 4096 * (3 * 1000 * 2 + 12)
    pieces, rest = cuda.forward_plans(Rows("float32", 8, 10**6, 1), probabilities=False, counted=True, aligned=True)
    assert pieces.bytes - 4 * 8 * 10**6 == pieces.grid[0] * 16 == rest.bytes - 8 * (8 + 4 + 12)
    assert rest.grid == (1, 1, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"logits": np.ones((2, 3))}, "dtype float64"),
        ({"logits": np.float32(1)}, "logits of shape ()"),
        ({"logits": np.ones((2, 0), np.float32)}, "logits of shape (2, 0)"),
        ({"target": np.zeros(3, np.int64)}, "targets of shape (3,) for logits of shape (2, 3)"),
        ({"target": np.zeros((2, 4), np.float32)}, "targets of shape (2, 4) for logits of shape (2, 3)"),
        ({"target": np.zeros((2, 3))}, "dtypes float32 and float64"),
        ({"weight": np.zeros(2, np.float32)}, "weights of shape (2,)"),
        ({"weight": np.zeros(3, np.float16)}, "dtypes float32 and float16"),
        ({"reduction": "max"}, "options"),
        ({"label_smoothing": 1.5}, "options"),
        ({"ignore_index": 2**63}, "options"),
    ],
)
def test_it_says_what_it_does_not_take(change: dict[str, Any], reason: str) -> None:
    call = {"logits": np.ones((2, 3), np.float32), "target": np.zeros(2, np.int64), "weight": None}
    assert cuda.refusal(**call) is None
    assert cuda.refusal(**{**call, **change}) == reason


def test_ops_and_losses_have_it(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ops.softmax_cross_entropy.implementations["cupy"] == [cuda]
    monkeypatch.setitem(ops.softmax_cross_entropy.implementations, "numpy", [cuda])
    lines = explain(losses.cross_entropy, random((2, 3, 4)), labels_of((2, 3, 4)), weights_of((2, 3)))
    assert lines == ["softmax_cross_entropy: cuda.softmax_cross_entropy"]
