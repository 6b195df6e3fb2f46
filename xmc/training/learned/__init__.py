"""What a run learns, and the optimisers that change it."""

from __future__ import annotations
