"""Weights in safetensors files (the default) or npz files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar, overload

import numpy as np

from ..nn.module import Module
from .files import read, write
from .host import host

__all__ = ["CHECKPOINT", "OTHERS", "load", "load_into", "named_arrays", "save", "weights_in"]

CHECKPOINT = "xpnn.checkpoint"  # a key of the metadata of a file that holds more than weights
OTHERS = "@"  # before the names of its arrays that are no weights: no attribute's name begins like that

Model = TypeVar("Model", bound=Module)
Arrays = dict[str, np.ndarray[Any, Any]]


def save(model: Module | Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the parameters and buffers of a model (or a dict of arrays) to PATH.safetensors or PATH.npz, atomically.

    The file holds host arrays: what was saved on a GPU loads on a CPU. The official packages of both formats read it.
    Raises ValueError for another suffix, and for dtypes that the format does not know; then nothing was written.
    """
    write(path, named_arrays(model), {})


@overload
def load(path: str | os.PathLike[str], model: None = None) -> Arrays: ...
@overload
def load(path: str | os.PathLike[str], model: Model) -> Model: ...
def load(path: str | os.PathLike[str], model: Any = None) -> Any:
    """The arrays of a safetensors or npz file by name, as NumPy arrays; with a model: loads them into it, and returns it.

    Of a checkpoint these are the weights, without the rest of the training.
    Nothing in the file is executed (no pickle). Raises ValueError for a file that is not what its suffix says, or whose
    arrays are not those of the model, which is left as it was then. bfloat16 comes as that of the package ml_dtypes,
    where this is missing as float32.
    """
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"model: expected an xpnn.nn.Module, got {type(model).__name__}")
    arrays = weights_in(*read(path))
    return arrays if model is None else load_into(model, arrays, path)


def load_into(model: Model, arrays: Mapping[str, Any], path: str | os.PathLike[str]) -> Model:
    """Loads arrays into a model; ValueError, with the file's name, if they are not the model's."""
    try:
        model.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"path: the arrays of {os.fspath(path)!r} are not those of the model: {error}") from None
    return model


def weights_in(arrays: Arrays, metadata: Mapping[str, str]) -> Arrays:
    """The weights among the arrays of a file: all of them, unless it is a checkpoint."""
    if CHECKPOINT not in metadata:
        return arrays
    return {name: x for name, x in arrays.items() if not name.startswith(OTHERS)}


def named_arrays(model: Any) -> Arrays:
    """The arrays of a model or of a dict, on the host."""
    if not isinstance(model, Module | Mapping):
        raise TypeError(f"model: expected an xpnn.nn.Module or a dict of arrays by name, got {type(model).__name__}")
    state = model.state_dict() if isinstance(model, Module) else model
    if strange := [name for name in state if not isinstance(name, str) or name == "__metadata__"]:
        raise ValueError(f"model: {', '.join(map(repr, strange))} cannot be the name of an array in a file")
    return {name: host(x) for name, x in state.items()}
