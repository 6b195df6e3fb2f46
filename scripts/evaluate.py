"""``scripts/evaluate.py MODEL_OR_RUN DATASET [...]``, the same as ``xmc evaluate``."""

from __future__ import annotations

import sys

from xmc.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
