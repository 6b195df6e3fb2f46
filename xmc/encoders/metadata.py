"""What is kept beside a plain sentence-transformers folder: ``xmc.json`` and the labels' offsets."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xmc.data.columns import read_columns
from xmc.data.label_texts import FOLDS, SPLITS_OF_TEXTS
from xmc.errors import ModelError
from xmc.received import read_json, reading
from xmc.typed import from_plain

__all__ = ["EncoderMetadata", "LabelOffsets"]

FORMAT_VERSION = 1
METADATA_FILE = "xmc.json"
RANKINGS = ("score", "magnitude")
OFFSETS_FILE = "label_offsets.parquet"
_OFFSETS = pa.schema([("uid", pa.string()), ("offset", pa.float32())])


@dataclass(frozen=True)
class EncoderMetadata:
    """What scoring and indexing need to know about a model; saved as ``xmc.json`` in its folder."""

    scale: float = 20.0
    """A score is scale x (query . label) + offset."""

    query_fields: tuple[str, ...] | None = None
    """Those of a data set's "title" and "content" that make a query's text for this model; None: every one
    the data set reads by default."""

    query_columns: tuple[str, ...] | None = None
    """The names of the columns that the training queries' ``query_fields`` had in a table, in their order, by
    which queries to predict for are found; None where they had none, and in models of before it was kept."""

    label_fields: tuple[str, ...] | None = None
    """As ``query_fields``, of a label's text."""

    label_texts: str = "joint"
    """What the texts of a label are: "joint" (one), "fields" or "lines"; see `xmc.data.label_texts`."""

    label_fold: str = "max"
    """A label's score of its texts': "max" or "top2"."""

    dataset: str | None = None
    """Name of the data set it was trained on; None before training."""

    label_fingerprint: str | None = None
    """Fingerprint of that data set's labels."""

    dataset_fingerprint: str | None = None
    """Fingerprint of that data set, rows and relevance included; None in models of before it was kept."""

    tied: bool = True
    query_length: int | None = None
    label_length: int | None = None

    has_offsets: bool = False
    """Whether ``label_offsets.parquet`` belongs to the model."""

    has_residuals: bool = False
    """Whether ``label_residuals.*`` belong to the model."""

    has_label_table: bool = False
    """Whether ``label_table.*`` belong to the model: label vectors that stand for encoded label texts."""

    dimensions: tuple[int, ...] | None = None
    """Prefixes of its vectors that were trained to rank by themselves; None for the whole ones alone."""

    ranking: str = "score"
    """"score" ranks labels by their score; "magnitude" by ``|q.w + ranking_shift|``."""

    ranking_shift: float = 0.0
    """See ``ranking``."""

    format_version: int = FORMAT_VERSION

    def save(self, folder: Path) -> None:
        """Write ``xmc.json`` into ``folder``."""
        (folder / METADATA_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> EncoderMetadata | None:
        """Read ``xmc.json`` from ``folder``; None when there is none, as in a model of other making.

        Raises:
            ModelError: When the file is not what this version writes.
        """
        path = folder / METADATA_FILE
        if not path.exists():
            return None
        with reading(path, "a JSON object with the keys of this version", "save the model anew", ModelError):
            values = read_json(path)
            version = values["format_version"]
            # Read before the other keys: a later version may have renamed them.
            if version != FORMAT_VERSION:
                raise ModelError(
                    f"expected format version {FORMAT_VERSION} in {path}, got {version!r:.40}: update xmc"
                )
            if lacking := [name for name in ("query_fields", "label_fields") if name not in values]:
                raise ValueError(f"it lacks {lacking[0]!r}")
            metadata = from_plain(cls, values)
            for name, choices in (("label_texts", SPLITS_OF_TEXTS), ("label_fold", FOLDS)):
                if getattr(metadata, name) not in choices:
                    raise ValueError(
                        f"{name}: expected one of {choices}, got {getattr(metadata, name)!r:.80}"
                    )
            if metadata.ranking not in RANKINGS:
                raise ValueError(f"ranking: expected {' or '.join(RANKINGS)}, got {metadata.ranking!r:.80}")
            if metadata.dimensions is not None and min(metadata.dimensions, default=0) < 1:
                raise ValueError(
                    f"dimensions: expected numbers above 0, got {list(metadata.dimensions)}"[:200]
                )
            return metadata


@dataclass(eq=False)
class LabelOffsets:
    """A learned number per label that is added to its score, whatever the query.

    Raises:
        ModelError: When the two do not have the same length, or an offset is not finite.
    """

    uids: list[str]
    """Names of the L labels."""

    offsets: np.ndarray
    """float32 [L], in units of the score (after the scale)."""

    def __post_init__(self) -> None:
        """Turn the offsets to float32; a ModelError where they do not fit the uids or are not finite."""
        self.offsets = np.asarray(self.offsets, dtype=np.float32)
        if self.offsets.shape != (len(self.uids),):
            raise ModelError(f"expected {len(self.uids)} label offsets, got shape {self.offsets.shape}")
        if not np.isfinite(self.offsets).all():
            raise ModelError("expected finite label offsets, got NaN or infinity: training has diverged")

    def save(self, folder: Path) -> None:
        """Write ``label_offsets.parquet`` (uid, offset) into ``folder``."""
        columns = {"uid": pa.array(self.uids, pa.string()), "offset": pa.array(self.offsets, pa.float32())}
        pq.write_table(pa.table(columns), folder / OFFSETS_FILE)

    @classmethod
    def load(cls, folder: Path) -> LabelOffsets:
        """Read ``label_offsets.parquet`` from ``folder``.

        Raises:
            ModelError: When it is missing or malformed.
        """
        path = folder / OFFSETS_FILE
        with reading(path, "label offsets (uid, offset)", error=ModelError):
            columns = read_columns(path, _OFFSETS)
        return cls(columns["uid"], np.array(columns["offset"], dtype=np.float32))
