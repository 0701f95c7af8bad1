"""What a training run leaves behind: one record per epoch."""

from __future__ import annotations

from typing import Any

from ..errors import require

__all__ = ["History"]


class History(list[dict[str, float]]):
    """Records like {"epoch": 1, "loss": 0.31, "val_loss": 0.28, "val_accuracy": 0.91, "lr": 0.001, "seconds": 1.4}."""

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs; KeyError with the known names if there is none of this name."""
        if self and name not in self[0]:
            raise KeyError(f"no {name!r} in the history; known: {', '.join(self[0])}")
        return [record[name] for record in self]

    def plot(self, ax: Any = None) -> Any:
        """Draws the losses (and metrics, on a second axis) over the epochs with matplotlib; returns the axes."""
        ax = ax or require("matplotlib.pyplot", "examples").subplots()[1]
        names = [name for name in (self[0] if self else ()) if name not in ("epoch", "lr", "seconds")]
        metrics = [name for name in names if not name.endswith("loss")]
        for name in names:
            if name not in metrics:
                ax.plot(self.column("epoch"), self.column(name), label=name)
        if metrics:
            twin = ax.twinx()
            for name in metrics:
                twin.plot(self.column("epoch"), self.column(name), "--", label=name)
            twin.legend(loc="center right")
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        ax.legend(loc="upper right")
        return ax
