"""Launches of the emulator's own kernels: the right kernel and its faulty variants get the same data and the same grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.emulator import SCHEDULES, Kernel

Results = dict[str, np.ndarray[Any, Any]]
_f32, _u32, _i32 = np.float32, np.uint32, np.int32


def _random(*shape: int) -> Any:
    return np.random.default_rng(7).standard_normal(shape, dtype=_f32)


def _empty(*shape: int) -> Any:
    return np.full(shape, np.nan, _f32)


def gemm(
    kernel: Kernel, m: int = 21, n: int = 18, k: int = 35, tile: int = 16, *, one: bool = False
) -> tuple[Results, Results]:
    """one: a single schedule."""
    a, b = _random(m, k), _random(k, n)[::-1].copy()
    arguments = {"a": a, "b": b, "c": _empty(m, n), "m": _i32(m), "n": _i32(n), "k": _i32(k)}
    got = kernel.check(
        (-(-n // tile), -(-m // tile)), (tile, tile), arguments, schedules=SCHEDULES[: 1 if one else None]
    )
    return got, {"c": (a.astype(np.float64) @ b).astype(_f32)}


def tensor_gemm(kernel: Kernel, m: int = 37, n: int = 40, k: int = 56) -> tuple[Results, Results]:
    a, b = _random(m, k), _random(k, n)
    bits = [(x.view(_u32) >> 16).astype(np.uint16) for x in (a, b)]  # bfloat16 by truncation
    wide = [(x.astype(_u32) << 16).view(_f32).astype(np.float64) for x in bits]
    if "half" in kernel.name:
        bits = [x.astype(np.float16).view(np.uint16) for x in (a, b)]
        wide = [x.view(np.float16).astype(np.float64) for x in bits]
    arguments = {"a": bits[0], "b": bits[1], "c": _empty(m, n), "m": _i32(m), "n": _i32(n), "k": _i32(k)}
    got = kernel.check((-(-n // 16), -(-m // 32)), (128,), arguments)
    return got, {"c": (wide[0] @ wide[1]).astype(_f32)}


def rows(kernel: Kernel, r: int = 3, n: int = 301, warps: int = 4) -> tuple[Results, Results]:
    x = _random(r, n)
    arguments = {"x": x, "sum": _empty(r), "scan": _empty(r, 32), "positive": np.zeros(r, _u32), "n": _i32(n)}
    got = kernel.check((r,), (32 * warps,), arguments)
    head = np.zeros((r, 32), _f32)
    head[:, : min(n, 32)] = x[:, :32]
    bits = ((head > 0) * (1 << np.arange(32, dtype=np.uint64))).sum(1).astype(_u32)
    return got, {"sum": x.sum(1, dtype=np.float64).astype(_f32), "scan": np.cumsum(head, 1), "positive": bits}


def pairs(kernel: Kernel) -> tuple[Results, Results]:
    x = _random(128)
    got = kernel.check((1,), (128,), {"x": x, "y": _empty(128)})
    return got, {"y": x.reshape(2, 64)[:, ::-1].reshape(-1)}


def producer(kernel: Kernel) -> tuple[Results, Results]:
    x = _random(128)
    got = kernel.check((1,), (64,), {"x": x, "y": _empty(128)})
    return got, {"y": 2 * x.reshape(4, 32)[:, ::-1].reshape(-1)}


def rotate(kernel: Kernel) -> tuple[Results, Results]:
    x = _random(128)
    got = kernel.check((1,), (128,), {"x": x, "y": _empty(128)})
    return got, {"y": np.roll(x.reshape(4, 32), -3, axis=1).reshape(-1) + _f32(2)}


def stream(kernel: Kernel, n: int = 256 * 4 + 100) -> tuple[Results, Results]:
    x = _random(n)
    got = kernel.check((1,), (64,), {"x": x, "y": _empty(256), "n": _i32(n)})
    tiles = np.pad(x, (0, -n % 256)).reshape(-1, 256)[:, ::-1]
    return got, {"y": (tiles * np.arange(1, len(tiles) + 1, dtype=_f32)[:, None]).sum(0)}


def ring(kernel: Kernel, size: int = 4, clusters: int = 2, steps: int = 5) -> tuple[Results, Results]:
    x = _random(clusters * size, 32, 4)
    arguments = {"x": x, "y": _empty(*x.shape), "steps": _i32(steps)}
    got = kernel.check((clusters * size,), (32,), arguments, cluster=size)
    moved = np.roll(x.reshape(clusters, size, 32, 4), steps, axis=1).reshape(x.shape)
    return got, {"y": _f32(2**steps) * (moved[:, ::-1] if steps % 2 else moved)}


def smooth(kernel: Kernel, blocks: int = 4, threads: int = 32, steps: int = 4) -> tuple[Results, Results]:
    x = np.zeros((2, blocks * threads), _f32)
    x[0] = _random(blocks * threads)
    arguments = {"x": x, "arrived": np.zeros(1, _u32), "steps": _i32(steps)}
    got = kernel.check((blocks,), (threads,), arguments, cooperative=True)
    values = [x[0]]
    for _ in range(steps):
        values.append(_f32(0.5) * (np.roll(values[-1], -1) + np.roll(values[-1], 1)))
    return got, {"x": np.stack([values[-1], values[-2]] if steps % 2 == 0 else [values[-2], values[-1]])}


def sums(kernel: Kernel) -> tuple[Results, Results]:
    x = 3 * _random(5 * 64)
    arguments = {"x": x, "total": np.zeros(1, _f32), "counts": np.zeros(8, _u32)}
    got = kernel.check((5,), (64,), arguments)
    counts = np.bincount(np.minimum(np.abs(x), 7).astype(int), minlength=8).astype(_u32)
    return got, {"counts": counts}


def last_block(kernel: Kernel) -> tuple[Results, Results]:
    x = _random(5, 32)
    arguments = {"x": x, "partial": _empty(5), "total": _empty(1), "arrived": np.zeros(1, _u32)}
    return kernel.check((5,), (32,), arguments), {"total": x.sum(keepdims=True)[0]}


def words(kernel: Kernel, blocks: int = 3) -> tuple[Results, Results]:
    x = _random(blocks, 64)
    x[0] = np.clip(x[0], -1, 1)
    halves, votes = np.zeros((blocks, 64), np.float16), np.zeros((blocks, 3), _i32)
    arguments = {"x": x, "halves": halves, "votes": votes, "most": np.full(2, -1000, _i32)}
    got = kernel.check((blocks,), (4, 4, 4), arguments, shared=256)
    expected = np.stack([(x > 0).sum(1), (x > 2).any(1), (x > -2).all(1)], 1).astype(_i32)
    twice = (2 * x.astype(np.float16).astype(_f32) + 1).astype(np.float16)
    most = np.array([(100 * x).astype(int).max(), 32 * blocks - 1000], _i32)
    return got, {"halves": twice, "votes": expected, "most": most}


def product(kernel: Kernel, a: Any, b: Any, c: Any, encode: Callable[[Any], Any]) -> np.ndarray[Any, Any]:
    """a (16, k) b (k, 8) + c (16, 8) by one warp; encode turns floats into the bits that the kernel takes."""
    arguments = {"a": encode(a), "b": encode(b), "c": c.astype(_f32), "d": _empty(16, 8)}
    return kernel.check((1,), (32,), arguments)["d"]
