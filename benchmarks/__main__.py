"""python -m benchmarks [name ...] [--quick] [--list] [--out FILE.json]"""

from __future__ import annotations

from .run import main

if __name__ == "__main__":
    raise SystemExit(main())
