"""The extreme classification repository's raw text: a text a line, relevance as SciPy matrices."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from xmc.counted import counted
from xmc.data.dataset import Dataset
from xmc.data.export.filters import write_filters
from xmc.data.relevance import save_matrix

__all__ = ["write_xc"]

_log = logging.getLogger(__name__)


def write_xc(dataset: Dataset, folder: Path) -> None:
    """Write ``trn_X.txt``, ``tst_X.txt``, ``Y.txt`` with ``Y.trn.npz``, ``Y.tst.npz``, and filters.

    Line ends within a text become spaces, and the log says how many texts had any.
    """
    changed = 0
    for name, table in (("trn_X.txt", "train"), ("tst_X.txt", "test"), ("Y.txt", "labels")):
        changed += _write_lines(folder / name, dataset.texts(table))
    save_matrix(folder / "Y.trn.npz", dataset.relevance("train"))
    save_matrix(folder / "Y.tst.npz", dataset.relevance("test"))
    write_filters(dataset, folder)
    if changed:
        _log.warning("%s: line ends became spaces in %s", dataset.name, counted(changed, "text"))


def _write_lines(path: Path, texts: Iterable[str]) -> int:
    changed = 0
    # The line feed alone ends a line, on every system.
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for text in texts:
            line = re.sub(r"[\r\n]+", " ", text)
            changed += line != text
            file.write(line + "\n")
    return changed
