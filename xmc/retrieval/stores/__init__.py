"""Where an index keeps its vectors, and how candidates are found among them; one file a way."""

from __future__ import annotations
