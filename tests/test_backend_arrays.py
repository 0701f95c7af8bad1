"""The arrays that the selector makes, moves and shares."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import array_api_compat.numpy
import numpy as np
import pytest

import xpnn
from tests import fake_gpu

selector = importlib.import_module("xpnn.backend")  # `xpnn.backend` is the context manager of that module
fresh = pytest.fixture(autouse=True)(fake_gpu.fresh_process)
gpus = fake_gpu.install


def test_new_arrays_are_made_on_the_chosen_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = gpus(monkeypatch, 2)
    xpnn.set_backend("gpu:1")
    assert cuda.current == 1
    cuda.current = 0  # as in another thread
    with selector.on_device() as xp:
        assert selector.device_of(xp.zeros(3)) == "gpu:1"
    with xpnn.backend("gpu:0"):
        assert selector.device_of(xpnn.asarray([1.0])) == "gpu:0"
        assert selector.device_of(xpnn.asarray([1.0], device="gpu:1")) == "gpu:1"
    xpnn.synchronize()
    assert (cuda.current, cuda.waited) == (0, [1])


def test_arrays_move_between_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2)
    host = np.arange(3.0)
    there = xpnn.asarray(host, device="gpu:1")
    assert (selector.device_of(there), there.dtype) == ("gpu:1", np.float64)
    assert xpnn.asarray(there, device="gpu:1") is there
    other = xpnn.asarray(there, device="gpu:0")
    assert selector.device_of(other) == "gpu:0"
    assert xpnn.asarray([1.0, 2.0], device="gpu").dtype == np.float32
    for back in (xpnn.to_numpy(other), xpnn.asarray(other, device="cpu")):
        np.testing.assert_array_equal(back, host)
    assert xpnn.from_dlpack(there) is there


@pytest.fixture
def cpu() -> Iterator[None]:
    with xpnn.backend("cpu"):
        yield


def test_new_arrays_on_the_cpu(cpu: None) -> None:
    assert selector.array_namespace() is array_api_compat.numpy
    xpnn.synchronize()
    x = np.arange(3.0)
    assert xpnn.asarray(x) is x
    assert xpnn.to_numpy(x) is x
    assert selector.device_of(x) == "cpu"


@pytest.mark.parametrize(
    ("x", "dtype"),
    [(1.5, "float32"), ([[1.0, 2.0]], "float32"), ([1, 2], "int64"), ([True], "bool"), (np.ones(2), "float64")],
)
def test_python_floats_take_the_default_dtype(cpu: None, x: object, dtype: str) -> None:
    assert xpnn.asarray(x).dtype == dtype


def test_the_default_dtype_can_be_changed(cpu: None) -> None:
    assert xpnn.get_default_dtype() == "float32"
    xpnn.set_default_dtype("float64")
    assert xpnn.asarray([0.1]).dtype == xpnn.get_default_dtype() == "float64"
    assert xpnn.asarray([0.1], "float16").dtype == xpnn.asarray([1], np.float16).dtype == "float16"
    with pytest.raises(ValueError, match="float16, float32, float64, got 'int8'"):
        xpnn.set_default_dtype("int8")


def test_what_is_no_array_is_refused(cpu: None) -> None:
    with pytest.raises(TypeError, match="x must hold numbers, got str"):
        xpnn.asarray("abc")
    with pytest.raises(ValueError, match="evenly nested lists of numbers"):
        xpnn.asarray([[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="dtype must be a dtype or the name of one.*'float33'"):
        xpnn.asarray([1.0], "float33")


def test_dlpack_shares_memory() -> None:
    x = np.arange(3.0)
    assert np.shares_memory(xpnn.from_dlpack(x), x)
    with pytest.raises(TypeError, match="x must support DLPack.*got list"):
        xpnn.from_dlpack([1.0])

    class OnMetal:
        def __dlpack_device__(self) -> tuple[int, int]:
            return 8, 0

    with pytest.raises(ValueError, match="got DLPack device type 8"):
        xpnn.from_dlpack(OnMetal())


@pytest.mark.gpu
def test_a_real_gpu() -> None:
    if not xpnn.gpu_is_available():
        pytest.skip(xpnn.gpu_status())
    with xpnn.backend("gpu"):
        x = xpnn.asarray([1.0, 2.0])
        xpnn.synchronize()
    assert selector.device_of(x) == "gpu:0"
    np.testing.assert_array_equal(xpnn.to_numpy(x + x), [2.0, 4.0])
