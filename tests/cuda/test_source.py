"""The loader: where kernels are, and how a file and its headers become one text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xpnn.cuda import source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "a.cu": '#include <cuda_fp16.h>\n#include "one.cuh"\n  #  include "two.cuh"\nint a;\n',
        "one.cuh": '// one\n#pragma once\n#include "two.cuh"\nint one;\n',
        "two.cuh": "#pragma once\nint two;\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_each_header_is_joined_once_in_the_place_of_its_first_include(folder: Path) -> None:
    code = [line for line in source.joined("a.cu", folder).splitlines() if line and not line.startswith("#line")]
    assert code == ["#include <cuda_fp16.h>", "// one", "int two;", "int one;", "int a;"]


def test_every_line_keeps_its_file_and_number(folder: Path) -> None:
    file, number, places = "", 0, {}
    for line in source.joined("a.cu", folder).splitlines():
        if directive := re.fullmatch(r'#line (\d+) "([\w.]+)"', line):
            number, file = int(directive[1]), directive[2]
            continue
        places[line] = (file, number)
        number += 1
    for word in ("int a;", "int one;", "int two;", "#include <cuda_fp16.h>"):
        name, line = places[word]
        assert (folder / name).read_text(encoding="utf-8").splitlines()[line - 1] == word


def test_an_include_without_a_file_is_named_with_its_line(folder: Path) -> None:
    (folder / "two.cuh").write_text('\n#include "three.cuh"\n', encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r'two\.cuh, line 2: #include "three\.cuh", but .* has no such file'):
        source.joined("a.cu", folder)


def test_the_checkout_has_kernels() -> None:
    assert source.kernel_folder() == ROOT / "kernels"


def test_a_wheel_comes_first_and_neither_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "xpnn"
    monkeypatch.setattr(source, "_PACKAGE", package)
    find = source.kernel_folder.__wrapped__
    with pytest.raises(FileNotFoundError, match=r"no CUDA kernels in .*_kernels or .*kernels: reinstall xpnn"):
        find()
    for place in (tmp_path / "kernels", package / "_kernels"):
        place.mkdir(parents=True)
        (place / "a.cu").write_text("", encoding="utf-8")
        assert find() == place


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "kernels").glob("*.cu")))
def test_the_kernels_include_nothing_that_costs_seconds_or_is_missing_from_wheels(file: str) -> None:
    includes = set(re.findall(r"#\s*include\s*(\S+)", source.joined(file)))
    # The emulator's header is behind #ifdef XPNN_EMULATED in ptx.cuh: NVRTC never sees it.
    assert includes - {"<emulator_matrix.hpp>"} <= {"<cuda_fp16.h>", "<cuda_bf16.h>"}
