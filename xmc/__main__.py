"""``python -m xmc`` is the ``xmc`` command."""

from __future__ import annotations

import sys

from xmc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
