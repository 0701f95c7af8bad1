"""Weights in files: round trips, the official package on the other side, broken files, interrupted writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnn
from xpnn import nn
from xpnn.io import atomic_write

FORMATS = ("m.safetensors", "m.npz")


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2, bias=False))


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    a, b = model(), model()
    xpnn.save(a, tmp_path / name)
    b.load_state_dict(xpnn.load(tmp_path / name))
    for (_, x), (_, y) in zip(a.named_parameters(), b.named_parameters(), strict=True):
        np.testing.assert_array_equal(x, y)
    assert os.listdir(tmp_path) == [name]


def test_the_official_package_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    official = pytest.importorskip("safetensors.numpy", reason="needs the package safetensors")
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.array(7)}
    xpnn.save(arrays, tmp_path / "a.safetensors")
    for name, x in official.load_file(tmp_path / "a.safetensors").items():
        np.testing.assert_array_equal(x, arrays[name])
    official.save_file({"w": np.ones((2, 2))}, tmp_path / "b.safetensors")
    np.testing.assert_array_equal(xpnn.load(tmp_path / "b.safetensors")["w"], np.ones((2, 2)))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"hello", lambda b: b""])
def test_broken_files_give_one_clear_line(name: str, damage: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    xpnn.save(model(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{name}' is no readable {path.suffix} file"):
        xpnn.load(path)


def test_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="no readable"):
        xpnn.load(tmp_path / "m.npz")


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a .safetensors or .npz file, got 'm.pt'"):
        xpnn.save(model(), "m.pt")
    with pytest.raises(FileNotFoundError):
        xpnn.load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError):
        xpnn.save(model(), tmp_path / "missing" / "m.npz")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    atomic_write(path, b"old")

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


def test_the_mode_of_a_new_file_is_the_usual_one(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
