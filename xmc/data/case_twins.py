"""Labels that are another one but for case or white space, and are learned apart all the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xmc.data.dataset import Dataset
from xmc.data.text_keys import text_hashes

__all__ = ["CaseTwins", "case_twins"]


@dataclass(frozen=True)
class CaseTwins:
    """Labels whose texts differ from another's in case, white space or Unicode's variants alone."""

    num_labels: int
    """That have such a twin."""
    example: tuple[str, str] | None
    """The texts of the first two; None where there are none."""


def case_twins(dataset: Dataset) -> CaseTwins:
    """The case twins among the labels; labels of one text, and of an empty one, are none.

    Reads the texts once and keeps 8 bytes of each; those of twins are read again.
    """
    texts = dataset.texts("labels")
    _, group, counts = np.unique(text_hashes(texts), return_inverse=True, return_counts=True)
    members = np.flatnonzero(counts[group] > 1)
    spellings: dict[int, dict[str, int]] = {}
    for label, text in zip(members.tolist(), texts[members], strict=True):
        if text.strip():
            several = spellings.setdefault(int(group[label]), {})
            several[text] = several.get(text, 0) + 1
    twins = [several for several in spellings.values() if len(several) > 1]
    if not twins:
        return CaseTwins(0, None)
    first, second = list(twins[0])[:2]
    return CaseTwins(sum(sum(several.values()) for several in twins), (first, second))
