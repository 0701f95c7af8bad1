"""Four networks on real data: what `xpnn demo` runs."""

from __future__ import annotations

from .demo import Demo

__all__ = ["demos"]


def demos() -> dict[str, Demo]:
    """All demonstrations by name; a function, so that importing xpnn.demos stays free."""
    from .cnn import DEMO as CNN
    from .dnn import DEMO as DNN
    from .gru import DEMO as GRU
    from .lstm import DEMO as LSTM

    return {demo.name: demo for demo in (DNN, CNN, LSTM, GRU)}
