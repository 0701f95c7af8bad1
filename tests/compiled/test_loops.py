"""When compiled loops run, and that threads share the work without a trace in the results."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import ops
from xpnn.compiled import blocks, loops
from xpnn.primitive import explain

rng = np.random.default_rng(0)


def of(shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    return rng.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_share_covers_everything_once(threads: int, count: int) -> None:
    def add(x: Any, y: Any, step: int) -> None:
        y += x * step

    x, y = np.arange(count), np.zeros(count, int)
    loops.share(add, 1000, (x, y), 2)
    assert np.array_equal(y, 2 * x)


def test_each_gives_every_item_to_one_thread(threads: int) -> None:
    seen: list[int] = []
    blocks.each(lambda item, room: seen.append(item) if room.size == 5 else None, range(50), 5)
    assert sorted(seen) == list(range(50))


@pytest.mark.parametrize("run", [loops.share, blocks.each])
def test_what_a_thread_raises_arrives(threads: int, run: Any) -> None:
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail, 100, (np.zeros(100),)) if run is loops.share else run(fail, range(100), 1)


@pytest.mark.parametrize("parts", [1, 3, 10])
def test_parts_are_all_items_in_order(parts: int) -> None:
    assert [i for part in range(parts) for i in blocks.in_parts(range(20), parts, part)] == list(range(20))


def test_results_do_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w, weight = of((9, 5, 8, 8)), of((4, 5, 3, 3)), of((5,))
    monkeypatch.setattr(loops, "_GRAIN", 1)

    def results() -> list[Any]:
        found = []
        for f, arguments in [
            (lambda x, w: ops.conv2d(x, w, padding=1), (x, w)),
            (lambda x, w: ops.batch_norm(x, w)[0], (x, weight)),
            (lambda x, w: ops.group_norm(x, weight=w, num_groups=1), (x, weight)),
            (ops.softmax, (x,)),
        ]:
            y, pullback = xpnn.vjp(f, *arguments)
            found += [y, *pullback(np.cos(y))]
        return found

    seen = []
    for count in (1, 2, 5):
        for module in (loops, blocks):
            monkeypatch.setattr(module, "threads", lambda count=count: count)
        loops.pool.cache_clear()
        seen.append(results())
    for one, *others in zip(*seen, strict=True):
        assert all(np.array_equal(one, other) for other in others)


@pytest.mark.parametrize(
    ("x", "why"), [(of((1000,), np.float64), "dtype float64"), (np.zeros(5, np.float32), "5 elements")]
)
def test_what_is_not_for_them_is_said(monkeypatch: pytest.MonkeyPatch, x: Any, why: str) -> None:
    monkeypatch.setattr(loops, "_FEWEST", 100)
    assert loops.refuse(x) == why


def test_explain_names_them() -> None:
    assert "compiled" in str(explain(ops.softmax, of((4, 5))))


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [("3", 8, 3), ("3", 2, 2), ("", 4, 4), ("2,1", 8, 2), ("zero", 4, 4), ("0", 4, 4)],
)
def test_threads_are_those_of_the_libraries_beneath(
    monkeypatch: pytest.MonkeyPatch, asked: str, available: int, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(available)), raising=False)
    assert loops.threads.__wrapped__() == expected


def child(code: str, **environment: str) -> str:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout


CODE = "import sys, numpy as np, xpnn; xpnn.ops.softmax(np.ones(({}, 10), np.float32)); print('numba' in sys.modules)"


@pytest.mark.parametrize(("rows", "switch", "loaded"), [(1000, "1", "True"), (1000, "0", "False"), (10, "1", "False")])
def test_the_compiler_is_loaded_when_it_pays_and_may_be_switched_off(rows: int, switch: str, loaded: str) -> None:
    assert child(CODE.format(rows), XPNN_COMPILED=switch).strip() == loaded


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    code = """
import os, numpy as np
from xpnn.compiled import loops
loops._GRAIN, loops.threads = 1, lambda: 2
def work():
    y = np.zeros(10)
    loops.share(lambda y: y.fill(1), 10, (y,))
    return y.sum() == 10
assert work()
pid = os.fork()
if pid == 0:
    os._exit(0 if work() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert child(code).strip() == "0"
