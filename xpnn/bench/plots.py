"""Pictures of a report as PNG files: ratios to a peer, the roofline, time over size, and where a GPU begins to pay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..demos.plots import new_figure, write_figure
from .crossover import crossover, curves
from .limits import Limits
from .measure import Result
from .report import Report

__all__ = ["draw"]

_BLUE, _ORANGE, _RED, _GREY = "#1f6fb4", "#e6862a", "#c8322d", "#8a8a8a"


def draw(report: Report, folder: Path, stem: str) -> list[Path]:
    """All pictures that the results are enough for, as DIR/stem-….png; the paths."""
    timed = [result for result in report.results if result.ms is not None]
    paths = []
    for suffix, figure in _figures(report, timed):
        path = folder / f"{stem}-{suffix}.png"
        write_figure(figure, path)
        paths.append(path)
    return paths


def _figures(report: Report, timed: Sequence[Result]) -> Iterator[tuple[str, Any]]:
    for device, limits in report.limits.items():
        own = [result for result in timed if result.device == device]
        for peer in report.peers:
            if against := [result for result in own if peer in result.peers]:
                yield f"{_word(device)}-{peer}", _bars(against, peer, device)
        if points := [result for result in own if result.flops and result.bytes]:
            yield f"{_word(device)}-roofline", _roofline(points, limits, device)
    if sized := curves(timed):
        yield "sizes", _sizes(sized)
    if pairs := crossover(timed):
        yield "crossover", _crossover(pairs)


def _word(device: str) -> str:
    return device.replace(":", "")


def _bars(results: Sequence[Result], peer: str, device: str) -> Any:
    """A bar a case and mode: the peer's time over ours, on a scale where twice and half are equally far from 1."""
    figure, (ax,) = new_figure(1, width=9.0, height=max(2.5, 0.22 * len(results) + 1))
    found = [result.peers[peer] for result in results]
    ratios = np.asarray([p.ratio for p in found])
    y = np.arange(len(ratios))[::-1]
    colours = [_BLUE if ratio >= 1 else _ORANGE for ratio in ratios]
    ax.barh(y, np.log2(ratios), color=colours, height=0.7)
    ax.hlines(y, np.log2([p.low for p in found]), np.log2([p.high for p in found]), color="black", linewidth=1)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set_yticks(y, [f"{r.case}, {r.mode}" for r in results], fontsize=7)
    ax.set(ylim=(-0.8, len(ratios) - 0.2), xlabel=f"time of {peer} / time of xpnn (right of 1: xpnn is faster)")
    powers = np.arange(int(np.floor(np.log2(ratios.min()))), int(np.ceil(np.log2(ratios.max()))) + 1)
    ax.set_xticks(powers, [f"{2.0**p:g}" for p in powers])
    ax.grid(axis="x", color=_GREY, alpha=0.3)
    ax.set_title(f"xpnn and {peer} on {device}; the black lines are the quartiles of the pairs")
    return figure


def _roofline(results: Sequence[Result], limits: Limits, device: str) -> Any:
    """Operations a second over operations a byte, below what a copy and a product of matrices reach."""
    figure, (ax,) = new_figure(1, width=7.0, height=5.0)
    for mode, colour in zip(sorted({r.mode for r in results}), (_BLUE, _ORANGE, _RED, _GREY), strict=False):
        own = [r for r in results if r.mode == mode]
        ax.scatter([r.flops / r.bytes for r in own], [r.gflops for r in own], s=18, color=colour, label=mode, alpha=0.8)
    intensity = np.asarray([r.flops / r.bytes for r in results])
    x = np.geomspace(min(intensity.min(), 0.1), max(intensity.max(), 100), 200)
    ax.plot(x, np.minimum(x * limits.copy, limits.gemm) / 1e9, color="black", linewidth=1)
    ax.set(xscale="log", yscale="log", xlabel="operations per byte of arguments and results", ylabel="GFLOP/s")
    ax.set_title(f"{device}: a copy moves {limits.copy / 1e9:.0f} GB/s, a product does {limits.gemm / 1e9:.0f} GFLOP/s")
    ax.legend(frameon=False)
    ax.grid(color=_GREY, alpha=0.2)
    return figure


def _sizes(found: dict[tuple[str, str], dict[str, list[tuple[int, float]]]]) -> Any:
    """Milliseconds over rows, a picture for each network and mode, a line for each device and peer."""
    figure, axes = new_figure(len(found), columns=min(4, len(found)), width=3.6, height=3.0)
    names = sorted({name for lines in found.values() for name in lines})
    for ax, ((group, mode), lines) in zip(axes, found.items(), strict=True):
        for name, points in lines.items():
            x, y = zip(*points, strict=True)
            ax.plot(x, y, marker="o", markersize=3, color=f"C{names.index(name)}", label=name)
        ax.set(xscale="log", yscale="log", title=f"{group}, {mode}", xlabel="rows", ylabel="ms")
        _mark_rows(ax, sorted({size for points in lines.values() for size, _ in points}))
        ax.grid(color=_GREY, alpha=0.2)
        ax.legend(frameon=False, fontsize=7)
    return figure


def _crossover(found: dict[tuple[str, str, str], Any]) -> Any:
    """Time of the CPU over that of a GPU, over rows: above 1 the GPU is faster."""
    figure, (ax,) = new_figure(1, width=7.0, height=4.5)
    for (group, mode, gpu), line in found.items():
        style = "-" if mode == "forward" else "--"
        ax.plot(line.sizes, line.ratios, style, marker="o", markersize=3, label=f"{group}, {mode}, {gpu}")
    ax.axhline(1, color="black", linewidth=0.8)
    ax.set(xscale="log", yscale="log", xlabel="rows", ylabel="time on the CPU / time on the GPU")
    _mark_rows(ax, sorted({size for line in found.values() for size in line.sizes}))
    ax.set_title("Above 1 the GPU is faster")
    ax.grid(color=_GREY, alpha=0.2)
    ax.legend(frameon=False, fontsize=7, ncols=2)
    return figure


def _mark_rows(ax: Any, sizes: Sequence[int]) -> None:
    """The axis of rows is marked where something was measured."""
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.set_xticks([], minor=True)
