"""`xpnn info`: the facts a bug report needs."""

from __future__ import annotations

import json
import platform
import sys

import numpy as np
import pytest

import xpnn
from tests import fake_gpu
from xpnn.cli.main import main

fresh = pytest.fixture(autouse=True)(fake_gpu.fresh_process)


def test_json_is_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fake_gpu.install(monkeypatch, 2)
    monkeypatch.setenv("XPNN_BACKEND", "gpu:1")
    assert main(["info", "--json"]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert err == ""
    assert facts["backend"] == "gpu:1"
    assert facts["backends"] == ["cpu", "gpu:0", "gpu:1"]
    assert facts["environment"]["XPNN_BACKEND"] == "gpu:1"
    versions = [facts[name] for name in ("xpnn", "numpy", "python", "cupy")]
    assert versions == [xpnn.__version__, np.__version__, platform.python_version(), "14.0.0"]


def test_lines_are_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["info"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["backend"] == lines["backends"] == "cpu"
    assert lines["gpu"].startswith("CuPy is not installed (pip install")
    assert lines["numpy"] == np.__version__


@pytest.mark.parametrize("value", ["nonsense", "gpu"])
def test_a_broken_setting_is_reported_not_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setenv("XPNN_BACKEND", value)
    assert main(["info"]) == 0
    assert f"none: XPNN_BACKEND={value}: backend" in capsys.readouterr().out
