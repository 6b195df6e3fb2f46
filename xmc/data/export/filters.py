"""Filter pairs as importers read them: lines ``row label``, 0-based."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xmc.data.dataset import Dataset
from xmc.data.manifest import SPLITS

__all__ = ["write_filters"]


def write_filters(dataset: Dataset, folder: Path) -> None:
    """Write ``filter_labels_train.txt`` and ``filter_labels_test.txt``, where there are any pairs."""
    for split in SPLITS:
        excluded = dataset.filter(split)
        if excluded is not None:
            pairs = np.column_stack(excluded.nonzero())
            np.savetxt(folder / f"filter_labels_{split}.txt", pairs, fmt="%d")
