"""python -m benchmarks [NAME ...] [--device D] [--peer NAMES] [--quick] [--list] [--out DIR] [--compare OLD [NEW]]"""

from __future__ import annotations

from .run import main

if __name__ == "__main__":
    raise SystemExit(main())
