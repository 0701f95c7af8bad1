"""`xpnn COMMAND ...`: results go to stdout, progress to stderr; exit code 0 is done, 1 failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import xpnn.cli
from xpnn import __version__
from xpnn.backend import logger
from xpnn.errors import BackendError, MissingExtraError

INTERRUPTED = 130  # what a shell expects after Ctrl-C: 128 + SIGINT


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; `--help` is there for the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"xpnn: {' '.join(message.split())} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; a file of xpnn/cli with an `add_parser` is a command."""
    parser = _Parser(prog="xpnn", description="Neural networks in NumPy and CuPy arrays.")
    parser.add_argument("--version", action="version", version=f"xpnn {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in pkgutil.iter_modules(xpnn.cli.__path__, "xpnn.cli."):
        command = importlib.import_module(module.name)
        if hasattr(command, "add_parser"):
            command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; whatever goes wrong is told in one line on stderr."""
    args = build_parser().parse_args(argv)
    try:
        logger()
        return int(args.run(args) or 0)
    except KeyboardInterrupt:
        print("xpnn: interrupted", file=sys.stderr)
        return INTERRUPTED
    except (argparse.ArgumentTypeError, BackendError, MissingExtraError) as error:
        return _fail(error, 2)
    except Exception as error:
        return _fail(error, 1)


def _fail(error: Exception, code: int) -> int:
    """Print the error in one line, without its traceback unless XPNN_LOG=debug asks for it."""
    if logging.getLogger("xpnn").isEnabledFor(logging.DEBUG):
        traceback.print_exception(error)
    text = " ".join(str(error).split())
    # Errors of these kinds are written for people; of the others the kind is half of what there is to know.
    if not isinstance(error, (argparse.ArgumentTypeError, ValueError, TypeError, OSError, RuntimeError, ImportError)):
        text = f"{type(error).__name__}: {text}"
    print(f"xpnn: {text}", file=sys.stderr)
    return code
