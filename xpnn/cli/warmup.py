"""`xpnn warmup`: compiles every CUDA kernel once, so that no training run waits for the compiler."""

from __future__ import annotations

import argparse
from typing import Any

from .options import device


def add_parser(subparsers: Any) -> None:
    """Add `warmup [--device gpu|gpu:N]`."""
    parser = subparsers.add_parser("warmup", help="compile all CUDA kernels for a GPU, into CuPy's cache on disk")
    parser.add_argument("--device", type=device, default="gpu", help="the GPU: gpu (the default) or gpu:N")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Compile, with a progress bar on stderr where tqdm is installed, and print how many there are."""
    from xpnn.backend import backend
    from xpnn.cuda.warmup import instantiations, precompile
    from xpnn.train.progress import Progress

    if not args.device.startswith("gpu"):
        raise argparse.ArgumentTypeError(f"--device must be a GPU, got {args.device!r}: the CPU has nothing to compile")
    count = len(instantiations())
    with backend(args.device), Progress(count, "compiling", unit="kernel") as bar:
        for entry in precompile():
            bar.tick(entry)
    print(f"{count} kernels are compiled for {args.device}")
