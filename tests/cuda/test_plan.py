"""Plans are values: what they refuse, what they print, what makes two of them one compiled kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xpnn.cuda.arguments import Layout
from xpnn.cuda.plan import Plan

PLAN = Plan(
    file="bias_activation.cu",
    entry="bias_sum<float>",
    layout=Layout("SumArguments<float>", (("db", "float*"),)),
    grid=(8, 2, 1),
    block=(32, 16, 1),
    bytes=64,
    flops=9,
)


def test_a_plan_prints_in_one_line() -> None:
    assert str(PLAN) == "bias_activation.cu bias_sum<float> grid 8x2x1 block 32x16x1 shared 0 B, moves 64 B, 9 flops"
    clustered = replace(PLAN, cluster=(4, 1, 1), shared=1024, specific=True)
    assert "block 32x16x1 cluster 4x1x1 shared 1024 B specific, moves" in str(clustered)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block": (32, 33, 1)}, "expected a block of 1 to 1024 threads, got 32x33x1"),
        ({"block": (0, 1, 1)}, "expected a block of 1 to 1024 threads, got 0x1x1"),
        ({"grid": (2**31, 1, 1)}, "expected a grid of at most 2147483647x65535x65535 blocks, got 2147483648x1x1"),
        ({"grid": (1, 65536, 1)}, "got 1x65536x1"),
        ({"cluster": (3, 1, 1)}, "expected a grid that is a multiple of the cluster 3x1x1, got 8x2x1"),
        ({"cluster": (32, 1, 1), "grid": (32, 1, 1)}, "expected a cluster of 1 to 16 blocks"),
        ({"cluster": (2, 1, 1), "cooperative": True}, "expected no cluster in a cooperative launch"),
        ({"shared": 227 * 1024 + 1}, "expected 0 to 232448 bytes of shared memory, got 232449"),
    ],
)
def test_what_no_gpu_could_launch_is_no_plan(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"bias_sum<float>: .*{message}"):
        replace(PLAN, **change)


def test_the_compile_key_is_what_the_compiled_kernel_depends_on() -> None:
    assert replace(PLAN, grid=(1, 1, 1), block=(64, 1, 1), bytes=1).key == PLAN.key
    for change in ({"entry": "bias_sum<__half>"}, {"shared": 50_000}, {"specific": True}, {"cooperative": True}):
        assert replace(PLAN, **change).key != PLAN.key


def test_an_empty_grid_in_any_dimension_is_empty() -> None:
    assert not PLAN.empty
    assert all(replace(PLAN, grid=grid).empty for grid in [(0, 1, 1), (1, 0, 1), (8, 2, 0)])


def test_the_source_ends_with_the_proof_of_the_layout() -> None:
    kernel, _, proof = PLAN.source.partition('#line 1 "layout of SumArguments<float>"\n')
    assert "__global__" in kernel
    assert proof == PLAN.layout.assertions
