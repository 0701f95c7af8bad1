"""The selector where there are GPUs, of which the double has two; and boxes of arrays that live there."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np
import pytest

import xpnn
from tests import fake_gpu
from xpnn.cli.main import main
from xpnn.gradients import vjp

pytestmark = pytest.mark.gpu
selector = importlib.import_module("xpnn.backend")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fake_gpu.fresh_process(monkeypatch)
    yield
    cupy.cuda.Device(0).use()


def test_auto_takes_the_first_gpu() -> None:
    assert xpnn.get_backend() == "gpu:0"
    assert xpnn.available_backends() == ["cpu", "gpu:0", "gpu:1"]
    assert xpnn.gpu_is_available()
    assert selector.gpu_status() == "gpu:0 CuPy double 0, gpu:1 CuPy double 1"
    assert type(xpnn.asarray([1.0, 2.0])) is cupy.ndarray


def test_info_names_the_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    assert "gpu:0 CuPy double 0, gpu:1 CuPy double 1" in capsys.readouterr().out


def test_a_gpu_is_chosen_by_its_number() -> None:
    xpnn.require_gpu(1)
    assert xpnn.asarray([1.0]).device == cupy.cuda.Device(1)
    with xpnn.backend("gpu:0"):
        assert xpnn.asarray([1.0]).device.id == 0
    assert not xpnn.prefer_gpu(2)
    with pytest.raises(xpnn.BackendError, match=r"the GPUs here are gpu:0, gpu:1"):
        xpnn.set_backend("gpu:2")


def test_models_are_made_moved_and_run_on_the_second_gpu() -> None:
    with xpnn.backend("gpu:1"):
        model = xpnn.nn.Sequential(xpnn.nn.Linear(3, 4), xpnn.nn.Dropout(), xpnn.nn.LSTM(4, 2))
        x = xpnn.random.normal(xpnn.random.Key(1), (5, 2, 3))
        _, gradients = xpnn.value_and_grad(lambda m, x: xpnn.namespace(x).sum(m(x)[0]))(model, x)
        assert x.device.id == 1 and gradients.device == model.device == "gpu:1"
    assert model.to("gpu:0").device == "gpu:0"
    with pytest.raises(ValueError, match="current device"), xpnn.backend("gpu:0"):
        model(x)


def test_arrays_come_and_go() -> None:
    x = np.arange(6.0).reshape(2, 3)
    there = xpnn.asarray(x, device="gpu")
    assert type(there) is cupy.ndarray and xpnn.asarray(there, device="gpu") is there
    assert xpnn.asarray(there, device="gpu:1").device.id == 1
    np.testing.assert_array_equal(xpnn.to_numpy(there), x)
    assert type(xpnn.asarray(there, device="cpu")) is np.ndarray
    assert xpnn.from_dlpack(there) is not None
    xpnn.synchronize()


def test_boxes_of_cupy_arrays() -> None:
    def f(x: Any) -> Any:
        i = xpnn.namespace(x).argmax(x)
        assert "abc"[i] == "c" and range(5)[i] == 2
        assert x.to_device(x.device) is x
        with pytest.raises(TypeError, match="index"):
            "abc"[x]
        with pytest.raises(TypeError, match="Implicit conversion"):
            np.asarray(xpnn.stop_gradient(x))
        constant = xpnn.stop_gradient(x)
        assert constant.to_device(cupy.cuda.Device(1))._value.shape == (3,)
        return xpnn.namespace(x).sum(x * x)

    with xpnn.backend("gpu"):
        _, pullback = vjp(f, xpnn.asarray(np.arange(3.0)))
        np.testing.assert_array_equal(xpnn.to_numpy(pullback(xpnn.asarray(np.asarray(1.0)))[0]), [0, 2, 4])


def test_arrays_of_two_libraries_are_an_error_that_says_so() -> None:
    with xpnn.backend("gpu"):
        model = xpnn.nn.Linear(3, 2)
    for call in (lambda: model(np.ones((4, 3), np.float32)), lambda: xpnn.namespace(model.weight, np.ones(3))):
        with pytest.raises(TypeError, match="numpy"):
            call()
