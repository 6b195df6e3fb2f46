"""What can be fused: a run, a model, a file of any system's predictions, or the words that texts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DataError
from xmc.evaluation import load_lists
from xmc.prediction.encoded import EncodedData
from xmc.prediction.held_out import held_out_rows
from xmc.prediction.ranked_rows import rows_by_words
from xmc.reports import open_systems
from xmc.reports.stored import is_run_folder
from xmc.reports.systems import system_names
from xmc.retrieval import BM25Ranker, LexicalRanker
from xmc.retrieval.fusion import Lists
from xmc.retrieval.index_files import is_index

__all__ = ["BM25", "LEXICAL", "Source", "open_sources", "validation_rows"]

LEXICAL, BM25 = "lexical", "bm25"
WEIGHTS = "give weights (--weights), or --method rrf, which needs none"
_WORDS = {LEXICAL: LexicalRanker, BM25: BM25Ranker}


@dataclass(frozen=True)
class Source:
    """One of the systems.

    Attributes:
        name: Short, and no other's.
        place: As it was given.
        validation: A file of its predictions for held-out training rows, where it is a file itself.
    """

    name: str
    place: str
    validation: Path | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a file of predictions."""
        return Path(self.place).is_file()

    @property
    def is_run(self) -> bool:
        """Whether it is a run's folder, which knows the rows it held out."""
        return is_run_folder(self.place)

    @property
    def has_logits(self) -> bool:
        """Whether its scores are logits: it is a model."""
        return self.place not in _WORDS and not self.is_file

    @property
    def _scale(self) -> float:
        return DualEncoder.load(self.place).metadata.scale

    def of_test(self, dataset: Dataset, depth: int, *, progress: bool = True) -> Lists:
        """Its lists for the test rows, [N, depth]; scores of a model are its logits."""
        if self.place in _WORDS:
            rows = np.arange(dataset.num_test)
            return rows_by_words(_WORDS[self.place], dataset, "test", rows, depth)
        if self.is_file:
            return load_lists(self.place, dataset, depth=depth)
        system = open_systems([self.place], dataset, "test", progress=progress)[0]
        return system.ids[:, :depth], system.scores[:, :depth] * np.float32(self._scale)

    def of_rows(
        self, dataset: Dataset, rows: NDArray[np.int64], depth: int, *, progress: bool = True
    ) -> Lists:
        """Its lists for some training rows, [n, depth], as those of the test rows.

        Raises:
            ConfigError: For a file without one for those rows, and a model that may have learned them.
            DataError: When the file lacks some of them.
        """
        if self.place in _WORDS:
            return rows_by_words(_WORDS[self.place], dataset, "train", rows, depth)
        if self.is_file:
            ids, scores = self._held_out(dataset, depth)
            missing = int((ids[rows, 0] < 0).sum())
            if missing:
                raise DataError(
                    f"{self.validation}: expected predictions of the {len(rows):,} held-out training rows, "
                    f"but {missing:,} of them have none: predict those rows (xmc.prediction.held_out_rows "
                    "names them) with a model that was not trained on them"
                )
            return ids[rows], scores[rows]
        if not self.is_run:
            raise ConfigError(
                f"{self.place} is a model, of which no held-out rows are known: give its run's folder, or "
                "weights (--weights)"
            )
        encoder = DualEncoder.load(self.place)
        ids, scores = EncodedData(encoder, dataset, progress=progress).ranked("train", rows, depth)
        return ids, scores * np.float32(encoder.metadata.scale)

    def predicted_rows(self, dataset: Dataset) -> NDArray[np.int64]:
        """The training rows that its validation file has predictions for."""
        return np.flatnonzero(self._held_out(dataset, 1)[0][:, 0] >= 0)

    def _held_out(self, dataset: Dataset, depth: int) -> Lists:
        if self.validation is None:
            raise ConfigError(
                f"expected predictions of {self.place}'s system for held-out training rows, to choose "
                "weights by: give them (--validation [FILE], one for each file of predictions), or weights "
                "(--weights), or --method rrf, which needs none"
            )
        return load_lists(self.validation, dataset, split="train", depth=depth)


def open_sources(places: Sequence[str], validation: Sequence[str | Path] = ()) -> list[Source]:
    """The systems with distinct names, and each file's validation file, in order.

    Raises:
        ConfigError: When one is named twice or is an index, or there are not as many validation files as
            files.
    """
    for place in places:
        if place not in _WORDS and is_index(place):
            raise ConfigError(
                f"expected runs, models, files of predictions, {LEXICAL} or {BM25}, but {place} is an index "
                "of labels: rank the test rows with it (`xmc predict`) and give the file that it writes"
            )
    names = system_names(list(places))
    files = [place for place in places if place not in _WORDS and Path(place).is_file()]
    if validation and len(validation) != len(files):
        raise ConfigError(
            f"--validation: expected one file for each of {len(files)} files of predictions, got "
            f"{len(validation)}"
        )
    beside = dict(zip(files, map(Path, validation), strict=False))
    return [Source(name, place, beside.get(place)) for name, place in zip(names, places, strict=True)]


def validation_rows(sources: Sequence[Source], dataset: Dataset) -> NDArray[np.int64]:
    """The training rows that weights are chosen on: those that the runs held out, or the files are of.

    Raises:
        ConfigError: When runs held out different rows, or no source says which rows it has not learned.
    """
    runs = [source for source in sources if source.is_run]
    if runs:
        rows = held_out_rows(runs[0].place, dataset, mend=WEIGHTS)
        for other in runs[1:]:
            if not np.array_equal(held_out_rows(other.place, dataset, mend=WEIGHTS), rows):
                raise ConfigError(
                    f"expected runs that held out the same rows, but {runs[0].place} and {other.place} did "
                    "not: train them with the same seed and validation.rows, or give weights (--weights)"
                )
        return rows
    for source in sources:
        if source.is_file:
            rows = source.predicted_rows(dataset)
            if not len(rows):
                raise DataError(f"{source.validation}: expected predictions of training rows, found none")
            return rows
    raise ConfigError(
        "expected a run or a file with --validation among the systems, which know rows that they have not "
        "learned: add one, or give weights (--weights), or --method rrf, which needs none"
    )
