"""Reports: read as they were written, what moved, where a GPU begins to pay, pictures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xpnn.bench.compare import compare, moves
from xpnn.bench.crossover import Line, crossover, curves, verdict
from xpnn.bench.limits import Limits
from xpnn.bench.measure import PeerResult, Result
from xpnn.bench.report import Report, markdown


def result(case: str, ms: float, ratio: float | None = None, **changes: Any) -> Result:
    peers = {} if ratio is None else {"torch": PeerResult(ms * ratio, ratio, ratio * 0.99, ratio * 1.01)}
    options: dict[str, Any] = {
        "flops": 1e6,
        "bytes": 1e5,
        "gflops": 1e-3 / ms,
        "gbps": 0.1 / ms,
        "share": 0.5,
        **changes,
    }
    return Result("group", case, "forward", ms=ms, low_ms=ms * 0.99, high_ms=ms * 1.01, peers=peers, **options)


def report(*results: Result) -> Report:
    limits = {result.device: Limits(1e10, 1e11) for result in results}
    machine = {"processor": "CPU", "cores": 2, "threads": 1, "packages": {"numpy": "2"}, "commit": "abc"}
    return Report(list(results), limits, {"torch": "2"}, {"jax": "not installed"}, False, machine)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = report(result("a", 1.0, 2.0, size=3), Result("group", "b", "", problem="off"))
    (tmp_path / "x.json").write_text(written.json())
    assert Report.read(tmp_path / "x.json") == written


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "overhead"}', '{"kind": "cases"}', '{"kind": "cases", "results": 1}']
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x.json: expected a file written by"):
        Report.read(tmp_path / "x.json")


def test_markdown_tells_wins_losses_and_what_was_not_timed() -> None:
    text = markdown(
        report(result("a", 1.0, 2.0), result("b", 2.0, 0.5), Result("g", "c", "", problem="c: output is off"))
    )
    assert "torch: geometric mean of its time over ours 1.00, worst 0.50, 1 of 2 at 1 or better." in text
    assert "| a | forward | cpu | 1 | 0.001 | 0.1 | 50% | 2, **2.00** (1.98-2.02) |" in text
    assert "Left out: jax (not installed)." in text and "- not timed: c: output is off" in text
    assert "a copy 10.0 GB/s, a product 100 GFLOP/s" in text


def test_what_moved_is_the_ratio_of_ratios() -> None:
    old = report(result("same", 1.0, 2.0), result("slower", 1.0, 2.0), result("alone", 1.0), result("gone", 1.0))
    # The machine is half as fast: times double, ratios stay. Only "slower" and "alone", which has no peer, moved.
    new = report(result("same", 2.0, 2.02), result("slower", 4.0, 1.0), result("alone", 2.0), result("new", 1.0))
    found = {move.case: move for move in moves(old, new)}
    assert found["same"].change == pytest.approx(1.01) and not found["same"].moved
    assert found["slower"].change == pytest.approx(0.5) and found["slower"].moved
    assert found["alone"].change == pytest.approx(0.5) and found["alone"].by == "time"
    text = compare(old, new)
    assert "| slower | forward | cpu | 0.50 | ±5% | slower | ratio to torch |" in text
    assert text.endswith("2 of 3 moved beyond their noise. 1 gone. 1 new.\n") and "same" not in text


def test_noise_hides_a_change() -> None:
    def noisy(ratio: float) -> Result:
        return replace(result("a", 1.0), peers={"torch": PeerResult(1.0, ratio, ratio * 0.8, ratio * 1.2)})

    (move,) = moves(report(noisy(1.0)), report(noisy(1.3)))
    assert move.noise == pytest.approx(0.4) and not move.moved
    assert moves(report(noisy(1.0)), report(noisy(1.5)))[0].moved
    assert moves(report(noisy(1.0)), report(noisy(0.65)))[0].moved


def sized(device: str, *times: float) -> list[Result]:
    return [result(f"net N={n}", ms, device=device, size=n) for n, ms in zip((1, 10, 100), times, strict=True)]


def test_where_a_gpu_begins_to_pay() -> None:
    found = crossover([*sized("cpu", 1, 2, 40), *sized("gpu:0", 4, 4, 4)])
    line = found["group", "forward", "gpu:0"]
    assert line == Line((1, 10, 100), (0.25, 0.5, 10.0))
    crossing = line.crossing()
    # on a straight line between (log 10, log 0.5) and (log 100, log 10)
    assert crossing == pytest.approx(10 ** (1 + math.log(2) / math.log(20)))
    assert verdict(line, "gpu:0") == "gpu:0 is faster from about 17 rows on, 10.0 times at 100"
    assert verdict(Line((1, 10), (0.5, 0.9)), "gpu:0") == "the CPU is faster up to 10 rows"
    assert verdict(Line((1, 10), (2.0, 3.0)), "gpu:0") == "gpu:0 is faster from 1 rows on, 3.0 times at 10"
    assert Line((1, 10, 100), (2.0, 0.5, 2.0)).crossing() == pytest.approx(10**1.5)


def test_curves_need_several_sizes() -> None:
    results = sized("cpu", 1, 2, 3)
    assert curves(results) == {("group", "forward"): {"xpnn, cpu": [(1, 1), (10, 2), (100, 3)]}}
    assert curves(results[:1]) == {} and crossover(results) == {}


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra examples")
    from xpnn.bench.plots import draw

    found = zip(sized("cpu", 1, 2, 40), (2, 0.5, 1), strict=True)
    cpu = [replace(r, peers={"torch": PeerResult(2.0, x, x, x)}) for r, x in found]
    bad = Result("g", "c", "", problem="off")
    paths = draw(report(*cpu, *sized("gpu:0", 4, 4, 4), bad), tmp_path, "x")
    names = {"x-cpu-torch.png", "x-cpu-roofline.png", "x-gpu0-roofline.png", "x-sizes.png", "x-crossover.png"}
    assert {path.name for path in paths} == names == {path.name for path in tmp_path.iterdir()}
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in paths)
    assert draw(report(result("a", 1.0, flops=0.0)), tmp_path, "y") == []
