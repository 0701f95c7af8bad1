"""The command line: exit codes, one-line errors, what goes to stdout and what to stderr."""

from __future__ import annotations

import argparse
import logging
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import xpnn
from xpnn.cli import main as cli
from xpnn.cli import options


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    """Run a command `try` that does what it is given."""
    monkeypatch.delenv("XPNN_LOG", raising=False)

    def run_it(act: Callable[[], Any]) -> int:
        module: Any = ModuleType("xpnn.cli.try")
        module.add_parser = lambda sub: sub.add_parser("try").set_defaults(run=lambda args: act())
        monkeypatch.setattr(pkgutil, "iter_modules", lambda *_: [module_info])
        monkeypatch.setitem(sys.modules, "xpnn.cli.try", module)
        return cli.main(["try"])

    module_info = argparse.Namespace(name="xpnn.cli.try")
    return run_it


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_gives_the_exit_code(command: Callable[..., int], result: int | None, code: int) -> None:
    assert command(lambda: result) == code


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (xpnn.BackendError("no driver"), 2, "xpnn: no driver"),
        (xpnn.MissingExtraError("pip install it"), 2, "xpnn: pip install it"),
        (argparse.ArgumentTypeError("cannot write"), 2, "xpnn: cannot write"),
        (ValueError("x must be\n  positive"), 1, "xpnn: x must be positive"),
        (OSError(28, "No space left on device"), 1, "xpnn: [Errno 28] No space left on device"),
        (KeyError("w"), 1, "xpnn: KeyError: 'w'"),
        (KeyboardInterrupt(), 130, "xpnn: interrupted"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert command(fail(error)) == code
    assert capsys.readouterr() == ("", line + "\n")


def test_the_traceback_is_there_for_who_asks(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("xpnn"), "isEnabledFor", lambda level: level == logging.DEBUG)
    assert command(fail(ValueError("bad"))) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["info", "--no-such-option"], ["info", "surplus"]])
def test_wrong_usage_is_one_line_and_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("xpnn: ")
    assert "--help)" in err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, text in ((["--version"], f"xpnn {xpnn.__version__}\n"), (["--help"], "info ")):
        with pytest.raises(SystemExit) as stop:
            cli.main(argv)
        assert stop.value.code == 0
        assert text in capsys.readouterr().out


def test_python_m_xpnn_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "xpnn", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"xpnn {xpnn.__version__}\n"


def test_the_device_option() -> None:
    assert [options.device(name) for name in ("auto", "cpu", "numpy")] == ["auto", "cpu", "cpu"]
    with pytest.raises(argparse.ArgumentTypeError, match="one of"):
        options.device("tpu")
    with pytest.raises(argparse.ArgumentTypeError, match="cannot be had"):
        options.device("gpu:99")


def test_the_folder_option(tmp_path: Path) -> None:
    folder = options.writable_folder(str(tmp_path / "a" / "b"))
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(argparse.ArgumentTypeError, match=r"cannot write into the folder '.*file': (File exists|Not a)"):
        options.writable_folder(str(tmp_path / "file"))
    with pytest.raises(argparse.ArgumentTypeError, match="cannot write"):
        options.writable_folder(str(tmp_path / "file" / "below"))
