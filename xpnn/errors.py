"""The errors that are xpnn's own, and the one way to import a package that only an extra brings."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any


class BackendError(RuntimeError):
    """A device was asked for by name and cannot be had; the message says why."""


class DeviceMismatchError(TypeError):
    """An input lives on another device than the model; the message names the argument, both sides and the fix."""

    @classmethod
    def between(cls, argument: str, found: str, expected: str) -> DeviceMismatchError:
        """The error for `argument`, which was `found` on one device ("gpu:0") and is `expected` on another ("cpu")."""
        return cls(
            f"{argument} is on {found}, the model is on {expected}: "
            f'pass xpnn.asarray({argument}, device="{expected}"), or move the model with model.to("{found}")'
        )


class MissingExtraError(ImportError):
    """A package is missing that an extra of xpnn brings; the message is the line that installs it."""


def require(module: str, extra: str) -> Any:
    """Import `module`, or raise `MissingExtraError` with the pip line of the `extra` that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(error.name or module, extra) from error


def package_folder(package: str, extra: str) -> Path:
    """The folder of an installed package, found without importing it; `MissingExtraError` if it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, extra)
    return Path(spec.submodule_search_locations[0])


def _missing(module: str, extra: str) -> MissingExtraError:
    message = f'{module.partition(".")[0]} is not installed: pip install "xpnn[{extra}]"'
    return MissingExtraError(message, name=module)
