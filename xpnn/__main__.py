"""`python -m xpnn` is the command `xpnn`."""

from __future__ import annotations

import sys

from xpnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
