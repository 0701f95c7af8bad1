"""XPNN_CONV, for tests and measurements: which kernels of the convolutions in 16 bits are asked for."""

from __future__ import annotations

import os

__all__ = ["asked"]

# Whichever the model of the costs finds; never with halos; with halos, or by products of whole warpgroups, wherever they fit.
_WAYS = ("auto", "gather", "halo", "wgmma")


def asked() -> str:
    """Read at each call. It cannot make a kernel take what it does not take."""
    way = os.environ.get("XPNN_CONV") or "auto"
    if way not in _WAYS:
        raise ValueError(f"XPNN_CONV: expected one of {', '.join(_WAYS)}, got {way!r}")
    return way
