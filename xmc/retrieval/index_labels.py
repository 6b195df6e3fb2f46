"""The labels an index is given: their texts and uids, their vectors with offsets, and a sample of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xmc.data.label_texts import FlatTexts
from xmc.encoders.text_input import as_texts
from xmc.errors import ConfigError, DataError
from xmc.retrieval.manifest import IndexManifest
from xmc.retrieval.offsets import warn_of_other_labels
from xmc.retrieval.stores.search import check_finite

if TYPE_CHECKING:
    from xmc.data import Dataset
    from xmc.encoders import CutCount, DualEncoder

__all__ = [
    "CHUNK",
    "chunks",
    "kept_vectors",
    "sample_rows",
    "texts_and_uids",
    "vectors_of",
    "vectors_of_texts",
    "warn_of_untrained",
    "with_offsets",
]

_log = logging.getLogger(__name__)

CHUNK = 65_536
_TRAINING_VECTORS = 262_144


def texts_and_uids(
    encoder: DualEncoder, labels: Dataset | str | Path | Iterable[str], uids: Iterable[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Texts and uids of a data set's or table's labels as the model reads them, or of texts that are given.

    Raises:
        ConfigError: When uids come with a data set.
        DataError: When the labels are no texts.
    """
    from xmc.data import Dataset
    from xmc.retrieval.given_labels import read_labels

    if isinstance(labels, (str, Path)):
        if Path(labels).is_file() and uids is None:
            metadata = encoder.metadata
            given = read_labels(labels, metadata.label_fields, split=metadata.label_texts)
            return given.texts, given.uids
        labels = Dataset.load(labels)
    if not isinstance(labels, Dataset):
        texts = as_texts(labels, "labels")[0]
        if isinstance(uids, str):
            raise DataError(f"expected a uid for every text, got the one string {uids!r}")
        return texts, [str(i) for i in range(len(texts))] if uids is None else as_texts(uids, "uids")[0]
    if uids is not None:
        raise ConfigError("expected uids only with a list of texts: a data set's labels have their own")
    warn_of_other_labels(encoder, labels)
    return encoder.label_texts(labels), labels.uids("labels")


def warn_of_untrained(encoder: DualEncoder, dimension: int) -> None:
    """Log a line when a model was not trained to rank by that many components."""
    trained = encoder.metadata.dimensions
    if trained is None or dimension not in trained:
        told = "whole vectors" if trained is None else f"{', '.join(map(str, trained))} components"
        _log.warning(
            "the model was trained to rank by %s, and the index keeps the first %d: expect less of it "
            "(train with encoder.dimensions)",
            *(told, dimension),
        )


def vectors_of(
    encoder: DualEncoder,
    manifest: IndexManifest,
    texts: Sequence[str],
    uids: Sequence[str],
    cuts: CutCount | None = None,
    kept: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """What an index keeps of labels: their embeddings, with offsets as one column more; [n, W].

    With ``kept``, the vectors [n, D] of the texts from :func:`kept_vectors`, none is encoded.

    Raises:
        ModelError: When an embedding is not finite.
    """
    if kept is None:
        embeddings = encoder.encode_labels(texts, cuts=cuts, uids=uids)
    else:
        embeddings = encoder.with_residuals(np.array(kept), uids)
    return with_offsets(encoder, manifest, embeddings, uids)


def kept_vectors(
    encoder: DualEncoder, labels: Dataset | str | Path | Iterable[str]
) -> NDArray[np.float32] | None:
    """Vectors [L, D] of a data set's labels that a training kept whose label tower this is, or None."""
    from xmc.data import Dataset
    from xmc.encoders.kept_labels import find_label_vectors

    if isinstance(labels, (str, Path)) and Path(labels).is_dir():
        labels = Dataset.load(labels)
    if not isinstance(labels, Dataset):
        return None
    return find_label_vectors(labels, encoder, encoder.metadata.label_fields)


def vectors_of_texts(
    encoder: DualEncoder,
    manifest: IndexManifest,
    texts: Sequence[str],
    uids: Sequence[str],
    cuts: CutCount | None = None,
    kept: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], list[int]]:
    """As `vectors_of`, of all texts of labels, label by label, [m, W]; and how many each label has, [n].

    A label's text has a line for each of its texts where the index has several.
    """
    if not manifest.has_several_texts:
        return vectors_of(encoder, manifest, texts, uids, cuts, kept), [1] * len(uids)
    flat = FlatTexts.of(texts)
    counts = flat.counts.tolist()
    return vectors_of(encoder, manifest, flat.texts, flat.repeated(uids), cuts), counts


def with_offsets(
    encoder: DualEncoder | None, manifest: IndexManifest, embeddings: NDArray[np.float32], uids: Sequence[str]
) -> NDArray[np.float32]:
    """Embeddings [n, D] with the offsets of labels where the index has them; the default without a model.

    Raises:
        ModelError: When an embedding is not finite.
    """
    check_finite(embeddings, "label")
    if not manifest.offset_dimension:
        return embeddings
    from xmc.retrieval.ranker import Ranker

    offsets = None if encoder is None else Ranker.of_model(encoder, uids).offsets
    if offsets is None:
        offsets = np.full(len(uids), manifest.default_offset, dtype=np.float32)
    return np.hstack([embeddings, offsets[:, None]])


def chunks(count: int) -> Iterator[slice]:
    """Slices of at most `CHUNK` of ``count`` labels."""
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))


def sample_rows(count: int) -> NDArray[np.int64]:
    """At most 262,144 rows of ``count``, evenly spread, that an index is trained on."""
    rows = np.linspace(0, count - 1, min(count, _TRAINING_VECTORS))
    return np.unique(rows.astype(np.int64))
