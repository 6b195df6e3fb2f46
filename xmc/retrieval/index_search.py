"""Searching a label index: by text or by embedding, for ids and scores or for labels with their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from xmc.encoders.cut_count import CutCount
from xmc.encoders.text_input import TextInput, as_texts, check_texts
from xmc.errors import ConfigError, DataError
from xmc.retrieval.evidence import Ranked
from xmc.retrieval.hit import Hit
from xmc.retrieval.index_base import OpenIndex
from xmc.retrieval.ranking import search_by
from xmc.retrieval.stores.search import search_store
from xmc.retrieval.stores.several import search_several

if TYPE_CHECKING:
    from xmc.encoders import DualEncoder, StaticQueries
    from xmc.retrieval.ensemble_options import EnsembleOptions
    from xmc.retrieval.vote import QueryVotes
    from xmc.retrieval.words.classifiers import WordClassifiers

__all__ = ["SearchableIndex"]


class SearchableIndex(OpenIndex):
    """The searches of `LabelIndex`."""

    _cut_told = False

    def search(
        self, texts: TextInput, k: int = 10, encoder: DualEncoder | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Label ids and scores of the k best labels of query texts (see `search_vectors`).

        Both are [N, k] for N texts, and [k] for one string. Texts longer than the model reads are told in the
        log: of a list how many, of single strings the first alone.

        Raises:
            DataError: When a text is empty, which fits every label alike, or no string.
            IndexMismatchError: When ``encoder`` is not the model the index was built with.
            ModelError: When no model is given and the index does not know where its own is.
        """
        queries, one = as_texts(texts, "queries")
        check_texts(queries, what="queries")
        empty = next((position for position, text in enumerate(queries) if not text.strip()), None)
        if empty is not None:
            raise DataError(
                f"expected a text to search for, got an empty one at position {empty}, which fits every "
                "label alike: leave it out"
            )
        cuts = CutCount()
        model = self.query_encoder if encoder is None else self._model(encoder)
        ids, scores, _ = self.ranked(queries, k, model, cuts)
        if not (one and self._cut_told):  # a program that searches one by one would be told each time
            cuts.warn("queries")
        self._cut_told |= cuts.num_cut > 0
        return (ids[0], scores[0]) if one else (ids, scores)

    def ranked(
        self,
        texts: Sequence[str],
        k: int,
        encoder: DualEncoder | StaticQueries,
        cuts: CutCount | None = None,
        *,
        evidence: bool = False,
    ) -> Ranked:
        """The k best labels of texts that are not blank, by the model and what ranks beside it.

        Args:
            texts: N of them.
            k: Labels of each.
            encoder: The model, or its query side.
            cuts: Counts the texts that are longer than the model reads.
            evidence: Also give what speaks for each label; see `xmc.retrieval.evidence`.

        Raises:
            ConfigError: When k is below 1 or no whole number.
        """
        _check_k(k)
        vectors = encoder.encode_queries(texts, cuts=cuts)
        if self._ensemble is None:
            return Ranked(*self.search_vectors(vectors, k))
        lists = self.search_vectors(vectors, min(self.ranking_depth(k), max(1, len(self))))
        return self._ensemble.rank(lists, vectors, texts, k, evidence=evidence)

    def ranking_depth(self, k: int) -> int:
        """How long the model's lists are that k labels are ranked from; 0 where the model ranks alone.

        What ranks beside the model moves the scores of whole lists. So the best k of a longer ranking are
        those of a ranking of k where both have the same depth, and may be others where not.
        """
        return 0 if self._ensemble is None else max(k, self._ensemble.depth)

    def add_ensemble(
        self,
        options: EnsembleOptions,
        votes: QueryVotes | None = None,
        classifiers: WordClassifiers | None = None,
    ) -> None:
        """From here on rank with a vote of training queries, words, classifiers; the index keeps them.

        Args:
            options: What is added; see `xmc.prediction.choose_ensemble` for a choice by held-out rows.
            votes: Embeddings by this index's model, and labels by this index's label ids; for a vote.
            classifiers: Of this index's label ids; for a share of theirs.

        Raises:
            ConfigError: When a vote comes without queries, or with those of another size of embedding, or
                a share of classifiers without any.
        """
        from xmc.retrieval.ensemble import Ensemble

        if votes is not None and votes.vectors.shape[1] != self.manifest.dimension:
            raise ConfigError(
                f"expected embeddings of {self.manifest.dimension} numbers of the queries that vote, got "
                f"{votes.vectors.shape[1]}"
            )
        kept = votes if options.vote is not None else None
        added = Ensemble(options, kept, self._changes.table.live_texts, classifiers)
        self._ensemble = added if options else None
        if self._ensemble is not None:
            self._ensemble.labels_changed(np.flatnonzero(self._changes.table.removed))
            self._ensemble.to(self._device)
        self._changes.manifest = replace(self.manifest, ensemble=options if options else None)

    @overload  # a string is an Iterable[str] too; the first signature that fits holds
    def hits(  # type: ignore[overload-overlap]
        self, texts: str, k: int = 10, encoder: DualEncoder | None = None
    ) -> list[Hit]: ...
    @overload
    def hits(
        self, texts: Iterable[str], k: int = 10, encoder: DualEncoder | None = None
    ) -> list[list[Hit]]: ...
    def hits(
        self, texts: TextInput, k: int = 10, encoder: DualEncoder | None = None
    ) -> list[Hit] | list[list[Hit]]:
        """As `search`, with uid and text of the labels: at most k hits of one string, or a list of them each.

        Raises:
            XMCError: As `search` does.
        """
        ids, scores = self.search(texts, k, encoder)
        if ids.ndim == 1:
            return self.hits_of(ids, scores)
        return [self.hits_of(*row) for row in zip(ids, scores, strict=True)]

    def hits_of(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Hit]:
        """The labels of one query's ids and scores, both [k], as `search` gives them; pads are left out."""
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        about = not self.manifest.exact_scores
        if ids.max(initial=-1) >= (expected := self._changes.table.next_id):
            raise DataError(
                f"the index names label {ids.max()}, expected ids below {expected}: build it again"
            )
        return [Hit(i, self.uids[i], self.texts[i], score, about) for i, score in pairs if i >= 0]

    def search_vectors(self, queries: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Label ids and scores, both [N, k], of the k best labels of query embeddings [N, D]; [k] of a [D].

        Best first, ties by label id ascending; -1 and -inf where the index gives fewer than k. A model that
        ranks by magnitude gives the scores' magnitudes, from two searches.

        Raises:
            ConfigError: When k or the shape cannot be right.
        """
        _check_k(k)
        dimension = self.manifest.dimension
        queries = np.asarray(queries)
        if queries.ndim == 1 and len(queries) == dimension:
            ids, scores = self.search_vectors(queries[None], k)
            return ids[0], scores[0]
        if queries.ndim != 2 or queries.shape[1] != dimension or queries.dtype.kind not in "fiu":
            raise ConfigError(
                f"expected query embeddings [N, {dimension}] or [{dimension}] of numbers, got "
                f"{list(queries.shape)} of {queries.dtype}"
            )
        if self.manifest.offset_dimension:
            queries = np.hstack([queries, np.ones((len(queries), 1), dtype=np.float32)])
        store, label_of = self._searched(), self._changes.label_of()
        # The negative of [q, 1] also negates the offset, which is the label's last dimension.
        if self.manifest.has_several_texts:
            spans, how = self._changes.spans(), self.manifest.label_fold
            return search_several(store, queries, k, label_of, spans, how)
        return search_by(self.manifest.ranking, lambda sign: search_store(store, sign * queries, k, label_of))


def _check_k(k: Any) -> None:
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or k < 1:
        raise ConfigError(f"expected k to be at least 1 and whole, got {k!r}")
