"""Runs a plan on a GPU through CuPy: one instantiation a module, compiled at first use, kept by device and compile key."""

from __future__ import annotations

import functools
import re
import threading
from typing import Any

from ..errors import DeviceMismatchError
from .arguments import Arguments
from .plan import Plan

__all__ = ["KernelError", "compile_options", "execute", "prepare"]

_SPECIFIC = "90"  # the compute capability that specific plans are for
_WITHOUT_ASKING = 48 * 1024  # bytes of dynamic shared memory that every kernel may use
_PORTABLE_CLUSTER = 8
_NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14  # of CUfunction_attribute, which CuPy does not name
_SMOKE = 'extern "C" __global__ void smoke() { asm volatile("setmaxnreg.dec.sync.aligned.u32 40;"); }'
_MISSING_HEADER = re.compile(r'(?:cannot open (?:source )?file|could not open source file) "?([\w./]+)')

_kernels: dict[tuple[int, Any], Any] = {}
_lock = threading.Lock()


class KernelError(RuntimeError):
    """A kernel could not be compiled; the message names the kernel, the architecture and what to do."""


def execute(plan: Plan, arguments: Arguments) -> None:
    """Puts the launch on the current stream of the current device, where all of its arrays must be."""
    import cupy

    device = cupy.cuda.runtime.getDevice()
    _check_device(plan, arguments, device)
    kernel = _kernels.get((device, plan.key)) or _compiled(plan, device)
    kernel(plan.grid, plan.block, (arguments.packed(),), shared_mem=plan.shared)


def prepare(plan: Plan) -> None:
    """Compiles the kernel of a plan for the current device, unless that has been done or the device is not one that runs it."""
    import cupy

    device = cupy.cuda.runtime.getDevice()
    if not plan.specific or str(cupy.cuda.Device(device).compute_capability) == _SPECIFIC:
        _compiled(plan, device)


def _check_device(plan: Plan, arguments: Arguments, device: int) -> None:
    for name, x in arguments.arrays.items():
        if x.device.id != device:
            raise DeviceMismatchError(
                f"{plan.entry}: {name} is on gpu:{x.device.id}, the current device is gpu:{device}: "
                f'work inside of xpnn.backend("gpu:{x.device.id}")'
            )


def _compiled(plan: Plan, device: int) -> Any:
    """The kernel of a plan on the current device; two threads that want it compile it once."""
    with _lock:
        kernel = _kernels.get((device, plan.key))
        if kernel is None:
            kernel = _kernels[device, plan.key] = _allowed(_compile(plan, device), plan)
        return kernel


def _compile(plan: Plan, device: int) -> Any:
    import cupy

    arch = str(cupy.cuda.Device(device).compute_capability)
    options = compile_options(plan, arch)
    if options:
        _smoke_test(options)
    try:
        module = cupy.RawModule(
            code=plan.source,
            options=options,
            name_expressions=(plan.entry,),
            enable_cooperative_groups=plan.cooperative,
        )
        return module.get_function(plan.entry)
    except Exception as error:
        raise KernelError(_explanation(plan, arch, options, error)) from error


def compile_options(plan: Plan, arch: str) -> tuple[str, ...]:
    """What CuPy's own options lack: an sm_90 has instructions that only -arch=sm_90a compiles; CuPy asks for plain sm_90."""
    return (f"-arch=sm_{_SPECIFIC}a",) if plan.specific and arch == _SPECIFIC else ()


def _allowed(kernel: Any, plan: Plan) -> Any:
    """The kernel, allowed what it must be allowed on the current device before it is launched."""
    if plan.shared > _WITHOUT_ASKING:
        kernel.max_dynamic_shared_size_bytes = plan.shared
    if plan.cluster[0] * plan.cluster[1] * plan.cluster[2] > _PORTABLE_CLUSTER:
        from cupy_backends.cuda.api import driver

        driver.funcSetAttribute(kernel.kernel.ptr, _NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
    return kernel


@functools.cache
def _smoke_test(options: tuple[str, ...]) -> None:
    """Raises KernelError unless this CuPy lets -arch=sm_90a win over its own -arch: it says so nowhere, so we look."""
    import cupy

    try:
        cupy.RawModule(code=_SMOKE, options=options).get_function("smoke")
    except Exception as error:
        raise KernelError(
            f"CuPy {cupy.__version__} does not compile for sm_90a with options {options}: {_first_line(error)}"
        ) from error


def _explanation(plan: Plan, arch: str, options: tuple[str, ...], error: Exception) -> str:
    """One line of what NVRTC, or CuPy on its behalf, said in many."""
    target = options[0].removeprefix("-arch=") if options else f"sm_{arch}"
    start = f"kernel {plan.entry} of {plan.file} does not compile for {target}"
    text = str(error)
    header = _MISSING_HEADER.search(text)
    # CuPy's own search for headers ends in a RuntimeError, what NVRTC finds in a CompileException.
    if header or (isinstance(error, RuntimeError) and "header" in text.lower()):
        name = f"the CUDA header {header[1]} is" if header else "the CUDA headers are"
        return (
            f'{start}: {name} missing; pip install "xpnn[cuda13]" (or cuda12) brings nvidia-cuda-runtime, which has it'
        )
    return f"{start}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [type(error).__name__])[0]
