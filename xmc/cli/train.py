"""``xmc train``: a recipe in, a run folder out; ``accelerate launch scripts/train.py`` is the same."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.config import load_train_config
from xmc.cli.launch import start_missing_processes

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Parse the recipe and its overrides, then train."""
    config = load_train_config(arguments)
    start_missing_processes(arguments)
    from xmc.training import train

    train(config)
