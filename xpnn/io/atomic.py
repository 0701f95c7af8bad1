"""Files that are either the old ones or the new ones, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["atomic_write"]


def atomic_write(path: str | os.PathLike[str], content: bytes | Iterable[Any]) -> None:
    """Writes a file through a temporary one in the same folder: an interruption leaves what was there before.

    content: bytes, or several pieces of them (anything with a buffer), which need not all be in memory at once. When it
    returns, the file and its name are on the disk, as far as the system tells the truth. Raises OSError, with the path in
    it, if the folder is missing or cannot be written to.
    """
    import tempfile  # not at the import of xpnn: it brings a dozen modules of compression along

    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            pieces: Iterable[Any] = [content] if isinstance(content, bytes) else content
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Brings the new name to the disk. Where folders cannot be opened (Windows, some network drives) the system does it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
