"""The rules of the house, read from the sources: who may import whom, what belongs together, how long a file may be."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "xpnn"

# Low to high; a file imports from its own floor or from below.
FLOORS = [
    {"errors", "fallback", "precision", "tree", "tape"},
    {"namespace", "special"},
    {"backend", "config"},
    {"gradients", "primitive", "random"},
    {"cpu", "cuda"},
    {"compiled"},
    {"ops"},
    {"init", "losses", "metrics", "nn"},
    {"optim", "data"},
    {"train", "io"},
    {"sklearn", "demos", "bench", "cli", "testing"},
    {"__init__", "__main__"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}

# Layer code is written in functions of the standard only: arrays bring their library with them.
LAYERS = ("xpnn/nn/", "xpnn/ops/", "xpnn/losses/", "xpnn/namespace/rules/")
ARRAY_LIBRARIES = {"numpy", "cupy", "scipy", "torch", "jax", "array_api_compat", "array_api_strict", "array_api_extra"}
HEAVY = {"cupy", "matplotlib", "sklearn", "tqdm", "scipy", "safetensors", "numba", "pandas", "threadpoolctl", "torch"}


def sources(*folders: str, kinds: tuple[str, ...] = (".py",)) -> list[str]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in kinds)
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def imports(file: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, wherever in the file it does so."""
    parts = Path(file).with_suffix("").parts
    package = parts[:-1]
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def room(name: str) -> str | None:
    """The part of xpnn that a full name or a file's path belongs to, None outside of xpnn."""
    parts = name.split(".")
    if parts[0] != "xpnn":
        return None
    is_part = len(parts) > 1 and ((PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").is_file())
    return parts[1] if is_part else "__init__"


@pytest.mark.parametrize("file", sources("xpnn"))
def test_imports_go_downwards_only(file: str) -> None:
    own = room(file.removesuffix(".py").replace("/", "."))
    assert own in FLOOR_OF, f"{own} stands on no floor: add it to FLOORS"
    upward = [
        f"line {line}: {name}"
        for line, name in imports(file)
        # The version is known before any part of xpnn is.
        if (other := room(name)) and FLOOR_OF[other] > FLOOR_OF[own] and name != "xpnn.__version__"
    ]
    assert upward == []


@pytest.mark.parametrize("file", sources("xpnn"))
def test_cupy_is_imported_in_two_places_only(file: str) -> None:
    if file != "xpnn/backend.py" and not file.startswith("xpnn/cuda/"):
        assert [name for _, name in imports(file) if "cupy" in name.split(".")] == []


@pytest.mark.parametrize("file", sources("xpnn"))
def test_numba_is_imported_by_loops_only(file: str) -> None:
    if not (file.startswith("xpnn/compiled/") and (file.endswith(("_loops.py", "/float32.py")))):
        assert [name for _, name in imports(file) if name.startswith("numba")] == []


@pytest.mark.parametrize("file", [file for file in sources("xpnn") if file.startswith(LAYERS)])
def test_layer_files_import_no_array_library(file: str) -> None:
    assert [name for _, name in imports(file) if name.partition(".")[0] in ARRAY_LIBRARIES] == []


@pytest.mark.parametrize("op", [Path(file).stem for file in sources("xpnn/ops") if not Path(file).stem.startswith("_")])
def test_an_op_is_found_by_one_word_everywhere(op: str) -> None:
    wanted = [f"tests/ops/test_{op}.py", f"benchmarks/cases/{op}.py", f"docs/ops/{op}.md"]
    assert [path for path in wanted if not (ROOT / path).is_file()] == []


def test_no_file_is_over_400_lines() -> None:
    files = sources("xpnn", "kernels", "benchmarks", "tests", kinds=(".py", ".cu", ".cuh"))
    lines = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files}
    assert {file: n for file, n in lines.items() if n > 400} == {}


def child(code: str, **environment: str) -> str:
    """What a fresh Python prints that imports the xpnn of this checkout."""
    env = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def test_import_is_light() -> None:
    code = "import sys, xpnn; print(*{name.partition('.')[0] for name in sys.modules})"
    assert HEAVY & set(child(code).split()) == set()


def test_import_takes_less_than_150_ms_beyond_numpy(tmp_path: Path) -> None:
    """In time of the importing thread, and the least of several runs: what else the machine does can only add to it.

    The first run compiles, even where the environment says that no bytecode is to be kept.
    """
    cached = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    code = "import time, numpy; start = time.thread_time(); import xpnn; print(time.thread_time() - start)"
    assert min(float(child(code, **cached)) for _ in range(5)) < 0.15


def project() -> dict[str, list[str]]:
    """The requirements by extra; those of xpnn itself under "required"."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"required": table["dependencies"], **table["optional-dependencies"]}


def test_two_packages_are_required_and_nothing_is_pinned_from_above() -> None:
    assert [re.match(r"[\w-]+", line)[0] for line in project()["required"]] == ["numpy", "array-api-compat"]
    assert [line for lines in project().values() for line in lines if re.search(r"<|==|~=", line)] == []


def test_the_docs_tell_what_each_dependency_is_for() -> None:
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    names = {re.match(r"[\w-]+", line)[0] for lines in project().values() for line in lines}
    assert {name for name in names if f"`{name}" not in design} == set()


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = re.search(r"^pip install .*pytest.*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert command is not None
    assert command[0] in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
