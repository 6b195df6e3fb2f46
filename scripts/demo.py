"""``make demo``: train, index, evaluate and search on the documentation strings that are installed here."""

from __future__ import annotations

import sys

from xmc.cli import demo
from xmc.cli.main import guarded
from xmc.cli.quiet import quiet_libraries
from xmc.recipes import find_recipe

if __name__ == "__main__":
    quiet_libraries()
    sys.exit(guarded(lambda: demo.run(sys.argv[1:], find_recipe("api-docs"))))
