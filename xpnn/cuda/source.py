"""The text of a kernel: where kernels/ is, and a .cu file joined with the project's headers into one source.

CuPy's disk cache hashes the source and not the headers that it includes; joined, a changed header is a changed source.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

__all__ = ["joined", "kernel_folder"]

_PACKAGE = Path(__file__).parents[1]
_OWN_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"')
_PRAGMA_ONCE = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once\b")


@functools.cache
def kernel_folder() -> Path:
    """The folder of the .cu files: xpnn/_kernels of a wheel, or kernels/ of a checkout, where nothing is forced in."""
    places = (_PACKAGE / "_kernels", _PACKAGE.parent / "kernels")
    for place in places:
        if any(place.glob("*.cu")):
            return place
    raise FileNotFoundError(f"no CUDA kernels in {places[0]} or {places[1]}: reinstall xpnn, or run it from a checkout")


@functools.cache
def joined(file: str, folder: Path | None = None) -> str:
    """The text of kernels/FILE with each of the project's headers in the place of its first #include, once.

    #line keeps the compiler's messages at the lines of the files that one edits. <system> headers stay as they are.
    """
    return "".join(_lines(folder or kernel_folder(), file, set()))


def _lines(folder: Path, file: str, seen: set[str]) -> list[str]:
    seen.add(file)
    out = [f'#line 1 "{file}"\n']
    for number, line in enumerate((folder / file).read_text(encoding="utf-8").splitlines(), 1):
        include = _OWN_INCLUDE.match(line)
        if include is None:
            out.append("\n" if _PRAGMA_ONCE.match(line) else f"{line}\n")
            continue
        name = include[1]
        if not (folder / name).is_file():
            raise FileNotFoundError(f'{file}, line {number}: #include "{name}", but {folder} has no such file')
        if name in seen:
            out.append("\n")
        else:
            out += [*_lines(folder, name, seen), f'#line {number + 1} "{file}"\n']
    return out
