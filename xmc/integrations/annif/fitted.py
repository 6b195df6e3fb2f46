"""Trains, keeps and opens what the backend suggests by; knows nothing of Annif."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xmc.data.dataset import Dataset
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError, DataError
from xmc.files import atomic_file
from xmc.received import read_json, reading

__all__ = ["NAME", "Fitted", "fit_documents", "prepare_documents"]

NAME = "xmc"
"""What a project calls the backend."""

DATA = "xmc-data"
CURRENT = "xmc.json"
"""Names the folder of the model in use, which is written last."""


def prepare_documents(
    folder: Path, subjects: Iterable[tuple[str, str]], documents: Iterable[tuple[str, list[str]]]
) -> Dataset:
    """Make a prepared data set of Annif's documents, in place of the one before.

    Args:
        folder: Where the project keeps its data.
        subjects: Uri and label of every subject.
        documents: Text and subjects' uris; those without either are passed over.

    Raises:
        DataError: When no document is left.
    """
    with DatasetWriter(folder / DATA, name="annif", overwrite=(folder / DATA).exists()) as writer:
        for uri, label in subjects:
            writer.add_label(uri, label)
        for text, uris in documents:
            ids = [writer.label_id(uri) for uri in uris]
            known = [one for one in ids if one is not None]
            if known and text.strip():
                row = str(writer.num_rows("train"))
                writer.add_row("train", row, " ".join(text.split()), "", known)
        if not writer.num_rows("train"):
            raise DataError("expected documents with text and subjects to train on, got none")
    return Dataset.load(folder / DATA)


def fit_documents(
    folder: Path,
    *,
    quality: Literal["fast", "good", "best"],
    budget: str | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> None:
    """Fit the prepared data set in ``folder``, and put the model in the place of the one before.

    Until the new one is whole, the old one is in use.

    Raises:
        XMCError: As `xmc.tuning.fit`, and when nothing is prepared.
    """
    from xmc.tuning import fit

    if not (folder / DATA).is_dir():
        raise ConfigError(
            f"{folder}: expected documents of an earlier training, found none: train with documents"
        )
    before = _current(folder)
    made = f"xmc-model-{1 + (int(before.rpartition('-')[2]) if before else 0)}"
    shutil.rmtree(folder / made, ignore_errors=True)  # of a training that was cut short
    fit(folder / DATA, folder / made, split=None, quality=quality, budget=budget, fixed=fixed)
    with atomic_file(folder / CURRENT) as partial:
        partial.write_text(json.dumps({"model": made}) + "\n", encoding="utf-8")
    if before:
        shutil.rmtree(folder / before, ignore_errors=True)


class Fitted:
    """The model in use, opened.

    Args:
        folder: Where the project keeps its data.

    Raises:
        DataError: When there is none.
        XMCError: When it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        from xmc.encoders import DualEncoder
        from xmc.prediction.label_source import find_calibration
        from xmc.retrieval import LabelIndex

        current = _current(folder)
        if current is None:
            raise DataError(f"{folder}: expected a trained model, found none: train the project")
        place = folder / current
        # By the model's own place: a project's folder may have moved since it was trained.
        self._encoder = DualEncoder.load(place / "run")
        self._index = LabelIndex.load(place / "index", self._encoder)
        self._calibration = find_calibration(self._index)
        self.uris: list[str] = list(Dataset.load(folder / DATA).uids("labels"))

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether a model was trained in ``folder``."""
        return _current(folder) is not None

    def suggest(self, texts: list[str], limit: int) -> list[list[tuple[str, float]]]:
        """For each text the uris of its best subjects with scores from 0 to 1, best first; none for a blank.

        A score is the probability that the subject is right, where the fit left a calibration (all but the
        quality "fast" of many documents do); else the score itself, a cosine, below 0 as 0.
        """
        found: list[list[tuple[str, float]]] = [[] for _ in texts]
        asked = [place for place, text in enumerate(texts) if text.strip()]
        if not asked:
            return found
        k = min(limit, len(self._index))
        queries = [" ".join(texts[place].split()) for place in asked]
        ids, scores, evidence = self._index.ranked(queries, k, self._encoder, evidence=True)
        shares = np.clip(scores.astype(np.float64), 0.0, 1.0)
        if self._calibration is not None:
            shares = self._calibration.probability(self._calibration.sureness(scores, evidence))
        order = np.argsort(-shares, axis=1, kind="stable")
        ids, shares = np.take_along_axis(ids, order, axis=1), np.take_along_axis(shares, order, axis=1)
        for place, row, row_shares in zip(asked, ids, shares, strict=True):
            pairs = zip(row.tolist(), row_shares.tolist(), strict=True)
            found[place] = [(self.uris[label], share) for label, share in pairs if label >= 0]
        return found


def _current(folder: Path) -> str | None:
    path = folder / CURRENT
    if not path.is_file():
        return None
    with reading(path, "the name of a model's folder"):
        name = read_json(path)["model"]
        if not isinstance(name, str) or not name.startswith("xmc-model-") or not name[10:].isdigit():
            raise ValueError(f"got {name!r:.40}")
        return name
