"""How a model ranks labels for queries, exactly: what validation and evaluation ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from torch import Tensor

from xmc.distributed import World
from xmc.errors import ConfigError
from xmc.retrieval.folding import Fold
from xmc.retrieval.offsets import learned_offsets
from xmc.retrieval.ranking import search_by
from xmc.retrieval.sharded import sharded_search

if TYPE_CHECKING:
    from xmc.encoders import DualEncoder

__all__ = ["Ranker"]


@dataclass(frozen=True, eq=False)
class Ranker:
    """What decides the order of L labels, beside the embeddings.

    Attributes:
        ranking: "score" ranks by ``q.e + offset``, "magnitude" by its absolute value.
        offsets: float32 [L], added to every query's inner products, or None.
        among: bool [L], the labels that take part, or None for all.
    """

    ranking: str
    offsets: NDArray[np.float32] | None
    among: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, ranking: str, shift: float, offsets: NDArray[np.float32] | None, num_labels: int) -> Ranker:
        """From how a model ranks.

        Args:
            ranking: "score" or "magnitude".
            shift: Added to all inner products alike, which moves magnitudes; 0 for none. Only a head's model
                has one, and a head learns no offsets.
            offsets: float32 [L], learned offsets over the scale, or None.
            num_labels: L.
        """
        return cls(ranking, np.full(num_labels, shift, dtype=np.float32) if shift else offsets)

    @classmethod
    def of_model(cls, encoder: DualEncoder, uids: Sequence[str]) -> Ranker:
        """As ``encoder`` ranks the labels of these uids [L]; see `learned_offsets` for those it never saw."""
        metadata = encoder.metadata
        offsets = learned_offsets(encoder, uids)
        return cls.of(metadata.ranking, metadata.ranking_shift, offsets, len(uids))

    def only(self, among: NDArray[np.bool_]) -> Ranker:
        """The same for some of the labels, ``among`` [L]: none of the others is found."""
        return replace(self, among=among)

    def search(
        self,
        queries: NDArray[np.float32],
        labels: NDArray[Any] | Tensor,
        k: int,
        *,
        num_queries: int,
        num_labels: int,
        world: World,
        exclude: sp.csr_matrix | None = None,
        fold: Fold | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The k best of all labels for this rank's queries, exactly; all ranks call it together.

        The arguments are those of `sharded_search`: this rank's shard of the queries [n, D] and of the labels
        [l, D], and ``exclude`` [N, L], true where a pair must not be returned, the same on every rank. With a
        ``fold`` the second are the vectors of all texts of this rank's labels.

        Returns:
            Ids int32 and scores (or magnitudes) float32, both [n, k]: best first, ties by label id ascending,
            -1 and -inf where there are fewer. Bit for bit what one rank finds.

        Raises:
            ConfigError: When a shard has another size than its rank's, k is below 1, or magnitudes are to be
                folded.
            ModelError: When an embedding is not a number, or the ranking is unknown.
        """
        if fold is not None and self.ranking != "score":
            raise ConfigError("expected a ranking by score of labels of several texts, got one by magnitude")

        def signed(sign: np.float32) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
            return sharded_search(
                queries * sign,
                labels,
                k,
                num_queries=num_queries,
                num_labels=num_labels,
                world=world,
                exclude=exclude,
                offsets=self._signed_offsets(sign, num_labels),
                fold=fold,
            )

        return search_by(self.ranking, signed)

    def _signed_offsets(self, sign: np.float32, num_labels: int) -> NDArray[np.float32] | None:
        offsets = None if self.offsets is None else self.offsets * sign
        if self.among is None:
            return offsets
        offsets = np.zeros(num_labels, dtype=np.float32) if offsets is None else offsets
        return np.where(self.among, offsets, np.float32(-np.inf))
