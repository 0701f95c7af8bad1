"""`xpnn info`: what runs here, and why there is no GPU if there is none."""

from __future__ import annotations

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add `info [--json]`."""
    parser = subparsers.add_parser("info", help="versions, devices, settings, and why there is no GPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the configuration, as lines or as JSON."""
    from xpnn.config import config, show_config

    if args.json:
        import json

        print(json.dumps(config(), indent=2))
    else:
        show_config()
