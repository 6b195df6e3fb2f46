"""Labels that train as queries of themselves: their own texts, asked for with nothing else known.

Known to help where labels have few training points (Jain et al. 2023, "Renee", section 3.4, "label-text
augmentation": identity rows beside the training rows). A label's row follows the training rows, so that the
rest of a step need not know: row N + l has the text of label l and label l as its only positive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from xmc.data import TokenStore
from xmc.errors import ConfigError
from xmc.training.batches import UniformDraw
from xmc.training.config import TrainConfig

__all__ = ["LabelQueries", "StackedTokens", "build_label_queries", "with_label_rows"]

# Apart from the stream of the pools' uniform draw, which the run's own seed decides.
STREAM = 1 << 31


class LabelQueries:
    """Draws the labels that join each batch as queries."""

    def __init__(self, num_rows: int, num_labels: int, count: int, seed: int) -> None:
        """Prepare the draw.

        Args:
            num_rows: N, the data set's training rows.
            num_labels: L.
            count: Labels a batch, at most L.
            seed: With the batch's number, decides the draw.

        Raises:
            ConfigError: When ``count`` is not in [1, L].
        """
        self.num_rows, self.num_labels, self.count = num_rows, num_labels, count
        self.draw = UniformDraw(num_labels, count, seed=seed + STREAM, option="data.label_queries")

    def extend(self, rows: np.ndarray, step: int) -> np.ndarray:
        """The rows of a batch [B], then those of the labels drawn for it: [B + count]."""
        drawn = np.zeros(self.num_labels, dtype=bool)
        self.draw.add_to(drawn, step)
        return np.concatenate([rows, self.num_rows + np.flatnonzero(drawn)])


def build_label_queries(config: TrainConfig, num_rows: int, num_labels: int) -> LabelQueries | None:
    """The draw that ``config.data.label_queries`` asks for, or None.

    Raises:
        ConfigError: When rows come in clusters or bring mined labels, which a label's row does not.
    """
    count = round(config.data.label_queries * config.training.batch_size)
    if not count:
        return None
    if config.negatives.mined.count or config.negatives.clusters.largest > 1:
        raise ConfigError(
            "data.label_queries: expected neither negatives.mined nor negatives.clusters beside it, as both "
            "are made for training rows: turn one of them off"
        )
    return LabelQueries(num_rows, num_labels, count, config.seed)


class StackedTokens:
    """The tokens of training queries, then of label texts, as one store of N + L rows."""

    def __init__(self, queries: TokenStore, labels: TokenStore) -> None:
        self.parts = (queries, labels)

    def __len__(self) -> int:
        """Number of texts, of all parts together."""
        return sum(len(part) for part in self.parts)

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Flat ids int32 [t] and offsets int64 [n + 1] of rows; those of the labels come last."""
        first = len(self.parts[0])
        chosen: Sequence[np.ndarray] = (rows[rows < first], rows[rows >= first] - first)
        (ids, offsets), (more, later) = (
            part.gather(rows) for part, rows in zip(self.parts, chosen, strict=True)
        )
        return np.concatenate([ids, more]), np.concatenate([offsets, offsets[-1] + later[1:]])


def with_label_rows(relevance: sp.csr_matrix) -> sp.csr_matrix:
    """[N + L, L]: the relevance of the training rows, then every label as the positive of its own row."""
    identity = sp.identity(relevance.shape[1], dtype=relevance.dtype, format="csr")
    return sp.csr_matrix(sp.vstack([relevance, identity], format="csr"))
