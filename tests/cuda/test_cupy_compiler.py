"""CuPy's own compiler, without a GPU, on what the launch gives it: it only has to be told the architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from xpnn.cuda import bias_activation, execute
from xpnn.cuda.execute import compile_options

from . import nvrtc

PLAN = bias_activation.forward_plan("float16", 1, 8, "tanh", alike=True)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """cupy.cuda.compiler, made to believe in an sm_90."""
    nvrtc.needs_nvrtc()
    found = pytest.importorskip("cupy.cuda.compiler", reason="needs CuPy")
    monkeypatch.setattr(found, "_get_arch_for_options_for_nvrtc", lambda arch=None: ("-arch=sm_90", "cubin"))
    return found


def headers() -> str:
    found = nvrtc.found()
    assert found is not None
    return f"-I{found[1]}"


@pytest.mark.parametrize("specific", [False, True])
def test_it_compiles_an_instantiation(compiler: Any, specific: bool) -> None:
    plan = replace(PLAN, specific=specific)
    options = (*compile_options(plan, "90"), "--std=c++17", headers())
    cubin, names = compiler.compile_using_nvrtc(plan.source, options, "90", "kernel.cu", (plan.entry,))
    assert cubin.startswith(b"\x7fELF")
    assert names[plan.entry].encode() in cubin


def test_the_option_sm_90a_wins_over_its_own(compiler: Any) -> None:
    options = compile_options(replace(PLAN, specific=True), "90")
    assert compiler.compile_using_nvrtc(execute._SMOKE, options, "90", "smoke.cu")[0].startswith(b"\x7fELF")
    with pytest.raises(compiler.CompileException, match="setmaxnreg"):
        compiler.compile_using_nvrtc(execute._SMOKE, (), "90", "smoke.cu")


def test_its_complaint_about_a_header_is_understood(compiler: Any) -> None:
    with pytest.raises(compiler.CompileException) as caught:
        compiler.compile_using_nvrtc(PLAN.source, ("--std=c++17",), "90", "kernel.cu", (PLAN.entry,))
    message = execute._explanation(PLAN, "90", (), caught.value)
    assert "does not compile for sm_90: the CUDA header cuda_bf16.h is missing; pip install" in message
