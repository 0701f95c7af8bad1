"""What a benchmark case is; the runner behind it is xpnn.bench."""

from xpnn.bench.case import Case, normal

__all__ = ["Case", "normal"]
