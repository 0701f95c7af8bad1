"""The precision of float32 products as a setting: who sees it, where it comes from, what it refuses."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor

import pytest

import xpnn


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    setting = importlib.import_module("xpnn.precision")
    monkeypatch.setattr(setting, "_process", setting._Process())
    monkeypatch.delenv("XPNN_PRECISION", raising=False)


def test_float32_is_exact_at_the_start() -> None:
    assert xpnn.get_precision() == "highest"


def test_a_block_overrides_the_process_and_blocks_nest() -> None:
    xpnn.set_precision("high")
    with xpnn.precision("medium") as inside:
        assert inside == xpnn.get_precision() == "medium"
        with pytest.raises(ZeroDivisionError), xpnn.precision("highest"):
            assert xpnn.get_precision() == "highest"
            raise ZeroDivisionError
        xpnn.set_precision("highest")
        assert xpnn.get_precision() == "medium"
    assert xpnn.get_precision() == "highest"


def test_other_threads_and_tasks_do_not_see_a_block() -> None:
    async def task(name: str) -> str:
        with xpnn.precision(name):
            await asyncio.sleep(0)
            return xpnn.get_precision()

    async def both() -> list[str]:
        return await asyncio.gather(task("high"), task("medium"))

    assert asyncio.run(both()) == ["high", "medium"]
    with xpnn.precision("medium"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(xpnn.get_precision).result() == "highest"


@pytest.mark.parametrize("name", ["tf32", "", "HIGH", None, ["high"]])
def test_another_name_is_refused_in_one_line(name: str) -> None:
    for use in (xpnn.set_precision, lambda n: xpnn.precision(n).__enter__()):
        with pytest.raises(ValueError, match=r"^precision must be one of highest, high, medium, got [^\n]*$"):
            use(name)
    assert xpnn.get_precision() == "highest"


def test_the_environment_is_read_at_first_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XPNN_PRECISION", "best")
    for _ in range(2):
        with pytest.raises(ValueError, match="^XPNN_PRECISION=best: precision must be one of"):
            xpnn.get_precision()
    with xpnn.precision("high"):
        assert xpnn.get_precision() == "high"
    monkeypatch.setenv("XPNN_PRECISION", "medium")
    assert xpnn.get_precision() == "medium"
    monkeypatch.setenv("XPNN_PRECISION", "high")
    assert xpnn.get_precision() == "medium"


def test_show_config_shows_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XPNN_PRECISION", "best")
    xpnn.show_config()
    assert "none: XPNN_PRECISION=best: precision must be one of" in capsys.readouterr().out
    with xpnn.precision("high"):
        xpnn.show_config()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["precision"] == "high" and "XPNN_PRECISION=best" in lines["environment"]
