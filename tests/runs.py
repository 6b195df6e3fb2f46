"""What a run folder says of its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["logged", "losses"]


def logged(folder: str | Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``."""
    text = (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def losses(folder: str | Path) -> list[float]:
    """The loss of each step that was logged."""
    return [line["loss"] for line in logged(folder) if "loss" in line]
