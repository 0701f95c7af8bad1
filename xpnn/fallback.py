"""What ran on a GPU without a kernel: counted by primitive and reason, and told or refused as XPNN_FALLBACK says.

allow (the default) only counts; warn also warns, once for each primitive and reason; error raises.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections import Counter

__all__ = ["FallbackError", "FallbackWarning", "fallback_report", "forget_fallbacks", "note_fallback"]

_MODES = ("allow", "warn", "error")
_counts: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()


class FallbackWarning(UserWarning):
    """A primitive ran its reference on CuPy arrays; only with XPNN_FALLBACK=warn."""


class FallbackError(RuntimeError):
    """A primitive would have run its reference on CuPy arrays; only with XPNN_FALLBACK=error."""


def note_fallback(primitive: str, reason: str) -> None:
    """Counts one call of a primitive on CuPy arrays that no kernel took. The environment is read at each call."""
    mode = os.environ.get("XPNN_FALLBACK") or "allow"
    if mode not in _MODES:
        raise ValueError(f"XPNN_FALLBACK: expected one of {', '.join(_MODES)}, got {mode!r}")
    message = f"{primitive}: no CUDA kernel takes this call ({reason}); it runs through plain array functions"
    if mode == "error":
        raise FallbackError(f"{message}, which XPNN_FALLBACK=error forbids")
    with _lock:
        _counts[primitive, reason] += 1
        first = _counts[primitive, reason] == 1
    if first and mode == "warn":
        warnings.warn(message, FallbackWarning, stacklevel=3)


def fallback_report() -> dict[str, dict[str, int]]:
    """How often each primitive ran without a kernel on CuPy arrays in this process, by reason; the most frequent first."""
    with _lock:
        ranked = _counts.most_common()
    report: dict[str, dict[str, int]] = {}
    for (primitive, reason), count in ranked:
        report.setdefault(primitive, {})[reason] = count
    return report


def forget_fallbacks() -> None:
    """Starts the count, and the once of the warnings, again."""
    with _lock:
        _counts.clear()
