"""The launch: the seam, and what the executor for CuPy does with a plan."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xpnn.cuda import execute
from xpnn.cuda.arguments import Arguments, Layout
from xpnn.cuda.execute import KernelError
from xpnn.cuda.launch import executing, launch
from xpnn.cuda.plan import Plan
from xpnn.errors import DeviceMismatchError

from .fake_cupy import FakeArray, FakeCupy, install

LAYOUT = Layout(
    "SumArguments<float>", (("db", "float*"), ("sums", "const float*"), ("chunks", "int"), ("columns", "int"))
)
PLAN = Plan(file="bias_activation.cu", entry="bias_sum<float>", layout=LAYOUT, grid=(8, 2, 1), block=(32, 16, 1))


def arguments(device: int = 0) -> Arguments:
    x = np.zeros((2, 4), np.float32)
    return LAYOUT(db=FakeArray(x[0], device), sums=FakeArray(x, device), chunks=2, columns=4)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCupy:
    return install(monkeypatch)


def test_another_executor_gets_the_plan_and_the_arguments_in_its_block_only() -> None:
    seen: list[Any] = []
    given = LAYOUT(db=None, sums=None, chunks=0, columns=0)
    with executing(lambda *launch: seen.append(launch)):
        launch(PLAN, given)
        for grid in [(0, 1, 1), (3, 0, 1)]:
            launch(replace(PLAN, grid=grid), given)
    assert seen == [(PLAN, given)]
    with executing(lambda *_: None), executing(lambda *launch: seen.append(launch)):
        launch(PLAN, given)
    assert len(seen) == 2


def test_arguments_of_another_struct_are_refused() -> None:
    other = Layout("Other", ())
    with pytest.raises(ValueError, match="bias_sum<float>: expected arguments SumArguments<float>, got Other"):
        launch(PLAN, other())


def test_one_instantiation_a_module_compiled_once_for_each_device(cupy: FakeCupy) -> None:
    for device in (0, 1, 0):
        cupy.current = device
        launch(PLAN, arguments(device))
        launch(replace(PLAN, grid=(1, 1, 1)), arguments(device))
    assert len(cupy.modules) == 2
    assert cupy.modules[0].options == {
        "code": PLAN.source,
        "options": (),
        "name_expressions": ("bias_sum<float>",),
        "enable_cooperative_groups": False,
    }
    grid, block, args, shared, _ = cupy.kernels["bias_sum<float>", 0].launches[0]
    assert (grid, block, shared) == ((8, 2, 1), (32, 16, 1), 0)
    (struct,) = args
    assert struct.size == 1 and struct["columns"] == 4
    assert len(cupy.kernels["bias_sum<float>", 0].launches) == 4


def test_two_threads_compile_a_kernel_once(cupy: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = execute._compile

    def slowly(*args: Any) -> Any:
        time.sleep(0.05)
        return compiled(*args)

    monkeypatch.setattr(execute, "_compile", slowly)
    threads = [threading.Thread(target=launch, args=(PLAN, arguments())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cupy.modules) == 1
    assert len(cupy.kernels["bias_sum<float>", 0].launches) == 4


@pytest.mark.parametrize(("shared", "allowed"), [(48 * 1024, None), (48 * 1024 + 16, 48 * 1024 + 16)])
def test_shared_memory_above_48_kb_is_allowed_before_the_launch(
    cupy: FakeCupy, shared: int, allowed: int | None
) -> None:
    launch(replace(PLAN, shared=shared), arguments())
    assert cupy.kernels["bias_sum<float>", 0].launches[0][3:] == (shared, allowed)


def test_a_cluster_above_8_is_allowed_before_the_launch(cupy: FakeCupy) -> None:
    for cluster, grid in [((8, 1, 1), (8, 1, 1)), ((16, 1, 1), (32, 1, 1))]:
        launch(replace(PLAN, cluster=cluster, grid=grid), arguments())
    assert cupy.attributes == [(77, 14, 1)]


def test_a_cooperative_plan_is_a_cooperative_launch(cupy: FakeCupy) -> None:
    launch(replace(PLAN, cooperative=True), arguments())
    assert cupy.modules[0].options["enable_cooperative_groups"] is True


@pytest.mark.parametrize(("arch", "options"), [("90", ("-arch=sm_90a",)), ("80", ()), ("100", ())])
def test_a_specific_plan_asks_for_sm_90a_on_an_sm_90_only(cupy: FakeCupy, arch: str, options: tuple[str, ...]) -> None:
    cupy.arch = arch
    launch(replace(PLAN, specific=True), arguments())
    assert cupy.modules[-1].options["options"] == options
    launch(PLAN, arguments())
    assert cupy.modules[-1].options["options"] == ()


def test_a_cupy_that_does_not_take_sm_90a_says_so(cupy: FakeCupy) -> None:
    cupy.arch, cupy.smoke = "90", RuntimeError("nvrtc: error: redefinition of arch")
    with pytest.raises(KernelError, match=r"CuPy 14\.0\.0 does not compile for sm_90a .*: nvrtc: error: redefinition"):
        launch(replace(PLAN, specific=True), arguments())


def test_arrays_of_another_device_are_refused(cupy: FakeCupy) -> None:
    with pytest.raises(DeviceMismatchError, match="bias_sum<float>: db is on gpu:1, the current device is gpu:0"):
        launch(PLAN, arguments(device=1))
    assert cupy.modules == []


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            "bias_activation.cu(3): warning: x\nbias_activation.cu(7): error: no such thing\n1 error detected",
            r"kernel bias_sum<float> of bias_activation\.cu does not compile for sm_80: bias_activation\.cu\(7\): error: no such",
        ),
        (
            'storage.cuh(4): catastrophic error: cannot open source file "cuda_bf16.h"\n',
            r"for sm_80: the CUDA header cuda_bf16\.h is missing; pip install \"xpnn\[cuda13\]\" .* nvidia-cuda-runtime",
        ),
        ("Unable to locate the CUDA headers. Install them.", r"the CUDA headers are missing; pip install"),
        ("", "does not compile for sm_80: RuntimeError"),
    ],
)
def test_a_failure_to_compile_is_one_line(cupy: FakeCupy, log: str, message: str) -> None:
    cupy.failure = RuntimeError(log)
    with pytest.raises(KernelError, match=message) as caught:
        launch(PLAN, arguments())
    assert "\n" not in str(caught.value)
    cupy.failure = None
    launch(PLAN, arguments())  # a failure is not remembered
