"""A progress bar on stderr, drawn by tqdm where it is installed."""

from __future__ import annotations

import importlib.util
import time
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress"]

_REFRESH = 0.2  # seconds: fetching a loss from a GPU waits for it, so it is not done at every step


class Progress:
    """Counts steps and shows the latest loss (or another text); without tqdm, or if not wanted, it does nothing."""

    def __init__(self, total: int, wanted: bool | str, unit: str = "step") -> None:
        self._bar: Any = None
        self._shown = 0.0
        if wanted and importlib.util.find_spec("tqdm") is not None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, desc=wanted if isinstance(wanted, str) else None, unit=unit, dynamic_ncols=True
            )

    def advance(self, loss: Any) -> Any:
        """One step done; returns the loss."""
        if self._bar is not None:
            self.tick(f"loss {float(loss):.4f}" if self._is_due() else None)
        return loss

    def tick(self, text: str | None = None) -> None:
        """One step done, with a text to show beside the bar, or the one before."""
        if self._bar is not None:
            if text is not None:
                self._bar.set_postfix_str(text, refresh=False)
            self._bar.update()

    def _is_due(self) -> bool:
        """Whether the text has stood long enough."""
        now = time.monotonic()
        due = now - self._shown > _REFRESH
        self._shown = now if due else self._shown
        return due

    def show(self, record: dict[str, float]) -> None:
        """The numbers of an epoch beside the bar."""
        if self._bar is not None:
            numbers = [
                f"{name} {value:.4g}" for name, value in record.items() if name not in ("epoch", "lr", "seconds")
            ]
            self._bar.set_postfix_str(" ".join([f"epoch {record['epoch']:.0f}", *numbers]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
