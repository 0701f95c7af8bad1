"""Trees of arrays and plain values (states of optimisers, records) as named arrays and JSON, and back: nothing is pickled."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from ..namespace.libraries import is_array
from .host import host

__all__ = ["pack", "unpack"]

Arrays = dict[str, np.ndarray[Any, Any]]
# What JSON has no word for is a dict of one of these keys.
_ARRAY, _TUPLE, _DICT, _FLOAT = "$array", "$tuple", "$dict", "$float"


def pack(tree: Any, path: str) -> tuple[str, Arrays]:
    """The tree as JSON, and its arrays, on the host, under names that begin with ``path``.

    A tree is made of dicts, lists, tuples, numbers, strings, None and arrays. Raises TypeError, with the place, for others.
    """
    arrays: Arrays = {}
    return json.dumps(_packed(tree, path, arrays), allow_nan=False, separators=(",", ":")), arrays


def unpack(text: str, arrays: Arrays) -> Any:
    """The tree that was packed, its numbers and arrays equal bit for bit, with NumPy arrays."""
    return _unpacked(json.loads(text), arrays)


def _packed(x: Any, path: str, arrays: Arrays) -> Any:
    if isinstance(x, np.bool | np.integer | np.floating):
        x = x.item()
    if x is None or isinstance(x, bool | int | str):
        return x
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else {_FLOAT: repr(float(x))}
    if isinstance(x, list | tuple):
        items = [_packed(item, f"{path}/{i}", arrays) for i, item in enumerate(x)]
        return items if isinstance(x, list) else {_TUPLE: items}
    if isinstance(x, dict):
        pairs = [(_packed(key, path, arrays), _packed(item, f"{path}/{key}", arrays)) for key, item in x.items()]
        plain = all(isinstance(key, str) and not key.startswith("$") for key in x)
        return dict(pairs) if plain else {_DICT: [list(pair) for pair in pairs]}
    if not is_array(x):
        raise TypeError(
            f"{path}: expected numbers, strings, arrays, or lists and dicts of them, got {type(x).__name__}"
        )
    while path in arrays:
        path += "'"
    arrays[path] = host(x)
    return {_ARRAY: path}


def _unpacked(x: Any, arrays: Arrays) -> Any:
    if isinstance(x, list):
        return [_unpacked(item, arrays) for item in x]
    if not isinstance(x, dict):
        return x
    if _ARRAY in x:
        return arrays[x[_ARRAY]]
    if _TUPLE in x:
        return tuple(_unpacked(item, arrays) for item in x[_TUPLE])
    if _DICT in x:
        return {_unpacked(key, arrays): _unpacked(item, arrays) for key, item in x[_DICT]}
    return float(x[_FLOAT]) if _FLOAT in x else {key: _unpacked(item, arrays) for key, item in x.items()}
