"""These tests need the double as "cupy" in their process: elsewhere they are not collected."""

from __future__ import annotations

from ..conftest import DOUBLE

collect_ignore_glob = [] if DOUBLE else ["test_*.py"]
