"""The verbs of the ``xmc`` command: thin modules over public functions, each imported only when asked for."""

from __future__ import annotations
