"""Every kernel compiles for every target, and costs what docs/kernels.md says."""

from __future__ import annotations

import itertools

import pytest

from xpnn.cuda import bias_activation
from xpnn.cuda.dtypes import C_TYPES

from . import compile_table, nvrtc
from .nvrtc import Kernel


def test_the_page_has_the_kernels_that_plans_can_choose() -> None:
    _, table = compile_table.read()
    assert set(table) == set(compile_table.plans())


def test_no_plan_chooses_a_kernel_outside_of_the_table() -> None:
    listed = compile_table.plans()
    sizes = (1, 7, 8, 300, 10_000)
    for dtype, activation, aligned in itertools.product(C_TYPES, bias_activation.ACTIVATIONS, (True, False)):
        for rows, columns in itertools.product(sizes, sizes):
            plan = bias_activation.forward_plan(dtype, rows, columns, activation, alike=aligned)
            more = bias_activation.backward_plans(dtype, rows, columns, activation, db=True, alike=aligned)
            assert {p.entry for p in (plan, *more)} <= set(listed)


@pytest.mark.parametrize("target", compile_table.TARGETS)
def test_no_kernel_costs_more_than_its_row(target: str) -> None:
    """Registers are held for the compiler that made the table only; that nothing spills more, and that blocks fit, for all."""
    nvrtc.needs_nvrtc()
    made_by, table = compile_table.read()
    for entry, kernel in compile_table.compiled(target).items():
        row, plan = table[entry][target], compile_table.plans()[entry]
        assert kernel.spills <= row.spills, f"{entry} spills on {target}"
        assert kernel.shared <= min(row.shared, compile_table.STATIC_SHARED), f"{entry}: shared memory on {target}"
        assert compile_table.blocks_per_sm(plan, kernel, target) >= 1, f"{entry} does not fit an SM of {target}"
        if nvrtc.version() == made_by:
            assert kernel.registers <= row.registers, f"{entry}: registers on {target}"


def test_a_kernel_that_spills_is_seen() -> None:
    nvrtc.needs_nvrtc()
    code = """__global__ void __launch_bounds__(1024) hungry(float* x) {
        float v[128];
        for (int i = 0; i < 128; ++i) v[i] = x[i * threadIdx.x];
        __syncthreads();
        for (int k = 0; k < 9; ++k) for (int i = 0; i < 128; ++i) v[i] = v[i] * v[(i + 1) % 128] + k;
        for (int i = 0; i < 128; ++i) x[i * threadIdx.x] = v[i];
    }"""
    kernels, _ = nvrtc.compile_kernels(code, ["hungry"], "sm_90")
    assert kernels["hungry"].registers <= 64
    assert kernels["hungry"].spills > 0


def test_the_blocks_of_an_sm_are_counted_by_registers_and_threads() -> None:
    plan = bias_activation.forward_plan("float32", 1000, 8, None, alike=True)
    for registers, target, blocks in [(32, "sm_90a", 8), (33, "sm_90a", 6), (255, "sm_90a", 1), (32, "sm_75", 4)]:
        assert compile_table.blocks_per_sm(plan, Kernel(registers, 0, 0), target) == blocks
