"""Labels that train as queries of themselves: their own texts, asked for with nothing else known.

Known to help where labels have few training rows (Jain et al. 2023, "Renee", section 3.4, "label-text
augmentation": identity rows beside the training rows). A label's row follows the training rows, so that the
rest of a step need not know: row N + l has the text of label l, and label l as its positive. With soft
targets (:mod:`.co_labels`) the labels that come with l are positives too, each weighed by its share of l's
rows. They can join the first batches of a run alone, so that what queries ask for has the last word.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from xmc.errors import ConfigError
from xmc.random_streams import Stream
from xmc.training.batches.config import NegativesConfig
from xmc.training.batches.pools.sampled import LabelRows, UniformDraw
from xmc.training.batches.source import BatchSource

if TYPE_CHECKING:
    from xmc.training.config import DataConfig

__all__ = ["LabelQueries", "StepWorks", "check_label_queries", "with_label_rows"]


class LabelQueries(BatchSource):
    """Draws the labels that join each batch as queries."""

    name = "label_queries"

    def __init__(
        self,
        num_queries: int,
        num_labels: int,
        count: int,
        seed: int,
        co_labels: sp.csr_matrix | None = None,
        weight: float = 1.0,
        until: float = 1.0,
    ) -> None:
        """Prepare the draw.

        Args:
            num_queries: N, the data set's training queries.
            num_labels: L.
            count: Labels of each batch, at most L.
            seed: With the batch's index, decides the draw.
            co_labels: CSR [L, L] with an empty diagonal, what other labels a label's row has; None for none.
            weight: What the loss of a label's query counts for beside a training query's.
            until: The share of the run's batches that labels join, at least the first one.

        Raises:
            ConfigError: When ``count`` is not in [1, L].
        """
        self.num_queries, self.num_labels, self.count = num_queries, num_labels, count
        self.co_labels, self.weight, self.until = co_labels, weight, until
        self.joined: int | None = None
        """Batches that labels join, from the first on; None for all."""
        self.draw = UniformDraw(
            num_labels, count, seed=seed, stream=Stream.LABEL_QUERIES, option="data.label_queries"
        )

    @property
    def rows(self) -> LabelRows:
        """What a pool has to know: each label drawn is in it, with the other positives of its row."""
        if self.co_labels is None:
            return LabelRows(self.num_queries, self.draw)
        others = np.bincount(self.co_labels.indices, minlength=self.num_labels)
        return LabelRows(self.num_queries, self.draw, 1 + others)

    def planned(self, num_batches: int) -> None:
        """Labels join the first ``until * num_batches`` batches, rounded up."""
        # Shares such as 0.3 of 10 are a little more than a whole number in binary.
        self.joined = None if self.until == 1 else math.ceil(self.until * num_batches * (1 - 1e-9))

    def extend(self, queries: np.ndarray, batch_index: int) -> np.ndarray:
        """The queries of a batch [B], then those of the labels drawn for it, if any: [B + count]."""
        if self.joined is not None and batch_index >= self.joined:
            return queries
        drawn = np.zeros(self.num_labels, dtype=bool)
        self.draw.add_to(drawn, batch_index)
        return np.concatenate([queries, self.num_queries + np.flatnonzero(drawn)])

    def weights(self, queries: np.ndarray) -> np.ndarray | None:
        """1 for a training query, ``weight`` for a label's: [B] float32; None where that is 1 too."""
        if self.weight == 1 or not (queries >= self.num_queries).any():
            return None
        return np.where(queries >= self.num_queries, self.weight, 1.0).astype(np.float32)


@dataclass(frozen=True)
class StepWorks:
    """What each of a run's steps takes, where one of training rows alone takes 1.

    By the rows that it has: as far as label queries join it, so many more. What they take in truth is from
    two thirds of that to twice as much, by what labels they bring, and is known when some have been timed.

    Args:
        data: Of the run.
        num_steps: Of the run.
    """

    data: DataConfig
    num_steps: int

    def of(self, step: int) -> float:
        """What the step takes, the first being 0."""
        return 1.0 + self.data.label_queries * (step < self._joined)

    def after(self, step: int) -> float:
        """What the steps from this one on take together."""
        return self.num_steps - step + self.data.label_queries * max(self._joined - step, 0)

    @property
    def _joined(self) -> int:
        return math.ceil(self.data.label_query_until * self.num_steps)


def check_label_queries(config: NegativesConfig, co_labels: bool = False) -> None:
    """Refuse sources that label queries, with co-labels or without, cannot be joined with.

    Raises:
        ConfigError: When queries come in clusters or bring mined labels, which a label's row does not; or
            when some of a row's positives are drawn, which would draw some of its co-labels.
    """
    if co_labels and config.positives is not None:
        raise ConfigError(
            "negatives.positives: expected null with data.co_labels, all of which a label's row brings, got "
            f"{config.positives}"
        )
    if config.mined.count or config.clusters.largest > 1:
        raise ConfigError(
            "data.label_queries: expected neither negatives.mined nor negatives.clusters beside it, as both "
            "are made for training rows: turn one of them off"
        )


def with_label_rows(relevance: sp.csr_matrix, co_labels: sp.csr_matrix | None = None) -> sp.csr_matrix:
    """[N + L, L]: the relevance of the training rows, then every label as a positive of its own row.

    Args:
        relevance: CSR [N, L].
        co_labels: CSR [L, L] with an empty diagonal: the relevance of the row's other positives, if any.
    """
    rows = sp.identity(relevance.shape[1], dtype=relevance.dtype, format="csr")
    if co_labels is not None:
        rows = rows + co_labels.astype(relevance.dtype)
    return sp.csr_matrix(sp.vstack([relevance, rows], format="csr"))
