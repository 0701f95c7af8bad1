"""Four networks on real data: what `xpnn demo` runs."""

from __future__ import annotations

from .demo import Demo

__all__ = ["demos"]


def demos() -> dict[str, Demo]:
    """All demonstrations by name; a function, so that importing xpnn.demos stays free."""
    from . import cnn, dnn, gru, lstm

    return {demo.name: demo for demo in (dnn.DEMO, cnn.DEMO, lstm.DEMO, gru.DEMO)}
