"""The documentation does what it says: its Python blocks run, and its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "kernels").rglob("*.md")])
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
page = pytest.mark.parametrize("page", [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in PAGES])


def program(text: str) -> str:
    """The Python blocks of a page as one program, each on its own lines, so that a traceback points into the page."""
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start()) + 1
        code = textwrap.dedent(block[2]).splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines)


def anchors(text: str) -> Iterator[str]:
    """The names by which the headings of a page can be linked to."""
    for heading in re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@page
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    """In a process of their own, in an empty folder, with warnings as errors."""
    code = program(page.read_text(encoding="utf-8"))
    if not code.strip():
        return
    script = tmp_path / f"{page.stem}_md.py"  # a script named random.py would stand in for the standard library's
    script.write_text(code, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XPNN_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    dead = []
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    assert dead == []


def test_the_index_leads_to_every_page() -> None:
    """By a link to the page, or to its folder."""
    docs = ROOT / "docs"
    links = {(docs / link).resolve() for link in LINK.findall((docs / "index.md").read_text(encoding="utf-8"))}
    pages = set(docs.rglob("*.md")) - {docs / "index.md"}
    assert {str(page) for page in pages if not links & {page, page.parent}} == set()


def test_the_reader_of_blocks_reads_them() -> None:
    text = "# A b: c\n```python\nx = 1\n```\n1. one\n   ```python\n   y = x\n   ```\n```text\nno\n```\n"
    assert [line for line in program(text).splitlines() if line] == ["x = 1", "y = x"]
    assert program(text).splitlines()[2] == "x = 1"
    assert list(anchors(text)) == ["a-b-c"]
