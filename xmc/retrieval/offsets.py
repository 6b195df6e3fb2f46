"""A model's learned label offsets in the units of an inner product, for any list of labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from xmc.data import Dataset
    from xmc.encoders import DualEncoder

__all__ = ["default_offset", "learned_offsets", "warn_of_other_labels"]

_log = logging.getLogger(__name__)


def learned_offsets(encoder: DualEncoder, uids: Sequence[str]) -> NDArray[np.float32] | None:
    """Offset / scale of every label [L], to be added to ``q.e``; None when the model has none for them.

    A label the model does not know (one added after training) gets the median of the learned offsets: it is
    neither favoured nor held back.
    """
    learned = encoder.label_offsets
    if learned is None or not len(learned.uids):
        return None
    scale = encoder.metadata.scale
    if list(learned.uids) == list(uids):
        return _per_scale(learned.offsets, scale)
    position = {uid: i for i, uid in enumerate(learned.uids)}
    rows = np.array([position.get(uid, -1) for uid in uids], dtype=np.int64)
    if (rows < 0).all():
        return None
    values = _per_scale(learned.offsets, scale)[rows]
    values[rows < 0] = default_offset(encoder)
    return values


def _per_scale(offsets: np.ndarray, scale: float) -> NDArray[np.float32]:
    return np.asarray(np.asarray(offsets, dtype=np.float32) / np.float32(scale), dtype=np.float32)


def default_offset(encoder: DualEncoder) -> float:
    """Offset over scale of a label the model does not know: the median of the learned ones, 0 without any."""
    learned = encoder.label_offsets
    if learned is None or not len(learned.uids):
        return 0.0
    return float(np.median(learned.offsets) / encoder.metadata.scale)


def warn_of_other_labels(encoder: DualEncoder, dataset: Dataset) -> None:
    """Log a line when offsets or residuals were learned with other labels: only uids then tie them."""
    learned = encoder.metadata.label_fingerprint
    has_any = encoder.label_offsets is not None or encoder.label_residuals is not None
    if has_any and learned not in (None, dataset.label_fingerprint):
        _log.warning(
            "the model's label offsets or residuals were learned with the labels of %s, which are not those "
            "of %s: each label takes those of the label with its uid",
            encoder.metadata.dataset,
            dataset.name,
        )
