"""Kinds of options that several commands share; a wrong value is wrong usage, exit code 2."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from xpnn.backend import parse, resolve


def device(text: str) -> str:
    """`--device`: "auto", or the one spelling of a device that is there ("cpu", "gpu:N")."""
    try:
        return resolve(text) if parse(text) != "auto" else text
    except (ValueError, RuntimeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def writable_folder(text: str) -> Path:
    """`--out`: a folder, made if it is not there, into which a file can be written."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write into the folder {text!r}: {error.strerror or error}") from None
