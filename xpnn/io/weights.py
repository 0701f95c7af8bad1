"""Weights in safetensors files (the default) or npz files."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import to_numpy
from ..errors import require
from ..nn.module import Module
from .atomic import atomic_write

__all__ = ["load", "save"]


def save(model: Module | Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the parameters and buffers of a model (or a dict of arrays) to PATH.safetensors or PATH.npz, atomically.

    The file holds host arrays: what was saved on a GPU loads on a CPU. Raises ValueError for another suffix.
    """
    state = model.state_dict() if isinstance(model, Module) else model
    arrays = {name: np.ascontiguousarray(to_numpy(x)) for name, x in state.items()}
    if _suffix(path) == ".safetensors":
        atomic_write(path, require("safetensors.numpy", "examples").save(arrays))
        return
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    atomic_write(path, buffer.getvalue())


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a safetensors or npz file by name, as NumPy arrays: ``model.load_state_dict(xpnn.load(path))``.

    Nothing in the file is executed (no pickle). Raises ValueError for a file that is not what its suffix says.
    """
    suffix = _suffix(path)
    try:
        if suffix == ".safetensors":
            return dict(require("safetensors.numpy", "examples").load(Path(path).read_bytes()))
        # from memory: np.load leaves a broken file open
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
            raise
        raise _unreadable(path, error) from error
    except (ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # safetensors has an exception type of its own
        if type(error).__module__.startswith("safetensors"):
            raise _unreadable(path, error) from error
        raise


def _suffix(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix
    if suffix not in (".safetensors", ".npz"):
        raise ValueError(f"path: expected a .safetensors or .npz file, got {os.fspath(path)!r}")
    return suffix


def _unreadable(path: Any, error: Exception) -> ValueError:
    return ValueError(f"path: {os.fspath(path)!r} is no readable {Path(path).suffix} file: {error}")
