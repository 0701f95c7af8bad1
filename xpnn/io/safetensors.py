"""The safetensors format: a header in JSON, and behind it the arrays, little-endian, one after the other.

Nothing in such a file is executed. https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from .host import bfloat16, is_bfloat16

__all__ = ["pieces", "read"]

_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8", "BF16": "<u2",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}
_MOST = 100_000_000  # bytes of a header, as the official package has it: what is longer is no header


def pieces(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> Iterator[Any]:
    """The bytes of a file, piece by piece. Raises ValueError for dtypes that the format does not know."""
    table, end = {}, 0
    # As the official package does: wide elements first, so that all arrays are aligned.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    unknown = [f"{name} {arrays[name].dtype}" for name in names if _name(arrays[name]) is None]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no dtype of a .safetensors file, but of an .npz file")
    for name in names:
        start, end = end, end + arrays[name].nbytes
        table[name] = {"dtype": _name(arrays[name]), "shape": list(arrays[name].shape), "data_offsets": [start, end]}
    extra = {"__metadata__": dict(metadata)} if metadata else {}
    header = json.dumps({**extra, **table}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little") + header
    for name in names:
        x = arrays[name]
        yield x.astype(x.dtype.newbyteorder("<"), copy=False).tobytes()


def read(file: BinaryIO) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """The arrays and the metadata of a file. Raises ValueError, with what was found, for what is no such file."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little") if size >= 8 else size
    if size < 8 or length > min(_MOST, size - 8):
        raise ValueError(f"its header should have {length} bytes, the file has {size}")
    header = json.loads(file.read(length).decode())
    if not isinstance(header, dict):
        raise ValueError(f"its header is a JSON {type(header).__name__}, expected an object")
    metadata = header.pop("__metadata__", None) or {}
    _check(header, size - 8 - length)
    return {name: _array(file, 8 + length, entry) for name, entry in header.items()}, metadata


def _check(table: dict[str, Any], size: int) -> None:
    """Raises unless the arrays fill the part of ``size`` bytes behind the header, without gaps and overlaps."""
    end = 0
    for name, entry in sorted(table.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{name} has dtype {entry['dtype']}, known are {', '.join(_DTYPES)}")
        if not all(type(n) is int and n >= 0 for n in entry["shape"]):
            raise ValueError(f"{name} has shape {entry['shape']}")
        bytes_of_it = math.prod(entry["shape"]) * np.dtype(_DTYPES[entry["dtype"]]).itemsize
        if entry["data_offsets"] != [end, end + bytes_of_it]:
            raise ValueError(f"{name} is at bytes {entry['data_offsets']}, expected {[end, end + bytes_of_it]}")
        end += bytes_of_it
    if end != size:
        raise ValueError(f"its header tells of {end} bytes of arrays, the file has {size}")


def _array(file: BinaryIO, start: int, entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    """One array, of memory of its own."""
    first, last = entry["data_offsets"]
    file.seek(start + first)
    x = np.fromfile(file, np.uint8, last - first).view(_DTYPES[entry["dtype"]])
    x = x.astype(x.dtype.newbyteorder("="), copy=False).reshape(entry["shape"])
    return _from_bits(x) if entry["dtype"] == "BF16" else x


def _from_bits(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """bfloat16 where ml_dtypes is installed, elsewhere the same numbers in float32."""
    kind = bfloat16()
    return x.view(kind) if kind is not None else (x.astype(np.uint32) << 16).view(np.float32)


def _name(x: np.ndarray[Any, Any]) -> str | None:
    return "BF16" if is_bfloat16(x) else _NAMES.get(x.dtype.newbyteorder("<").str)
