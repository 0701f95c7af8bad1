"""Searching functions: ``where``; the others give places or counts and stand in zero.py."""

from __future__ import annotations

from typing import Any

from ..rule import Rule

RULES: dict[str, Any] = {
    "where": Rule(
        "condition, x1, x2, /",
        x1=lambda xp, g, _out, condition, _x, _y: xp.where(condition, g, xp.zeros_like(g)),
        x2=lambda xp, g, _out, condition, _x, _y: xp.where(condition, xp.zeros_like(g), g),
    ),
}
