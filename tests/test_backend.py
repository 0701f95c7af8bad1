"""The selector, above all the ways in which a GPU cannot be had."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
import sys
import threading

import pytest

import xpnn
from tests import fake_gpu

selector = importlib.import_module("xpnn.backend")  # `xpnn.backend` is the context manager of that module
fresh = pytest.fixture(autouse=True)(fake_gpu.fresh_process)
gpus = fake_gpu.install


@pytest.fixture
def no_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)


@pytest.fixture
def no_driver() -> None:
    """The real CuPy on a machine without a driver."""
    cupy = pytest.importorskip("cupy", reason="needs CuPy (without a GPU) to see how it fails")
    if cupy.is_available():
        pytest.skip("there is a GPU here")


# Names


@pytest.mark.parametrize(
    ("name", "device"),
    [
        *(("cpu", "cpu"), ("numpy", "cpu"), ("auto", "gpu:0"), ("gpu", "gpu:0"), ("cupy", "gpu:0"), ("cuda", "gpu:0")),
        *(("gpu:1", "gpu:1"), ("cuda:1", "gpu:1"), ("gpu:0", "gpu:0")),
    ],
)
def test_each_name_and_alias(monkeypatch: pytest.MonkeyPatch, name: str, device: str) -> None:
    gpus(monkeypatch, 2)
    xpnn.set_backend(name)
    assert xpnn.get_backend() == device
    xpnn.set_backend(xpnn.get_backend())
    assert xpnn.get_backend() == device


@pytest.mark.parametrize("name", ["", "tpu", "GPU", "gpu:", "gpu:-1", "gpu:x", "gpu:1 ", "cpu:0", "cupy:0", "gpu:٣"])
def test_unknown_names_list_the_known_ones(name: str) -> None:
    for choose in (xpnn.set_backend, lambda name: xpnn.backend(name).__enter__()):
        with pytest.raises(ValueError, match=r'one of "auto", "cpu", "gpu", "gpu:N".*got ' + repr(name)):
            choose(name)


def test_a_name_is_a_string() -> None:
    with pytest.raises(TypeError, match="must be a string.*got int"):
        xpnn.set_backend(0)  # type: ignore[arg-type]


# No CuPy, and a CuPy without a driver


def test_without_cupy_gpu_raises_and_the_choice_stays(no_cupy: None) -> None:
    xpnn.require_cpu()
    for ask in (lambda: xpnn.set_backend("gpu"), xpnn.require_gpu, lambda: xpnn.backend("cuda").__enter__()):
        with pytest.raises(xpnn.BackendError, match=r'CuPy is not installed \(pip install "xpnn\[cuda13\]"'):
            ask()
    assert xpnn.get_backend() == "cpu"
    assert not xpnn.gpu_is_available()
    assert not xpnn.prefer_gpu()
    assert xpnn.available_backends() == ["cpu"]
    assert "not installed" in xpnn.gpu_status()


def test_cupy_may_be_installed_a_cell_later(monkeypatch: pytest.MonkeyPatch, no_cupy: None) -> None:
    assert not xpnn.gpu_is_available()
    gpus(monkeypatch, 1)
    xpnn.set_backend("gpu")
    assert xpnn.get_backend() == "gpu:0"


def test_cupy_without_a_driver(no_driver: None) -> None:
    with pytest.raises(xpnn.BackendError, match=r"'gpu' cannot be had: CuPy .* no NVIDIA driver was found: cudaError"):
        xpnn.set_backend("gpu")
    assert not xpnn.gpu_is_available()
    assert not xpnn.prefer_gpu()
    assert "\n" not in xpnn.gpu_status()


def test_auto_without_a_driver_is_the_cpu_and_says_why(no_driver: None, caplog: pytest.LogCaptureFixture) -> None:
    xpnn.set_backend("auto")
    xpnn.set_backend("auto")
    assert xpnn.get_backend() == "cpu"
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "made on cpu" in record.message
    assert "no NVIDIA driver" in record.message


def test_cupy_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "cupy":
                banner = ImportError("=====\nFailed to import CuPy.\n=====")
                raise banner from OSError("libcublas.so:\n wrong ELF class")

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert xpnn.gpu_status() == "CuPy cannot be imported: libcublas.so: wrong ELF class"
    assert not xpnn.gpu_is_available()


# GPUs that are there, or hidden, or without a compiler


def test_a_driver_that_shows_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(xpnn.BackendError, match=r"shows no GPU \(CUDA_VISIBLE_DEVICES=\)"):
        xpnn.require_gpu()


def test_a_driver_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_device() -> int:
        raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")

    gpus(monkeypatch, 0)
    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "getDeviceCount", no_device)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    reason = r"its driver shows no GPU \(CUDA_VISIBLE_DEVICES=unset\): cudaErrorNoDevice"
    with pytest.raises(xpnn.BackendError, match=reason):
        xpnn.require_gpu()


def test_gpus_without_a_run_time_compiler_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1, nvrtc=False)
    with pytest.raises(xpnn.BackendError, match=r"NVRTC is missing: pip install .*libnvrtc\.so\)"):
        xpnn.set_backend("gpu")


def test_an_index_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    with pytest.raises(xpnn.BackendError, match="'gpu:2' cannot be had: the GPUs here are gpu:0, gpu:1"):
        xpnn.set_backend("gpu:2")
    assert not xpnn.prefer_gpu(2)
    assert xpnn.prefer_gpu(1)
    assert xpnn.get_backend() == "gpu:1"
    assert xpnn.available_backends() == ["cpu", "gpu:0", "gpu:1"]
    assert xpnn.gpu_status() == "gpu:0 Pretender 0, gpu:1 Pretender 1"


def test_auto_prefers_a_gpu_and_logs_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="xpnn")
    gpus(monkeypatch, 1)
    assert xpnn.get_backend() == xpnn.get_backend() == "gpu:0"
    with xpnn.backend("auto"):
        pass
    [record] = caplog.records
    assert (record.levelname, "made on gpu:0 (gpu:0 Pretender 0)" in record.message) == ("INFO", True)


# Context: nesting, errors, threads, tasks, notebook cells, environment


def test_blocks_nest_and_restore_on_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = gpus(monkeypatch, 3)
    xpnn.require_cpu()
    with xpnn.backend("gpu:1") as outer:
        with pytest.raises(KeyError), xpnn.backend("gpu:2"):
            assert (xpnn.get_backend(), cuda.current) == ("gpu:2", 2)
            raise KeyError
        assert (xpnn.get_backend(), outer, cuda.current) == ("gpu:1", "gpu:1", 1)
        xpnn.set_backend("gpu:2")
        assert xpnn.get_backend() == "gpu:1"
    assert xpnn.get_backend() == "gpu:2"


def test_a_block_that_cannot_be_entered_changes_nothing(no_cupy: None) -> None:
    xpnn.require_cpu()
    with pytest.raises(xpnn.BackendError), xpnn.backend("gpu"):
        pass
    assert xpnn.get_backend() == "cpu"
    with xpnn.backend("cpu"):
        assert xpnn.get_backend() == "cpu"


def test_a_block_works_as_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    xpnn.require_cpu()
    assert xpnn.backend("gpu")(xpnn.get_backend)() == "gpu:0"
    assert xpnn.get_backend() == "cpu"


def test_threads_share_the_default_and_keep_their_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 4)
    xpnn.set_backend("gpu:3")
    seen: dict[int, tuple[str, str]] = {}
    barrier = threading.Barrier(3)

    def work(i: int) -> None:
        before = xpnn.get_backend()
        with xpnn.backend(f"gpu:{i}"):
            barrier.wait(timeout=30)  # all three blocks are open at once
            seen[i] = (before, xpnn.get_backend())
            barrier.wait(timeout=30)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    with xpnn.backend("cpu"):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert xpnn.get_backend() == "cpu"
    assert seen == {i: ("gpu:3", f"gpu:{i}") for i in range(3)}


def test_the_default_set_in_a_thread_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 1)
    xpnn.require_cpu()
    thread = threading.Thread(target=xpnn.set_backend, args=("gpu",))
    thread.start()
    thread.join()
    assert xpnn.get_backend() == "gpu:0"


def test_tasks_keep_their_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 3)
    xpnn.require_cpu()

    async def task(i: int) -> list[str]:
        seen = []
        with xpnn.backend(f"gpu:{i}"):
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(xpnn.get_backend())
                seen.append(selector.device_of(xpnn.asarray([0.0])))
        return [*seen, xpnn.get_backend()]

    async def all_tasks() -> list[list[str]]:
        return await asyncio.gather(*(task(i) for i in range(3)))

    assert asyncio.run(all_tasks()) == [[f"gpu:{i}"] * 6 + ["cpu"] for i in range(3)]


def test_a_notebook_keeps_the_choice_from_cell_to_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell may run in a copy of the context, so that a choice kept in a ContextVar alone would be lost."""
    gpus(monkeypatch, 2)

    def cell(source: str) -> None:
        contextvars.copy_context().run(exec, source, shell)

    shell = {"xpnn": xpnn}
    cell("xpnn.set_backend('gpu:1')")
    cell("first = xpnn.get_backend()")
    cell("with xpnn.backend('cpu'): inside = xpnn.get_backend()")
    cell("xpnn.set_backend('gpu:0')")
    cell("second = xpnn.get_backend()")
    assert [shell[name] for name in ("first", "inside", "second")] == ["gpu:1", "cpu", "gpu:0"]


def test_the_environment_is_read_at_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    monkeypatch.setenv("XPNN_BACKEND", "cuda:1")  # long after the import
    assert xpnn.get_backend() == "gpu:1"
    monkeypatch.setenv("XPNN_BACKEND", "cpu")
    assert xpnn.get_backend() == "gpu:1"


def test_an_explicit_call_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_BACKEND", "nonsense")
    with xpnn.backend("cpu"):
        assert xpnn.get_backend() == "cpu"
    xpnn.set_backend("cpu")
    assert xpnn.get_backend() == "cpu"


@pytest.mark.parametrize(("value", "kind"), [("nonsense", ValueError), ("gpu", xpnn.BackendError)])
def test_a_wrong_environment_names_itself(
    monkeypatch: pytest.MonkeyPatch, no_cupy: None, value: str, kind: type[Exception]
) -> None:
    monkeypatch.setenv("XPNN_BACKEND", value)
    for _ in range(2):  # it is not forgotten after the first error
        with pytest.raises(kind, match=f"^XPNN_BACKEND={value}: backend"):
            xpnn.get_backend()
    monkeypatch.setenv("XPNN_BACKEND", "cpu")
    assert xpnn.get_backend() == "cpu"


def test_the_log_level_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logging.getLogger("xpnn")
    level, handlers = log.level, list(log.handlers)
    try:
        monkeypatch.setenv("XPNN_LOG", "Debug")
        assert selector.logger().level == logging.DEBUG
    finally:
        log.setLevel(level)
        log.handlers[:] = handlers
    selector.logger.cache_clear()
    monkeypatch.setenv("XPNN_LOG", "loud")
    with pytest.raises(ValueError, match="XPNN_LOG must be one of debug, info, warning, error, got 'loud'"):
        selector.logger()
