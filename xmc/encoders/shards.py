"""Embeddings of a data set's texts in Parquet shards that any number of processes write, and go on with.

A shard holds the embeddings of a fixed range of rows, encoded by itself: which process writes it, and how
many there are, changes no bit of it. Processes do not talk to each other; one that dies takes no other along.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xmc.data import Dataset
from xmc.encoders.cut_count import CutCount
from xmc.errors import ConfigError, DataError
from xmc.files import atomic_file
from xmc.received import read_json, reading
from xmc.typed import from_plain

if TYPE_CHECKING:
    from xmc.encoders.dual_encoder import DualEncoder

__all__ = ["ROWS", "EncodedShards", "ShardFacts", "shards_of_rank"]

ROWS = 16_384
"""Of a shard by default: as many texts as are packed by length together."""

MANIFEST = "manifest.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class ShardFacts:
    """Of what the shards of a folder are; every process that writes there has the same."""

    model_fingerprint: str
    texts_fingerprint: str
    dataset: str
    """Its name."""
    split: str
    """train, test or labels."""
    count: int
    """N, of texts."""
    dimension: int
    """D."""
    rows: int
    """Of a shard; the last has what is left."""
    format_version: int = FORMAT_VERSION

    @property
    def shards(self) -> int:
        """How many there are."""
        return math.ceil(self.count / self.rows)

    def bounds(self, shard: int) -> tuple[int, int]:
        """The half-open range of a shard's rows."""
        return shard * self.rows, min((shard + 1) * self.rows, self.count)


def shards_of_rank(shards: int, rank: int, size: int) -> range:
    """Every ``size``-th shard from ``rank`` on: each is one rank's, and ranks have as many, or one less.

    Raises:
        ConfigError: When ``rank`` is not in ``range(size)``.
    """
    if not 0 <= rank < size:
        raise ConfigError(f"expected 0 <= rank < size, got {rank=}, {size=}")
    return range(rank, shards, size)


class EncodedShards:
    """The folder ``out`` of ``manifest.json`` and ``shard-00000.parquet`` with row, uid and vector.

    Args:
        encoder: The model; queries go through its query side, labels through the other, with their residuals.
        dataset: A prepared data set.
        split: "train", "test" or "labels".
        out: The folder, new or one of the same model, texts and rows.
        rows: Texts of a shard.

    Raises:
        ConfigError: When ``rows`` is below 1, or shards of other facts are there.
        DataError: When something else is there, or the split has no texts.
    """

    def __init__(
        self, encoder: DualEncoder, dataset: Dataset, split: str, out: str | Path, *, rows: int = ROWS
    ) -> None:
        if rows < 1:
            raise ConfigError(f"--rows: expected 1 or more texts in a shard, got {rows}")
        self._encoder, self._folder = encoder, Path(out)
        is_labels = split == "labels"
        self._texts = encoder.label_texts(dataset) if is_labels else encoder.query_texts(dataset, split)
        self._uids = dataset.uids(split)
        if not len(self._texts):
            raise DataError(f"expected texts to encode, but {dataset.name} has no rows of {split}")
        self.facts = ShardFacts(
            model_fingerprint=encoder.fingerprint,
            texts_fingerprint=self._texts.fingerprint,
            dataset=dataset.name,
            split=split,
            count=len(self._texts),
            dimension=encoder.dimension,
            rows=rows,
        )
        self._begin()

    def _begin(self) -> None:
        """Check what is there; whichever process comes first writes the manifest, and all write the same."""
        place = self._folder / MANIFEST
        if not place.is_file():
            if self._folder.exists() and (not self._folder.is_dir() or self._foreign()):
                raise DataError(
                    f"expected a new folder, or one of encoded shards, but {self._folder} holds something "
                    "else, which is left alone: choose another"
                )
            with atomic_file(place) as temporary:
                temporary.write_text(json.dumps(asdict(self.facts), indent=2) + "\n", encoding="utf-8")
            return
        with reading(place, "the manifest of encoded shards", "remove the folder and encode again"):
            there = from_plain(ShardFacts, read_json(place))
        for name, expected in asdict(there).items():
            if (came := getattr(self.facts, name)) != expected:
                raise ConfigError(
                    f"{self._folder} holds shards of another {name.replace('_', ' ')}: {expected}, and this "
                    f"is {came}: choose another folder, or go on as it was begun"
                )

    def _foreign(self) -> bool:
        # Another process may just be writing its first files: what it has not finished begins with a dot.
        own = (".", "shard-", MANIFEST)
        return any(not path.name.startswith(own) for path in self._folder.iterdir())

    def place(self, shard: int) -> Path:
        """A shard's file."""
        return self._folder / f"shard-{shard:05d}.parquet"

    def is_there(self, shard: int) -> bool:
        """Whether a shard was written, whole; a damaged file counts as none."""
        low, high = self.facts.bounds(shard)
        if not self.place(shard).is_file():
            return False
        try:
            footer = pq.read_metadata(self.place(shard))
        except (pa.ArrowException, OSError):
            return False
        same = (footer.metadata or {}).get(b"xmc") == json.dumps(asdict(self.facts)).encode()
        return bool(same and footer.num_rows == high - low)

    def missing(self) -> Iterator[int]:
        """Shards that are not there."""
        return (shard for shard in range(self.facts.shards) if not self.is_there(shard))

    def write(self, shard: int, *, cuts: CutCount | None = None) -> None:
        """Encode the rows of a shard and write its file, whole or not at all.

        Args:
            shard: Its number, from 0.
            cuts: Counts the texts that are longer than the model reads.
        """
        low, high = self.facts.bounds(shard)
        texts, uids = self._texts[low:high], list(self._uids[low:high])
        if self.facts.split == "labels":
            vectors = self._encoder.encode_labels(texts, cuts=cuts, uids=uids)
        else:
            vectors = self._encoder.encode_queries(texts, cuts=cuts)
        columns = {
            "row": pa.array(np.arange(low, high)),
            "uid": pa.array(uids, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self.facts.dimension),
        }
        table = pa.table(columns).replace_schema_metadata({"xmc": json.dumps(asdict(self.facts))})
        with atomic_file(self.place(shard)) as temporary:
            pq.write_table(table, temporary)
