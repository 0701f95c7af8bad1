"""Tensor maps: what the driver is asked for, what it refuses, and how a struct of arguments holds them."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xpnn.cuda import tensor_map
from xpnn.cuda.arguments import Layout
from xpnn.cuda.tensor_map import MapError, MapShape, TensorMap

from .fake_cupy import FakeArray

PIXELS = MapShape("bfloat16", (64, 7, 5, 2), (128, 896, 4480), (64, 128), (1, 2, 2, 1), lower=(0, -1), upper=(-2, -1))
TILES = MapShape("float16", (64, 9, 96), (128, 1152), (64, 1, 128))
LAYOUT = Layout("S", (("image", "ptx::TensorMap"), ("weight", "ptx::TensorMap"), ("y", "float*"), ("n", "int")))


class Driver:
    """Stands for cuda.bindings.driver: keeps what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.status = 0
        self.cuuint64_t, self.cuuint32_t = (lambda n: ("u64", n)), (lambda n: ("u32", n))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("CUtensorMap"):
            return Names()
        assert name in ("cuTensorMapEncodeIm2col", "cuTensorMapEncodeTiled")

        def encode(*asked: Any) -> tuple[int, Any]:
            self.calls.append((name, asked))
            return self.status, SimpleNamespace(opaque=[2**64 - 1 - i for i in range(16)])

        return encode


class Names:
    """An enumeration whose values are their names, without what all of them have in front."""

    def __getattr__(self, name: str) -> str:
        return name.removeprefix("CU_TENSOR_MAP_")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    cuda, bindings = ModuleType("cuda"), ModuleType("cuda.bindings")
    cuda.bindings, bindings.driver = bindings, found  # type: ignore[attr-defined]
    for name, module in {"cuda": cuda, "cuda.bindings": bindings, "cuda.bindings.driver": found}.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    tensor_map._encoded.cache_clear()
    return found


def test_the_driver_is_asked_for_a_map_of_pixels_or_of_tiles(driver: Driver) -> None:
    assert tensor_map.missing_driver() is None
    x = FakeArray(np.zeros(4, np.float16))
    words = TensorMap(x, PIXELS).words()
    assert words.dtype == np.uint64 and words.tolist() == [2**64 - 1 - i for i in range(16)]
    assert TensorMap(x, PIXELS).words() is words  # kept by address and shape
    TensorMap(x, TILES).words()
    tail = "INTERLEAVE_NONE", "SWIZZLE_128B", "L2_PROMOTION_L2_128B", "FLOAT_OOB_FILL_NONE"
    sizes, strides = [("u64", n) for n in (64, 7, 5, 2)], [("u64", n) for n in (128, 896, 4480)]
    steps = [("u32", n) for n in (1, 2, 2, 1)]
    (pixels, of_pixels), (tiles, of_tiles) = driver.calls
    assert (pixels, tiles) == ("cuTensorMapEncodeIm2col", "cuTensorMapEncodeTiled")
    assert of_pixels == ("DATA_TYPE_BFLOAT16", 4, x.data.ptr, sizes, strides, [0, -1], [-2, -1], 64, 128, steps, *tail)
    sizes, strides = [("u64", n) for n in (64, 9, 96)], [("u64", n) for n in (128, 1152)]
    box, steps = [("u32", n) for n in (64, 1, 128)], [("u32", 1)] * 3
    assert of_tiles == ("DATA_TYPE_FLOAT16", 3, x.data.ptr, sizes, strides, box, steps, *tail)


def test_what_the_driver_refuses_is_told(driver: Driver) -> None:
    driver.status = 1
    with pytest.raises(MapError, match=r"the driver makes no tensor map of MapShape\(dtype='float16', .*: 1"):
        TensorMap(FakeArray(np.zeros(4, np.float16)), TILES).words()


def test_a_struct_holds_maps_at_multiples_of_64_bytes() -> None:
    """Their arrays are among those of the launch, and only read."""
    x, w, y = np.zeros(4, np.float16), np.zeros(4, np.float16), np.zeros(4, np.float32)
    given = LAYOUT(image=TensorMap(x, PIXELS), weight=TensorMap(w, TILES), y=y, n=3)
    assert {name: array.ctypes.data for name, array in given.arrays.items()} == {
        "image": x.ctypes.data, "weight": w.ctypes.data, "y": y.ctypes.data,
    }  # fmt: skip
    assert [name for name in given.arrays if given.written(name)] == ["y"]
    packed = given.packed()
    assert packed.nbytes == LAYOUT.dtype.itemsize == 320
    assert packed["y"] == y.ctypes.data and packed["n"] == 3 and not packed["image"].any()
    assert "sizeof(S) == 320" in LAYOUT.assertions and "__builtin_offsetof(S, weight) == 128" in LAYOUT.assertions
