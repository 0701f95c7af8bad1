"""kernels/ptx.cuh and wgmma.cuh compile for the oldest, a middle and a new target; what a target lacks is refused in words."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cuda.nvrtc import CompileError, compile_kernels, found
from tests.emulator.build import KERNELS

_FILE = Path(__file__).parent / "kernels" / "every_wrapper.cu"


def _compile(out: Path, arch: str, *options: str) -> None:
    """By the toolkit's nvcc, or by the run-time compiler's wheel; raises CompileError."""
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        command = [nvcc, "-std=c++17", f"-arch={arch}", f"-I{KERNELS}", "-cubin", "-o", str(out / "cubin"), str(_FILE)]
        done = subprocess.run([*command, *options], capture_output=True)
        if done.returncode:
            raise CompileError(done.stderr.decode())
    elif found() is not None:
        compile_kernels(_FILE.read_text(), ["every_wrapper"], arch, f"-I{KERNELS}", *options)
    else:
        pytest.skip("needs nvcc, or NVIDIA's run-time compiler from the extra test-cuda")


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_90a"])
def test_compiles(tmp_path: Path, arch: str) -> None:
    _compile(tmp_path, arch)


@pytest.mark.parametrize(
    ("arch", "define", "missing"),
    [("sm_80", "FORCE_SM90", "compute_capability_9_0"), ("sm_90", "FORCE_SM90A", "sm_90a")],
)
def test_what_a_target_lacks_is_refused_in_words(tmp_path: Path, arch: str, define: str, missing: str) -> None:
    with pytest.raises(CompileError, match=f"this_ptx_wrapper_needs_{missing}"):
        _compile(tmp_path, arch, f"-D{define}")
