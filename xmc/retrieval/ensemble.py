"""What ranks beside a model's scores: classifiers of words, the vote of training queries, shared words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.data.npz import read_header
from xmc.data.sparse_rows import SparseRows
from xmc.errors import ConfigError, DataError
from xmc.received import reading
from xmc.retrieval.ensemble_options import EnsembleOptions
from xmc.retrieval.evidence import Ranked, gather_evidence
from xmc.retrieval.fusion import Lists, weighted_fusion
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.vote import DEPTH, QueryVotes, voted
from xmc.retrieval.words.classifiers import FILES as CLASSIFIER_FILES
from xmc.retrieval.words.classifiers import WordClassifiers, with_classifiers

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch

    from xmc.retrieval.words.lexical import LexicalRanker

__all__ = ["FILES", "Ensemble"]

FILES = ("queries.npy", "query_labels.npz")
"""Of the vote, in the folder of an index: embeddings and labels of the training queries."""


class Ensemble:
    """Ranks labels by a model's lists and what `EnsembleOptions` add.

    Args:
        options: What is added.
        votes: The training queries; needed for a vote.
        label_texts: Gives the texts of the L labels by label id, when words are first asked for; an empty
            text is never found.
        classifiers: Of the labels, on the words of a query; needed for a share of theirs.

    Raises:
        ConfigError: When a vote is asked for without training queries, or classifiers without any.
    """

    def __init__(
        self,
        options: EnsembleOptions,
        votes: QueryVotes | None,
        label_texts: Callable[[], Sequence[str]],
        classifiers: WordClassifiers | None = None,
    ) -> None:
        if options.vote is not None and votes is None:
            raise ConfigError("expected the embeddings of training queries for a vote, got none")
        if options.classifiers and classifiers is None:
            raise ConfigError(f"expected classifiers for their share of {options.classifiers:g}, got none")
        self.options = options
        self.votes = votes
        self.classifiers = classifiers
        self._label_texts = label_texts

    depth = DEPTH
    """Of the model's lists, that it asks for."""

    @cached_property
    def _lexical(self) -> LexicalRanker:
        from xmc.retrieval.words.lexical import LexicalRanker

        return LexicalRanker(self._label_texts())

    def labels_changed(self, removed: NDArray[np.int64] | None = None) -> None:
        """Read the labels' texts again before the next search; ``removed`` labels get no votes any more."""
        self.__dict__.pop("_lexical", None)
        if self.votes is not None and removed is not None and len(removed):
            self.votes = self.votes.without_labels(removed)

    def to(self, device: torch.device | None) -> None:
        """Search the training queries on a device from here on; None: on the CPU, as at first.

        Raises:
            ConfigError: When they do not fit there.
        """
        if self.votes is not None:
            self.votes = self.votes.to(device)

    def rank(
        self,
        labels: Lists,
        vectors: NDArray[np.floating],
        texts: Sequence[str],
        k: int,
        *,
        exclude: sp.csr_matrix | None = None,
        own: NDArray[np.int64] | None = None,
        evidence: bool = False,
    ) -> Ranked:
        """The k best labels of queries, ties by label id ascending.

        Args:
            labels: The model's lists, of `DEPTH` labels or more; only so many take part.
            vectors: [N, D], embeddings of the queries.
            texts: Of the N queries.
            k: Labels to keep.
            exclude: [N, L], pairs that are not returned; the model's lists are without them already.
            own: [N], the training query that each is, which has no vote; None when none is.
            evidence: Also give what speaks for each label; see `xmc.retrieval.evidence`.
        """
        depth, said = max(k, DEPTH), None
        ids, scores = labels[0].astype(np.int64), labels[1]
        if self.options.classifiers and self.classifiers is not None:
            said = self.classifiers.scores(texts, ids)
            ids, scores = with_classifiers((ids, scores), said, self.options.classifiers, depth)
        if self.options.vote is not None and self.votes is not None:
            near = self.votes.nearest(vectors, own=own)
            ids, scores = voted(
                (ids, scores), near, self.votes.relevance, self.options.vote, depth, exclude=exclude
            )
        if self.options.lexical:
            share = self.options.lexical
            words = self._lexical.rank(texts, depth, exclude)
            ids, scores = weighted_fusion([(ids, scores), words], [1 - share, share], depth)
        found = ids[:, :k], np.asarray(scores[:, :k], dtype=np.float32)
        return Ranked(*found, gather_evidence(labels, said, found) if evidence else None)

    def write(self, folder: Path) -> tuple[str, ...]:
        """Write the training queries, the words and the classifiers, and name the files written."""
        names: tuple[str, ...] = ()
        if self.options.lexical:
            names += self._lexical.write(folder)
        if self.options.classifiers and self.classifiers is not None:
            names += self.classifiers.write(folder)
        if self.votes is not None:
            from xmc.data.relevance import save_matrix

            np.save(folder / FILES[0], self.votes.vectors)
            save_matrix(folder / FILES[1], self.votes.relevance.scipy(), packed=False)
            names += FILES
        return names

    @classmethod
    def read(
        cls,
        options: EnsembleOptions,
        folder: Path,
        manifest: IndexManifest,
        label_texts: Callable[[], Sequence[str]],
    ) -> Ensemble:
        """Open what :meth:`write` wrote; the embeddings stay on disk, memory-mapped.

        Raises:
            DataError: When the files are not whole, or of another model.
        """
        votes = cls._read_votes(folder, manifest) if options.vote is not None else None
        classifiers = None
        if options.classifiers:
            if not set(CLASSIFIER_FILES) <= set(manifest.checksums):
                raise DataError(f"the index {folder} lacks its classifiers: build the index again")
            classifiers = WordClassifiers.read(folder)
        opened = cls(options, votes, label_texts, classifiers)
        # An index of before words were kept counts them when they are first asked for.
        if options.lexical:
            from xmc.retrieval.words.lexical import FILES as WORD_FILES
            from xmc.retrieval.words.lexical import LexicalRanker

            if set(WORD_FILES) <= set(manifest.checksums):
                opened._lexical = LexicalRanker.read(folder)
        return opened

    @staticmethod
    def _read_votes(folder: Path, manifest: IndexManifest) -> QueryVotes:
        if not set(FILES) <= set(manifest.checksums):
            raise DataError(f"the index {folder} lacks the queries that vote: build the index again")
        relevance = SparseRows.read(folder / FILES[1])
        with reading(folder / FILES[0], "embeddings of training queries", "build the index again"):
            with open(folder / FILES[0], "rb") as file:
                shape, _, dtype = read_header(file)
            if shape != (relevance.shape[0], manifest.dimension) or dtype != np.float32:
                raise DataError(
                    f"{folder / FILES[0]}: expected float32 {[relevance.shape[0], manifest.dimension]}, got "
                    f"{dtype} {list(shape)}: build the index again"
                )
            vectors = np.load(folder / FILES[0], mmap_mode="r", allow_pickle=False)
        return QueryVotes(vectors, relevance, unit=True)
