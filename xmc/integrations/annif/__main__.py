"""Annif's command line with the backend ``xmc``: ``python -m xmc.integrations.annif COMMAND ...``."""

from __future__ import annotations

import sys

from xmc.errors import XMCError
from xmc.integrations.annif import register

if __name__ == "__main__":
    try:
        register()
    except XMCError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    from annif.cli import cli

    cli(prog_name="annif")
