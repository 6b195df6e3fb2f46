"""Looks at the folders that ``benchmarks/gpu.py`` is given before any time goes to a run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gpu_shapes import SHAPES
from xmc.data import Dataset
from xmc.errors import ModelError

__all__ = ["check_data", "check_encoder"]

MODEL_FILES = ("modules.json", "config.json")


def check_encoder(name: str) -> None:
    """Refuse what is neither a name of :data:`benchmarks.gpu_shapes.SHAPES` nor a model's folder.

    Raises:
        ModelError: Saying what is expected.
    """
    if name not in SHAPES and not any((Path(name) / file).is_file() for file in MODEL_FILES):
        raise ModelError(
            f"expected a model's folder, with {' or '.join(MODEL_FILES)} in it, or one of "
            f"{', '.join(SHAPES)}, got {name}"
        )


def check_data(name: str) -> None:
    """Refuse what is no prepared data set, or one of which files are missing or cut.

    Raises:
        DataError: Saying what is wrong.
    """
    Dataset.load(name)
