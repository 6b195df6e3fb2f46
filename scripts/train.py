"""What ``accelerate launch`` starts: ``scripts/train.py RECIPE.yaml [--section.key value ...]``."""

from __future__ import annotations

import sys

from xmc.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
