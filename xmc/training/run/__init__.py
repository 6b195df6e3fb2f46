"""What a run leaves in its folder, and how it goes: checkpoints, models, log, pace, machine."""

from __future__ import annotations
