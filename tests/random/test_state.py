"""The stream of keys: reproducible, resumable, safe to share."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from xpnn import random
from xpnn.random import Key, state


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """A process that has drawn nothing, and is not seeded."""
    monkeypatch.setattr(state, "_process", state.KeyStream())


def take(n: int) -> list[Key]:
    return [random.next_key() for _ in range(n)]


def test_seed_begins_the_stream_anew():
    random.seed(7)
    first = take(3)
    assert first == [Key(7).fold(i) for i in range(3)]
    random.seed(7)
    assert take(3) == first
    random.seed(8)
    assert not set(take(3)) & set(first)


def test_the_state_travels_through_json():
    random.seed(2**64 - 1)
    take(2)
    saved = json.loads(json.dumps(random.get_state()))
    assert saved == {"seed": 2**64 - 1, "count": 2}
    expected = take(3)
    random.seed(0)
    random.set_state(saved)
    assert take(3) == expected


def test_an_unseeded_process_asks_the_system_once(monkeypatch):
    answers = iter([bytes([1] * 8)])
    monkeypatch.setattr(state.os, "urandom", lambda n: next(answers))
    seed = int.from_bytes(bytes([1] * 8), "little")
    assert take(2) == [Key(seed).fold(0), Key(seed).fold(1)]
    assert random.get_state() == {"seed": seed, "count": 2}


def test_two_unseeded_processes_differ():
    assert state.KeyStream().state()["seed"] != state.KeyStream().state()["seed"]


def test_replay_gives_the_same_keys_and_leaves_the_stream_alone():
    random.seed(1)
    before = random.get_state()
    first = take(2)
    with random.replay(before):
        assert random.next_key() == first[0]
        inner = random.get_state()
        with random.replay(before):
            assert take(2) == first
        assert random.get_state() == inner
        assert random.next_key() == first[1]
        random.seed(5)
        assert random.next_key() == Key(5).fold(0)
    assert random.get_state() == {"seed": 1, "count": 2}


def test_replay_ends_with_an_error():
    random.seed(1)
    with pytest.raises(KeyError), random.replay({"seed": 3, "count": 0}):
        raise KeyError
    assert random.next_key() == Key(1).fold(0)


def test_threads_never_share_a_key():
    random.seed(3)
    with ThreadPoolExecutor(8) as pool:
        keys = [key for part in pool.map(take, [200] * 8) for key in part]
    assert set(keys) == {Key(3).fold(i) for i in range(1600)}


def test_replay_is_seen_by_its_own_thread_only():
    random.seed(1)
    replaying, done = threading.Event(), threading.Event()

    def other() -> list[Key]:
        with random.replay({"seed": 9, "count": 4}):
            replaying.set()
            assert done.wait(10)
            return take(1)

    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(other)
        assert replaying.wait(10)
        assert take(1) == [Key(1).fold(0)]
        done.set()
        assert result.result() == [Key(9).fold(4)]


def test_replay_is_seen_by_its_own_task_only():
    async def draw(seed: int) -> list[Key]:
        with random.replay({"seed": seed, "count": 0}):
            keys = []
            for _ in range(3):
                keys.append(random.next_key())
                await asyncio.sleep(0)
            return keys

    async def both() -> list[list[Key]]:
        return await asyncio.gather(draw(1), draw(2))

    assert asyncio.run(both()) == [[Key(s).fold(i) for i in range(3)] for s in (1, 2)]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.seed(-1), ValueError, r"n: expected 0 <= n < 2\*\*64, got -1"),
        (lambda: random.seed("1"), TypeError, "n: expected an integer, got str"),
        (lambda: random.set_state({"seed": 1}), ValueError, "state: expected what get_state"),
        (lambda: random.set_state(7), ValueError, "state: expected what get_state"),
        (lambda: random.set_state({"seed": 1, "count": -1}), ValueError, "count: expected 0 <= count"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
