"""Named arrays and a few words in a file, safetensors or npz by the suffix of its name."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from . import safetensors
from .atomic import atomic_write
from .host import is_bfloat16

__all__ = ["read", "suffix_of", "write"]

Arrays = dict[str, np.ndarray[Any, Any]]

_WORDS = "__metadata__"  # the member of an npz file that holds the metadata, as bytes of JSON
_KNOWN = {
    b"PK\x03\x04": "a zip file (npz, or torch's .pt)",
    b"\x93NUMPY": "a .npy file",
    b"\x89HDF": "an HDF5 file (Keras's .h5)",
    b"\x80": "a pickle",
    b"\x1f\x8b": "a gzip file",
}


def write(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]
) -> None:
    """Writes a file, atomically. Raises ValueError for another suffix, and for dtypes that the format does not know."""
    try:
        if suffix_of(path) == ".safetensors":
            atomic_write(path, safetensors.pieces(arrays, metadata))
        else:
            atomic_write(path, _npz(arrays, metadata))
    except ValueError as error:
        raise ValueError(f"{error} ({os.fspath(path)!r} was not written)") from None


def read(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, str]]:
    """The arrays and the metadata of a file. Raises ValueError for a file that is not what its suffix says."""
    suffix = suffix_of(path)
    with open(path, "rb") as file:
        try:
            return safetensors.read(file) if suffix == ".safetensors" else _read_npz(file)
        except Exception as error:  # whatever a broken file makes zipfile, json and NumPy raise
            found = _found(path) or " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"path: {os.fspath(path)!r} is no readable {suffix} file: {found}") from error


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The suffix of a path. Raises ValueError unless it is one of those known."""
    suffix = Path(path).suffix
    if suffix not in (".safetensors", ".npz"):
        raise ValueError(f"path: expected a .safetensors or .npz file, got {os.fspath(path)!r}")
    return suffix


def _found(path: str | os.PathLike[str]) -> str:
    """What a file is that was taken for one of another kind, by its first bytes; "" where they do not tell."""
    with open(path, "rb") as file:
        head = file.read(8)
    if not head:
        return "it is empty"
    if suffix_of(path) == ".npz" and head.startswith(b"PK"):
        return ""
    return next((f"it is {kind}" for start, kind in _KNOWN.items() if head.startswith(start)), "")


def _npz(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> bytes:
    """What np.savez writes, for any names, and nothing that would have to be pickled."""
    import zipfile

    if short := [name for name, x in arrays.items() if is_bfloat16(x)]:
        raise ValueError(f"{', '.join(short)} bfloat16: no dtype of an .npz file, but of a .safetensors file")
    words = {_WORDS: np.frombuffer(json.dumps(dict(metadata)).encode(), np.uint8)} if metadata else {}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, x in {**arrays, **words}.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, x, allow_pickle=False)
    return buffer.getvalue()


def _read_npz(file: BinaryIO) -> tuple[Arrays, dict[str, str]]:
    with np.load(file, allow_pickle=False) as members:
        arrays = dict(members)
    strange = [f"{name} {getattr(x, 'dtype', 'no array')}" for name, x in arrays.items() if not _is_numbers(x)]
    if strange:
        raise ValueError(f"expected arrays of numbers, got {', '.join(strange)}")
    words = arrays.pop(_WORDS, None)
    return arrays, {} if words is None else json.loads(words.tobytes().decode())


def _is_numbers(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "biufc"
