"""The selector: on which device NEW arrays are made. Arrays that exist decide for themselves; nothing else reads it.

A name is "auto", "cpu", "gpu" (the first one) or "gpu:N"; "numpy", "cupy", "cuda" and "cuda:N" are aliases. The process
has one default, so that a notebook keeps it from cell to cell; `with backend(...)` overrides it for a thread or task.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy

from xpnn.errors import BackendError
from xpnn.namespace.array import unbox
from xpnn.namespace.libraries import array_device, library_name, raw_namespace

NAMES = '"auto", "cpu", "gpu", "gpu:N" (or an alias: "numpy", "cupy", "cuda", "cuda:N")'
FLOATS = ("float16", "float32", "float64")
_LEVELS = ("debug", "info", "warning", "error")


class _Gpus(NamedTuple):
    """What a look at the GPUs found; `reason` is empty exactly when there is one."""

    number: int
    reason: str
    cupy: str | None  # its version, None when it is not installed


class _Process:
    """What this process has decided so far; nothing of it is decided at import."""

    default: str | None = None  # by set_backend, or by XPNN_BACKEND at first use
    picked: str | None = None  # what "auto" came to
    gpus: _Gpus | None = None
    dtype: str = "float32"


_process = _Process()
_override: ContextVar[str | None] = ContextVar("xpnn_backend", default=None)
_lock = threading.RLock()


@functools.cache
def logger() -> logging.Logger:
    """The logger "xpnn"; XPNN_LOG (debug, info, warning or error) sets its level, and shows it if nobody else does."""
    log = logging.getLogger("xpnn")
    level = os.environ.get("XPNN_LOG", "").lower()
    if level and level not in _LEVELS:
        raise ValueError(f"XPNN_LOG must be one of {', '.join(_LEVELS)}, got {level!r}")
    if level:
        log.setLevel(level.upper())
        if not log.hasHandlers():
            log.addHandler(logging.StreamHandler())
    return log


def set_backend(name: str) -> None:
    """Make new arrays on `name` from now on, in the whole process; a `with backend(...)` block around still wins.

    Raises `ValueError` for an unknown name and `BackendError`, with the reason, for a GPU that cannot be had.
    """
    with _lock:
        _process.default = resolve(name)
        if (index := _gpu_index(_process.default)) is not None:
            _cupy().cuda.Device(index).use()


def get_backend() -> str:
    """Where new arrays are made now: "cpu" or "gpu:N"."""
    return _override.get() or _process_default()


@contextlib.contextmanager
def backend(name: str) -> Iterator[str]:
    """Make new arrays on `name` inside the block, and restore what was before, error or not; blocks nest.

    The choice belongs to the context: other threads and other asyncio tasks do not see it. CuPy's own current device,
    which is entered too, belongs to the thread: give a thread to each of several GPUs, not a task.
    """
    device = resolve(name)
    token = _override.set(device)
    try:
        with on_device(device):
            yield device
    finally:
        _override.reset(token)


def available_backends() -> list[str]:
    """The devices that can be had in this process: "cpu", then "gpu:0", "gpu:1", ..."""
    return ["cpu", *(f"gpu:{i}" for i in range(_gpus().number))]


def require_gpu(i: int = 0) -> None:
    """Make new arrays on GPU `i`, or raise `BackendError` with the reason why that cannot be."""
    set_backend(f"gpu:{i}")


def prefer_gpu(i: int = 0) -> bool:
    """Make new arrays on GPU `i` if it is there, otherwise change nothing; tell which of the two it was."""
    there = f"gpu:{i}" in available_backends()
    if there:
        require_gpu(i)
    return there


def require_cpu() -> None:
    """Make new arrays on the CPU."""
    set_backend("cpu")


def gpu_is_available() -> bool:
    """Tell whether there is a GPU that can be used; never raises."""
    return _gpus().number > 0


def gpu_status() -> str:
    """The GPUs by name, or the reason why there is none, in one line."""
    gpus = _gpus()
    if gpus.reason:
        return gpus.reason
    runtime = _cupy().cuda.runtime
    names = (runtime.getDeviceProperties(i)["name"].decode() for i in range(gpus.number))
    return ", ".join(f"gpu:{i} {name}" for i, name in enumerate(names))


def cupy_version() -> str | None:
    """The version of the CuPy that can be imported, None when there is none."""
    return _gpus().cupy


def parse(name: str) -> str:
    """The one spelling of a name: "auto", "cpu" or "gpu:N"; no device is asked whether it is there."""
    if not isinstance(name, str):
        raise TypeError(f"backend, and so a device, must be a string, one of {NAMES}, got {type(name).__name__}")
    if name in ("auto", "cpu"):
        return name
    if name == "numpy":
        return "cpu"
    match = re.fullmatch(r"cupy|(?:gpu|cuda)(?::([0-9]+))?", name)
    if match is None:
        raise ValueError(f"backend must be one of {NAMES}, and so must a device, got {name!r}")
    return f"gpu:{int(match[1] or 0)}"


def resolve(name: str) -> str:
    """The device that `name` stands for, "cpu" or "gpu:N"; a GPU that cannot be had raises `BackendError`."""
    device = parse(name)
    if device == "auto":
        return _pick()
    index = _gpu_index(device)
    if index is not None:
        gpus = _gpus()
        if gpus.reason:
            raise BackendError(f"backend {name!r} cannot be had: {gpus.reason}")
        if index >= gpus.number:
            raise BackendError(
                f"backend {name!r} cannot be had: the GPUs here are {', '.join(available_backends()[1:])}"
            )
    return device


def _pick() -> str:
    """Choose for "auto", once a process, and log the choice in one line."""
    with _lock:
        if _process.picked is None:
            gpus = _gpus()
            device = "gpu:0" if gpus.number else "cpu"
            # Who has installed CuPy wants a GPU, and should not have to ask why there is none.
            level = logging.WARNING if gpus.reason and gpus.cupy else logging.INFO
            logger().log(level, "backend auto: new arrays are made on %s (%s)", device, gpu_status())
            _process.picked = device
        return _process.picked


def _process_default() -> str:
    """The default of the process; the first call reads XPNN_BACKEND unless `set_backend` came before."""
    with _lock:
        if _process.default is None:
            name = os.environ.get("XPNN_BACKEND") or "auto"
            try:
                set_backend(name)
            except (ValueError, BackendError) as error:
                raise type(error)(f"XPNN_BACKEND={name}: {error}") from None
        assert _process.default is not None
        return _process.default


def _gpu_index(device: str) -> int | None:
    return int(device[4:]) if device.startswith("gpu:") else None


def _cupy() -> Any:
    import cupy

    return cupy


def _gpus() -> _Gpus:
    """Look for GPUs and remember the answer, except that CuPy is missing: a notebook may install it a cell later."""
    with _lock:
        found = _process.gpus
        if found is None or found.cupy is None:
            found = _process.gpus = _look()
        return found


def _look() -> _Gpus:
    try:
        cupy = _cupy()
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return _Gpus(0, 'CuPy is not installed (pip install "xpnn[cuda13]", or cuda12 for an older driver)', None)
        return _Gpus(0, f"CuPy cannot be imported: {_in_one_line(error)}", "broken")
    count, reason = _count_devices(cupy)
    return _Gpus(count, f"CuPy {cupy.__version__} is installed, but {reason}" if reason else "", cupy.__version__)


def _count_devices(cupy: Any) -> tuple[int, str]:
    """Ask the driver and the run-time compiler: without either not one array can be made or added."""
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except Exception as error:
        return 0, f"{_silence(runtime)}: {_in_one_line(error)}"
    if count == 0:
        return 0, _silence(runtime)
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        return 0, f'its compiler NVRTC is missing: pip install "xpnn[cuda13]" or cuda12 ({_in_one_line(error)})'
    return count, ""


def _silence(runtime: Any) -> str:
    """Whether there is no driver at all, or one that shows no device."""
    try:
        there = runtime.driverGetVersion() > 0
    except Exception:
        there = False
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
    return f"its driver shows no GPU (CUDA_VISIBLE_DEVICES={visible})" if there else "no NVIDIA driver was found"


def _in_one_line(error: BaseException) -> str:
    """The error behind a wrapped one, without CuPy's banners and line breaks."""
    text = str(error.__cause__ or error) or type(error).__name__
    return " ".join(word for word in text.split() if word.strip("="))


def array_namespace(device: str | None = None) -> Any:
    """The Array API namespace that makes new arrays on `device`, by default on the current backend."""
    if _gpu_index(_device(device)) is None:
        import array_api_compat.numpy as numpy_namespace

        return numpy_namespace
    import array_api_compat.cupy as cupy_namespace

    return cupy_namespace


@contextlib.contextmanager
def on_device(device: str | None = None) -> Iterator[Any]:
    """Run the block where new arrays are made (`device`, by default the current backend) and give it their namespace.

    `with on_device(device) as xp: w = xp.zeros((3, 4))` makes `w` on the right GPU of several.
    """
    device = _device(device)
    index = _gpu_index(device)
    with contextlib.nullcontext() if index is None else _cupy().cuda.Device(index):
        yield array_namespace(device)


def _device(device: str | None) -> str:
    return get_backend() if device is None else resolve(device)


def device_of(x: Any) -> str:
    """The name of the device on which the array `x` lives: "gpu:N" for CuPy, "cpu" for anything else."""
    index = getattr(getattr(x, "device", None), "id", None)
    return "cpu" if index is None else f"gpu:{index}"


def asarray(x: Any, dtype: Any = None, *, device: str | None = None) -> Any:
    """`x` (an array, a number, nested lists) as an array on `device`, by default on the current backend.

    An array keeps its dtype, Python's floats take the default dtype; `dtype` is a name ("float32") or a dtype.
    Nothing is copied that is there already.
    """
    device = _device(device)
    with on_device(device) as xp:
        y = to_numpy(x) if device == "cpu" else _on_gpu(x, device, xp)
        if dtype is None and not hasattr(x, "dtype") and y.dtype == xp.float64:
            dtype = get_default_dtype()
        return y if dtype is None else xp.astype(y, _dtype(dtype), copy=False)


def _on_gpu(x: Any, device: str, xp: Any) -> Any:
    """Bring `x` to `device`, which is the current one."""
    y = xp.asarray(x if hasattr(x, "__cuda_array_interface__") else to_numpy(x))
    # CuPy's asarray leaves an array on the GPU where it lives, its copy() goes to the current one.
    return y if device_of(y) == device else y.copy()


def _dtype(dtype: Any) -> Any:
    """CuPy's dtypes are NumPy's, so that one answer serves both."""
    try:
        return numpy.dtype(dtype)
    except TypeError:
        raise ValueError(f'dtype must be a dtype or the name of one, such as "float32", got {dtype!r}') from None


def to_numpy(x: Any) -> numpy.ndarray[Any, Any]:
    """`x` (an array of any device, a number, nested lists) as a NumPy array; copied only if it must be."""
    try:
        y = numpy.asarray(x.get() if device_of(x) != "cpu" else x)
    except ValueError as error:
        raise ValueError(f"x must be an array, a number or evenly nested lists of numbers: {error}") from None
    if y.dtype.kind not in "biufc" and y.dtype.name != "bfloat16":
        raise TypeError(f"x must hold numbers, got {type(x).__name__} with dtype {y.dtype}")
    return y


def from_dlpack(x: Any) -> Any:
    """The array behind any DLPack object, not copied: a NumPy array for the host's memory, a CuPy array for a GPU's."""
    if not hasattr(x, "__dlpack_device__"):
        raise TypeError(f"x must support DLPack (__dlpack__ and __dlpack_device__), got {type(x).__name__}")
    kind, index = x.__dlpack_device__()
    if kind == 1:
        return numpy.from_dlpack(x)
    if kind in (2, 13):
        with on_device(f"gpu:{index}"):
            return _cupy().from_dlpack(x)
    raise ValueError(f"x must be in memory of the host or of a CUDA GPU, got DLPack device type {int(kind)}")


def synchronize() -> None:
    """Wait until the current GPU has done all that was asked of it; on the CPU there is nothing to wait for."""
    if get_backend() != "cpu":
        with on_device():
            _cupy().cuda.Device().synchronize()


def set_default_dtype(name: str) -> None:
    """Make new floating-point arrays in `name`: "float16", "float32" (at the start) or "float64"."""
    if name not in FLOATS:
        raise ValueError(f"default dtype must be one of {', '.join(FLOATS)}, got {name!r}")
    _process.dtype = name


def get_default_dtype() -> str:
    """The name of the dtype in which new floating-point arrays are made."""
    return _process.dtype


def follow(x: Any, like: Any, name: str = "x") -> Any:
    """A small side input (labels, lengths: any array, or a list of integers) in the library and on the device of ``like``.

    ``like`` is raw or traced. Whole inputs do not follow silently: for those a mismatch is an error. TypeError, with the
    name, if x holds no numbers.
    """
    raw, like = unbox(x), unbox(like)
    if hasattr(raw, "dtype") and library_name(raw) == library_name(like) and array_device(raw) == array_device(like):
        return x
    try:
        host = to_numpy(raw)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected an array or a list of numbers, got {type(raw).__name__}") from None
    with on_device(device_of(like)):
        return raw_namespace(like).asarray(host, device=array_device(like))
