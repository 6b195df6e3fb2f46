"""``accelerate launch scripts/encode.py MODEL DATASET --out SHARDS [...]``, the same as ``xmc encode``."""

from __future__ import annotations

import sys

from xmc.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["encode", *sys.argv[1:]]))
