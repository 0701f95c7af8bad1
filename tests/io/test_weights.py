"""Weights in files: round trips, the official package on the other side, broken files, interrupted writes."""

from __future__ import annotations

import os
import stat
import sys
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
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"hello", lambda b: b"", lambda b: b[:-1]])
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


FOREIGN = {
    "it is a zip file": lambda b: b"PK\x03\x04" + b,
    "it is a .npy file": lambda b: b"\x93NUMPY" + b,
    "it is an HDF5 file": lambda b: b"\x89HDF" + b,
    "it is a pickle": lambda b: b"\x80\x04" + b,
    "it is empty": lambda b: b"",
    "its header should have 544501094 bytes, the file has": lambda b: (544501094).to_bytes(8, "little") + b,
    "has shape": lambda b: b.replace(b"[3,4]", b"[3,-4"),
    "Expecting": lambda b: b.replace(b'{"', b"{{"),
    "has dtype F99": lambda b: b.replace(b'"F32"', b'"F99"'),
    "of arrays, the file has": lambda b: b + b"1234",
    "expected": lambda b: b.replace(b"[3,4]", b"[3,5]"),
}


@pytest.mark.parametrize("found", FOREIGN)
def test_the_error_tells_what_was_found(found: str, tmp_path: Path) -> None:
    path, ours = tmp_path / "m.safetensors", model()
    before = {name: x.copy() for name, x in ours.state_dict().items()}
    xpnn.save(model(), path)
    path.write_bytes(FOREIGN[found](path.read_bytes()))
    with pytest.raises(ValueError, match="m.safetensors' is no readable .safetensors file: ") as caught:
        xpnn.load(path, ours)
    assert "\n" not in str(caught.value)
    assert found in str(caught.value) or found == "has shape"
    for name, x in ours.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


def complaint(path: Path) -> str:
    """What is wrong with a file, "" where it loads; anything but a ValueError escapes."""
    try:
        loaded = xpnn.load(path)
    except ValueError as error:
        return str(error)
    assert all(isinstance(x, np.ndarray) for x in loaded.values())
    return ""


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_or_changed_anywhere_loads_or_gives_a_value_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    xpnn.save({"a": np.arange(3.0), "b.c": np.ones((2, 2), np.int8)}, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for i in range(0, len(whole), 3):
        for damaged in (whole[:i], whole[:i] + bytes(rng.integers(0, 256, 2, np.uint8)) + whole[i + 2 :]):
            path.write_bytes(damaged)
            if error := complaint(path):
                refused += 1
                assert name in error and "\n" not in error
    assert refused >= len(whole) // 3


def test_every_dtype_and_shape(tmp_path: Path) -> None:
    kinds = "bool u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8 c8".split()
    arrays = {kind: np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}
    arrays |= {
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3)),
        "t": np.ones((2, 3)).T,
        "big": np.arange(3, dtype=">f4"),
    }
    for name in FORMATS:
        xpnn.save(arrays, tmp_path / name)
        loaded = xpnn.load(tmp_path / name)
        assert set(loaded) == set(arrays)
        for key, x in arrays.items():
            np.testing.assert_array_equal(loaded[key], x)
            assert loaded[key].dtype == x.dtype.newbyteorder("=") and loaded[key].shape == x.shape
            loaded[key][...] = 0  # arrays of its own
    with pytest.raises(ValueError, match="z complex128: no dtype of a .safetensors file, but of an .npz file"):
        xpnn.save({"z": np.ones(1, complex)}, tmp_path / "z.safetensors")
    xpnn.save({"file": np.ones(1, complex), "allow_pickle": np.ones(1)}, tmp_path / "z.npz")
    assert xpnn.load(tmp_path / "z.npz")["file"].dtype == complex and not (tmp_path / "z.safetensors").exists()


def test_bfloat16_goes_through_safetensors_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = pytest.importorskip("ml_dtypes").bfloat16
    path, short, values = tmp_path / "a.safetensors", nn.Linear(3, 2), np.array([1.0, -2.5, 3e38, np.inf])
    xpnn.save({"a": values.astype(kind)}, path)
    np.testing.assert_array_equal(xpnn.load(path)["a"].view(np.int16), values.astype(kind).view(np.int16))
    assert xpnn.load(path)["a"].dtype == kind
    with pytest.raises(ValueError, match="a bfloat16: no dtype of an .npz file"):
        xpnn.save({"a": values.astype(kind)}, tmp_path / "a.npz")
    short.astype("bfloat16")
    xpnn.save(short, path)
    wide = xpnn.load(path, nn.Linear(3, 2))
    np.testing.assert_array_equal(wide.weight, short.weight.astype(np.float32))
    again = xpnn.load(path, nn.Linear(3, 2).astype("bfloat16"))
    assert again.weight.dtype == kind and np.array_equal(again.weight.view(np.int16), short.weight.view(np.int16))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # as where it is not installed
    assert xpnn.load(path)["weight"].dtype == np.float32
    np.testing.assert_array_equal(xpnn.load(path)["weight"], wide.weight)


def test_torch_reads_ours_and_we_read_its(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    official = pytest.importorskip("safetensors.torch", reason="needs the package safetensors")
    theirs = torch.nn.Linear(3, 2, dtype=torch.bfloat16)
    official.save_file(theirs.state_dict(), tmp_path / "t.safetensors")
    ours = xpnn.load(tmp_path / "t.safetensors", nn.Linear(3, 2))
    np.testing.assert_array_equal(ours.weight, theirs.weight.detach().float().numpy())
    xpnn.save(theirs.state_dict(), tmp_path / "o.safetensors")
    for name, x in official.load_file(tmp_path / "o.safetensors").items():
        assert x.dtype == torch.bfloat16 and torch.equal(x, theirs.state_dict()[name])
    xpnn.save({"w": theirs.weight}, tmp_path / "w.safetensors")  # with its graph
    assert torch.equal(official.load_file(tmp_path / "w.safetensors")["w"], theirs.weight)


def test_a_file_of_another_model_names_the_file_and_all_that_does_not_fit(tmp_path: Path) -> None:
    xpnn.save(model(), tmp_path / "m.npz")
    other = nn.Sequential(nn.Linear(4, 2))
    before = other[0].weight.copy()
    with pytest.raises(
        ValueError, match="m.npz' are not those of the model: .*unexpected: 2.weight .*0.weight"
    ) as caught:
        xpnn.load(tmp_path / "m.npz", other)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(other[0].weight, before)
    loaded = model()
    assert xpnn.load(tmp_path / "m.npz", loaded) is loaded


def test_kinds(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="model: expected an xpnn.nn.Module, got dict"):
        xpnn.load(tmp_path / "m.npz", {})  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="model: expected an xpnn.nn.Module or a dict of arrays by name, got list"):
        xpnn.save([np.ones(1)], tmp_path / "m.npz")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="model: 3 cannot be the name of an array"):
        xpnn.save({3: np.ones(1)}, tmp_path / "m.npz")  # type: ignore[dict-item]


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


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be opened")
def test_the_file_and_then_its_folder_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def fsync(handle: int) -> None:
        synced.append(f"folder with {os.listdir(handle)}" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    atomic_write(tmp_path / "f", [b"ab", b"c"])
    assert synced == ["file", "folder with ['f']"] and (tmp_path / "f").read_bytes() == b"abc"


def test_the_mode_of_a_new_file_is_the_usual_one(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
