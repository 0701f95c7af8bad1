"""Checkpoints: all that a training needs to go on bit for bit, in one file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from .. import random
from ..nn.module import Module
from .files import read, write
from .plain import pack, unpack
from .weights import CHECKPOINT, OTHERS, load_into, named_arrays, weights_in

__all__ = ["load_checkpoint", "save_checkpoint"]

_PARTS = (
    "xpnn.parts"  # the metadata's key of the parts, as JSON; under CHECKPOINT are the version and xpnn.random's state
)
_VERSION = 1


def save_checkpoint(path: str | os.PathLike[str], *, model: Module, **parts: Any) -> None:
    """Writes a model, the state of xpnn.random and any parts of a training to one safetensors or npz file, atomically.

    parts: by names of your choice, objects with a state_dict (optimizer=, schedule=, ema=, …), lists of such, and plain
    values (epoch=3, history=history): numbers, strings, arrays, dicts, lists and tuples; None is left out. The weights are
    under their own names, so that ``xpnn.load`` reads them from the same file. Nothing is pickled.
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: expected an xpnn.nn.Module, got {type(model).__name__}")
    weights = named_arrays(model)
    if strange := [name for name in weights if name.startswith(OTHERS)]:
        raise ValueError(f"model: {', '.join(strange)} cannot be the name of a weight in a checkpoint")
    text, arrays = pack({name: _state_of(part) for name, part in parts.items() if part is not None}, OTHERS)
    head = json.dumps({"version": _VERSION, "random": random.get_state()})
    write(path, {**weights, **arrays}, {CHECKPOINT: head, _PARTS: text})


def load_checkpoint(path: str | os.PathLike[str], *, model: Module | None = None, **parts: Any) -> dict[str, Any]:
    """Puts a training back to where save_checkpoint found it, and returns the parts that were not given, by name.

    model and parts: those that were saved, made anew in the same way; each takes over its state, in place. What is not
    given is returned as it was saved: plain values, and states as dicts. xpnn.random goes on where it stood. Raises
    ValueError for a file that is no checkpoint or does not fit; then everything is left as it was.
    """
    wanted = {name: part for name, part in parts.items() if part is not None}
    for name, part in wanted.items():
        if not (isinstance(part, list | tuple) or hasattr(part, "load_state_dict")):
            raise TypeError(f"{name}: expected an object with load_state_dict, got {type(part).__name__}")
    arrays, metadata = read(path)
    head, states = _read_words(path, arrays, metadata)
    if missing := [name for name in wanted if name not in states]:
        raise ValueError(
            f"path: {os.fspath(path)!r} has no {', '.join(missing)}; it has {', '.join(states) or 'weights'}"
        )
    place = random.get_state()
    random.set_state(head["random"])
    try:
        _load_all(path, wanted, states, model, weights_in(arrays, metadata))
    except BaseException:
        random.set_state(place)
        raise
    return {name: state for name, state in states.items() if name not in wanted}


def _read_words(path: Any, arrays: Any, metadata: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The head and the states by name. Raises ValueError for what save_checkpoint did not write."""
    if CHECKPOINT not in metadata:
        raise ValueError(f"path: {os.fspath(path)!r} holds weights only, expected a file of save_checkpoint")
    try:
        head = json.loads(metadata[CHECKPOINT])
        version = head["version"]
        states = unpack(metadata[_PARTS], arrays) if version == _VERSION else {}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path: {os.fspath(path)!r} is a damaged checkpoint: {error!r}") from error
    if version != _VERSION:
        raise ValueError(f"path: {os.fspath(path)!r} is a checkpoint of version {version}, expected {_VERSION}")
    return head, states


def _load_all(
    path: str | os.PathLike[str], parts: Mapping[str, Any], states: Mapping[str, Any], model: Any, weights: Any
) -> None:
    """Loads the parts, and the model last, which is all or nothing by itself; on an error the parts get back what they had."""
    before = [(part, _state_of(part)) for part in parts.values()]
    optimizers = [one for part in parts.values() for one in getattr(getattr(part, "optimizer", None), "parts", ())]
    rates = [(one, one.lr) for one in optimizers]  # which their schedules set, also when they get their states back
    try:
        for name, part in parts.items():
            _load(name, part, states[name])
        if model is not None:
            load_into(model, weights, path)
    except BaseException:
        for part, state in before:
            _load("", part, state)
        for one, lr in rates:
            one.lr = lr
        raise


def _state_of(part: Any) -> Any:
    """The state of an object, or of those in a list; a plain value is its own."""
    if hasattr(part, "state_dict"):
        return part.state_dict()
    if isinstance(part, list | tuple) and any(hasattr(item, "state_dict") for item in part):
        return [item.state_dict() if hasattr(item, "state_dict") else None for item in part]
    return part


def _load(name: str, part: Any, state: Any) -> None:
    if isinstance(part, list | tuple):
        if not isinstance(state, list) or len(state) != len(part):
            found = len(state) if isinstance(state, list) else type(state).__name__
            raise ValueError(f"{name}: expected the states of {len(part)} objects, got {found}")
        for item, own in zip(part, state, strict=True):
            if hasattr(item, "load_state_dict"):
                _load(name, item, own)
        return
    try:
        part.load_state_dict(state)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = error if isinstance(error, ValueError) else repr(error)
        raise ValueError(f"{name}: the state in the file is not that of {type(part).__name__} ({why})") from None
