"""Several indexes of one model searched together, such as parts that ranks or machines built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xmc.errors import ConfigError, DataError, IndexMismatchError
from xmc.retrieval.evidence import Ranked
from xmc.retrieval.hit import Hit

if TYPE_CHECKING:
    from xmc.encoders import CutCount, DualEncoder, StaticQueries
    from xmc.retrieval.label_index import LabelIndex

__all__ = ["IndexGroup", "RankedLabels"]


class RankedLabels(Protocol):
    """Labels that are ranked for texts: an index, or several together."""

    def __len__(self) -> int:
        """Labels."""

    @property
    def encoder(self) -> DualEncoder:
        """The model."""

    @property
    def query_encoder(self) -> DualEncoder | StaticQueries:
        """What encodes a query soonest."""

    def ranked(
        self,
        texts: Sequence[str],
        k: int,
        encoder: DualEncoder | StaticQueries,
        cuts: CutCount | None = None,
        *,
        evidence: bool = False,
    ) -> Ranked:
        """The k best labels of texts that are not blank, and what speaks for each where asked for."""

    def hits_of(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Hit]:
        """The labels of one query's ids and scores, both [k]; pads are left out."""

    def id_of(self, uid: str) -> int:
        """The id of the label with that uid."""


class IndexGroup:
    """Indexes that answer as one index of their labels, in the order of the indexes, would.

    A label's id is that in its own index and the number of ids in the indexes before it. Exact indexes have
    the scores of one index to the bit, and equal scores are ordered by these ids, as there.

    Args:
        indexes: One or more, of one model.

    Raises:
        ConfigError: When there is none, or one ranks with a vote or words, which need all labels.
        DataError: When a uid is in two of them.
        IndexMismatchError: When they are of different models, or rank otherwise.
    """

    def __init__(self, indexes: Sequence[LabelIndex]) -> None:
        if not indexes:
            raise ConfigError("expected one or more indexes to search together, got none")
        self._indexes = list(indexes)
        self._starts = np.cumsum([0, *(len(index.uids) for index in indexes)])
        self._check()

    def _check(self) -> None:
        first = self._indexes[0].manifest
        owners: dict[str, int] = {}
        for number, index in enumerate(self._indexes):
            index.manifest.check_model(first.model_fingerprint, f"the index {index.folder or number}")
            for name in ("dimension", "offset_dimension", "ranking", "label_texts", "label_fold"):
                came, expected = getattr(index.manifest, name), getattr(first, name)
                if came != expected:
                    raise IndexMismatchError(
                        f"expected indexes of one {name.replace('_', ' ')}, got {expected} and {came}: build "
                        "them alike"
                    )
            if index.manifest.ensemble:
                raise ConfigError(
                    "expected indexes that rank by the model alone, got one that ranks also with "
                    f"{index.manifest.ensemble}: build the parts without, or search it alone"
                )
            for label in index.live_ids.tolist():
                if owners.setdefault(index.uids[label], number) != number:
                    raise DataError(
                        f"expected each label in one index, got {index.uids[label]!r:.80} in two: remove it "
                        "from one (xmc index remove)"
                    )

    def __len__(self) -> int:
        """Labels of all of them."""
        return sum(map(len, self._indexes))

    def id_of(self, uid: str) -> int:
        """The id of the label with that uid.

        Raises:
            DataError: When none of them has it.
        """
        for start, index in zip(self._starts.tolist(), self._indexes, strict=False):
            if uid in index:
                return int(start) + index.id_of(uid)
        raise DataError(
            f"expected the uid of a label in one of {len(self._indexes)} indexes, got {uid!r:.80}"
        )

    @property
    def encoder(self) -> DualEncoder:
        """The model, as the first index opens it."""
        return self._indexes[0].encoder

    @property
    def query_encoder(self) -> DualEncoder | StaticQueries:
        """What encodes a query soonest, as the first index opens it."""
        return self._indexes[0].query_encoder

    def search_vectors(self, queries: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Ids and scores, both [N, k], of the k best labels of query embeddings [N, D].

        Best first, ties by id; -1 and -inf where there are fewer.

        Raises:
            ConfigError: When k or the shape cannot be right.
        """
        parts = [index.search_vectors(np.atleast_2d(queries), k) for index in self._indexes]
        found = [
            np.where(ids < 0, np.iinfo(np.int64).max, ids.astype(np.int64) + start)
            for (ids, _), start in zip(parts, self._starts.tolist(), strict=False)
        ]
        ids, scores = np.hstack(found), np.hstack([part[1] for part in parts])
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
        return np.where(np.isneginf(scores), -1, ids), scores

    def ranked(
        self,
        texts: Sequence[str],
        k: int,
        encoder: DualEncoder | StaticQueries,
        cuts: CutCount | None = None,
        *,
        evidence: bool = False,
    ) -> Ranked:
        """The k best labels of texts that are not blank; of indexes together the model ranks alone."""
        return Ranked(*self.search_vectors(encoder.encode_queries(texts, cuts=cuts), k))

    def hits_of(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Hit]:
        """The labels of one query's ids and scores, both [k]; pads are left out."""
        hits = []
        for label, score in zip(ids.tolist(), scores.tolist(), strict=True):
            if label >= 0:
                number = int(np.searchsorted(self._starts, label, side="right")) - 1
                index, own = self._indexes[number], label - int(self._starts[number])
                about = not index.manifest.exact_scores
                hits.append(Hit(label, index.uids[own], index.texts[own], score, about))
        return hits
