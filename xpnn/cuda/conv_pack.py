"""Arrays as the convolutions on tensor cores read them, all of a direction in one launch; the host side of conv_pack.cu.

Packed is (a, b, group, channel): the channels of a group last, zeros up to a multiple of the elements of 16 bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

from ..namespace.libraries import raw_namespace
from .arguments import Layout
from .arrays import is_aligned
from .conv_shape import Convolution, padded, strides
from .dtypes import C_TYPES, ITEM_SIZE, dtype_name
from .launch import launch
from .plan import Plan

__all__ = ["Job", "chunk", "image_job", "instantiations", "pack", "pack_plan", "weight_job"]

# As in the kernel file.
_JOBS, _THREADS = 3, 256


class Job(NamedTuple):
    """What is to be packed: to (a, b, groups, padded channels); a stride each."""

    a: int
    b: int
    a_stride: int
    b_stride: int
    group_stride: int
    channel_stride: int
    groups: int
    channels: int

    def shape(self, chunk: int) -> tuple[int, ...]:
        return self.a, self.b, self.groups, padded(self.channels, chunk)


_NO_JOB = Job(0, 1, 0, 0, 0, 0, 1, 1)


def chunk(dtype: str) -> int:
    """The elements that move at once."""
    return 16 // ITEM_SIZE[dtype]


def pack(*wanted: tuple[Any, Job]) -> list[Any]:
    """The arrays, of one dtype, packed where they do not lie so already."""
    dtype = dtype_name(wanted[0][0].dtype)
    found = [x if _lies_packed(job, chunk(dtype)) and is_aligned(x) else None for x, job in wanted]
    todo = [(x, job) for (x, job), done in zip(wanted, found, strict=True) if done is None]
    if not todo:
        return found
    xp = raw_namespace(todo[0][0])
    made = [xp.empty(job.shape(chunk(dtype)), dtype=x.dtype) for x, job in todo]
    plan, values = pack_plan(dtype, tuple(job for _, job in todo))
    missing = (None,) * (_JOBS - len(todo))
    to, source = (*made, *missing), (*(x for x, _ in todo), *missing)
    pointers = {f"to{i}": x for i, x in enumerate(to)} | {f"from{i}": x for i, x in enumerate(source)}
    launch(plan, plan.layout(**pointers, **values))
    fresh = iter(made)
    return [next(fresh) if done is None else done for done in found]


@functools.lru_cache(1024)
def image_job(conv: Convolution, *, y: bool) -> Job:
    channels, sizes = (conv.filters, conv.out) if y else (conv.channels, conv.sizes)
    own = strides(conv.groups * channels, sizes, conv.last)
    place = conv.groups * channels if conv.last else 1
    return Job(conv.batch, prod(sizes), own.image, place, channels * own.channel, own.channel, conv.groups, channels)


@functools.lru_cache(1024)
def weight_job(conv: Convolution, *, gradient: bool) -> Job:
    """Forward (groups * filters, taps, channels); gradient (channels, taps, groups, filters)."""
    row = conv.channels * conv.taps
    if gradient:
        return Job(conv.channels, conv.taps, conv.taps, 1, conv.filters * row, row, conv.groups, conv.filters)
    return Job(conv.groups * conv.filters, conv.taps, row, 1, row, conv.taps, 1, conv.channels)


@functools.lru_cache(1024)
def pack_plan(dtype: str, jobs: tuple[Job, ...]) -> tuple[Plan, dict[str, Any]]:
    """The launch that packs one to three arrays, and the numbers of its struct."""
    own = chunk(dtype)
    shapes = [job.shape(own) for job in jobs]
    every = (*jobs, *(_NO_JOB,) * (_JOBS - len(jobs)))
    plan = Plan(
        file="conv_pack.cu",
        entry=f"conv_pack<{C_TYPES[dtype]}>",
        layout=_layout(C_TYPES[dtype]),
        grid=(-(-max(map(prod, shapes)) // (own * _THREADS)), len(jobs), 1),
        block=(_THREADS, 1, 1),
        bytes=ITEM_SIZE[dtype]
        * sum(prod(shape[:-1]) * (shape[-1] + job.channels) for shape, job in zip(shapes, jobs, strict=True)),
    )
    return plan, {name: tuple(getattr(job, name) for job in every) for name in Job._fields}


def instantiations() -> Iterator[Plan]:
    """A plan for each kernel that the plans above can ask for."""
    for dtype in C_TYPES:
        yield pack_plan(dtype, (_NO_JOB,))[0]


def _lies_packed(job: Job, chunk: int) -> bool:
    return job.channels % chunk == 0 and (job.channel_stride, job.group_stride, job.b_stride, job.a_stride) == (
        1,
        job.channels,
        job.groups * job.channels,
        job.b * job.groups * job.channels,
    )


@functools.cache
def _layout(t: str) -> Layout:
    pointers = (*((f"to{i}", f"{t}*") for i in range(_JOBS)), *((f"from{i}", f"const {t}*") for i in range(_JOBS)))
    longs = tuple((name, f"long long[{_JOBS}]") for name in Job._fields[:6])
    return Layout(f"PackArguments<{t}>", (*pointers, *longs, *((name, f"int[{_JOBS}]") for name in Job._fields[6:])))
