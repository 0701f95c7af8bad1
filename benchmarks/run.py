"""Runs benchmark cases against torch: the results are compared first, then both are timed in turns.

Each case is timed forward (inference) and forward and backward with the gradients of all floating-point arguments. What
counts is the ratio torch's time / ours, taken pair by pair: above 1 xpnn is faster. On a GPU it is the GPU's time, with a cold
cache; beside it stand the time of the Python call, and for our own kernels the bytes a second that they move.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import xpnn

from . import devices
from .case import Case
from .machine import describe

__all__ = ["Result", "main", "measure"]

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Result:
    """The times of a case in one mode, in milliseconds; ratio = torch / xpnn; None without torch.

    call_ms: what the Python call takes, which on a GPU is not the work itself. gbps, share: what our kernels move a second,
    and that as a share of what a copy moves; on a GPU only.
    """

    case: str
    mode: str
    xpnn_ms: float
    torch_ms: float | None
    ratio: float | None
    ratio_quartiles: tuple[float, float] | None
    gflops: float | None
    call_ms: float | None = None
    gbps: float | None = None
    share: float | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="ops, as the files in benchmarks/cases; all without")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where to run (default: cpu)")
    parser.add_argument("--quick", action="store_true", help="few repetitions: does it run, not how fast")
    parser.add_argument("--list", action="store_true", help="print the cases and stop")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    options = parser.parse_args(arguments)
    known = sorted(path.stem for path in CASES.glob("*.py"))
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    cases = [
        case for name in options.names or known for case in importlib.import_module(f"benchmarks.cases.{name}").CASES
    ]
    if options.list:
        print("\n".join(case.name for case in cases))
        return 0
    try:
        device = devices.device(options.device)
    except xpnn.BackendError as error:
        parser.error(str(error))
    torch, bandwidth = _torch(), device.bandwidth()
    print(
        f"{'case':44s} {'mode':8s} {'xpnn ms':>9s} {'torch ms':>9s} {'torch/xpnn':>10s} {'quartiles':>12s} {'GFLOP/s':>8s}"
    )
    results = [result for case in cases for result in _measured(case, torch, options.quick, device, bandwidth)]
    ratios = [result.ratio for result in results if result.ratio is not None]
    if ratios:
        print(f"geometric mean {statistics.geometric_mean(ratios):.2f}, worst {min(ratios):.2f}, {_level(ratios)}")
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        found = {
            "machine": describe(),
            "device": options.device,
            "copy_gbps": bandwidth and bandwidth / 1e9,
            "quick": options.quick,
            "results": [asdict(result) for result in results],
        }
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(
    case: Case, torch: Any, quick: bool = False, device: devices.Device | None = None, bandwidth: float | None = None
) -> list[Result]:
    """The results of a case in both modes. AssertionError if xpnn and torch do not agree."""
    device = device or devices.Cpu()
    arrays = list(case.make(np.random.default_rng(0)))
    places = [i for i, a in enumerate(arrays) if a is not None and a.dtype.kind == "f"]
    ours = _ours(case, arrays, places, device)
    theirs = _theirs(case, arrays, places, torch, device)
    if theirs is not None:
        _compare(case, ours[1](), theirs[1]())
    results = []
    for mode, factor, own, peer in zip(("forward", "both"), (1, 3), ours, theirs or (None, None), strict=True):
        moved = device.bytes_moved(own)
        times = device.interleaved([f for f in (own, peer) if f is not None], 0.2 if quick else 2.0, 3 if quick else 9)
        results.append(_result(case, mode, factor, times, moved, bandwidth))
    return results


def _measured(case: Case, torch: Any, quick: bool, device: devices.Device, bandwidth: float | None) -> list[Result]:
    """measure, printed line by line."""
    results = measure(case, torch, quick, device, bandwidth)
    for r in results:
        peer = (
            ""
            if r.torch_ms is None
            else f"{r.torch_ms:9.3f} {r.ratio:10.2f} {r.ratio_quartiles[0]:5.2f}-{r.ratio_quartiles[1]:.2f}"
        )  # type: ignore[index]
        print(
            f"{r.case:44s} {r.mode:8s} {r.xpnn_ms:9.3f} {peer:33s} {'' if r.gflops is None else f'{r.gflops:8.1f}'}"
            f"{'' if r.gbps is None else f' {r.gbps:8.1f} GB/s, {r.share:.0%} of a copy'}",
            flush=True,
        )
    return results


def _ours(
    case: Case, arrays: list[Any], places: list[int], device: devices.Device
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    g = device.asarray(_cotangent(xpnn.to_numpy(case.run(*arrays))))
    arrays = [None if a is None else device.asarray(a) for a in arrays]

    def call(*xs: Any) -> Any:
        own = list(arrays)
        for i, x in zip(places, xs, strict=True):
            own[i] = x
        return case.run(*own)

    def both() -> Any:
        y, pullback = xpnn.vjp(call, *(arrays[i] for i in places))
        return y, pullback(g)

    return lambda: case.run(*arrays), both


def _theirs(
    case: Case, arrays: list[Any], places: list[int], torch: Any, device: devices.Device
) -> tuple[Callable[[], Any], Callable[[], Any]] | None:
    if torch is None or case.torch is None:
        return None
    function = case.torch
    tensors = [None if a is None else device.tensor(torch, a) for a in arrays]
    wanted = [tensors[i].requires_grad_() for i in places]
    g = device.tensor(torch, _cotangent(function(*tensors).detach().cpu().numpy()))

    def forward() -> Any:
        with torch.no_grad():
            return function(*tensors)

    def both() -> Any:
        y = function(*tensors)
        return y, torch.autograd.grad(y, wanted, g)

    return forward, both


def _cotangent(y: Any) -> Any:
    """What the backward pass starts from; of a scalar 1."""
    return np.ones_like(y) if not y.shape else np.random.default_rng(1).standard_normal(y.shape, np.float32)


def _compare(case: Case, ours: Any, theirs: Any) -> None:
    pairs = zip((ours[0], *ours[1]), (theirs[0], *theirs[1]), strict=True)
    for i, (own, peer) in enumerate(pairs):
        own, expected = xpnn.to_numpy(own), peer.detach().cpu().numpy()
        error = float(np.max(np.abs(own - expected), initial=0)) / max(
            float(np.max(np.abs(expected), initial=0)), 1e-30
        )
        assert error <= case.tolerance, (
            f"{case.name}: {'output' if not i else f'gradient {i - 1}'} is off by {error:.2g}"
        )


def _result(
    case: Case, mode: str, factor: int, times: list[devices.Times], moved: int | None, bandwidth: float | None
) -> Result:
    own, call = (statistics.median(t) for t in (times[0].device, times[0].call))
    result = Result(
        case.name, mode, own * 1e3, None, None, None,
        gflops=case.flops * factor / own / 1e9 if case.flops else None,
        call_ms=call * 1e3,
        gbps=moved / own / 1e9 if moved else None,
        share=moved / own / bandwidth if moved and bandwidth else None,
    )  # fmt: skip
    if len(times) == 1:
        return result
    ratios = [b / a for a, b in zip(times[0].device, times[1].device, strict=True)]
    quartiles = statistics.quantiles(ratios, n=4, method="inclusive")
    peer = statistics.median(times[1].device)
    return replace(
        result, torch_ms=peer * 1e3, ratio=statistics.median(ratios), ratio_quartiles=(quartiles[0], quartiles[2])
    )


def _level(ratios: list[float]) -> str:
    return f"{sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} at 1 or better"


def _torch() -> Any:
    """torch with as many threads as NumPy's BLAS is told to use, or None if it is not there."""
    try:
        import torch
    except ImportError:
        print("torch is not installed: no peer", file=sys.stderr)
        return None
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    return torch
