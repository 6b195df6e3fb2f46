"""Kinds of index by a friendly name: what stores the vectors, and how many lists or codes by the counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xmc.errors import ConfigError
from xmc.retrieval.stores.protocol import VectorStore
from xmc.retrieval.stores.table import STORAGES, TableStore

__all__ = ["KINDS", "IndexKind", "choose_kind"]

KINDS: Mapping[str, str] = {
    "exact": "every label is scored, by torch and without FAISS; float16 or int8 vectors make it smaller",
    "flat": "every label is scored, by FAISS",
    "ivf": "the labels of the nearest lists are scored",
    "hnsw": "a graph of neighbours is walked",
    "ivfpq": "lists of product codes, a byte for 8 dimensions; refine it",
    "sq8": "every label is scored by codes of a byte a dimension",
    "binary": "bits find candidates, and vectors score them",
}
"""Name to one line of what it does; anything else is a factory string of FAISS."""

_DIMENSIONS_A_CODE = 8
_POINTS_A_LIST = 39
"""FAISS wants so many points a centroid to train on."""


@dataclass(frozen=True)
class IndexKind:
    """How an index keeps and finds vectors.

    Attributes:
        name: One of `KINDS`, or "factory".
        factory: FAISS's factory string; "" where FAISS finds nothing, or only bits.
        storage: Of the vectors beside FAISS: float32, float16 or int8.
        refine: Whether candidates are scored by vectors beside FAISS.
    """

    name: str
    factory: str
    storage: str = "float32"
    refine: bool = False

    @property
    def has_table(self) -> bool:
        """Whether vectors are kept beside FAISS."""
        return self.refine or self.name in ("exact", "binary")

    @property
    def uses_faiss(self) -> bool:
        """Whether FAISS is needed."""
        return self.name != "exact"

    def make(self, dimension: int, with_offsets: bool) -> VectorStore:
        """An empty store for embeddings of ``dimension``, and an offset where labels have them.

        Raises:
            ConfigError: When FAISS cannot make it.
        """
        width = dimension + with_offsets
        table = TableStore(dimension, with_offsets, self.storage)
        if self.name == "exact":
            return table
        from xmc.retrieval.stores.binary import BinaryStore
        from xmc.retrieval.stores.faiss_store import FaissStore
        from xmc.retrieval.stores.refined import RefinedStore

        found = BinaryStore(width) if self.name == "binary" else FaissStore.make(width, self.factory)
        return RefinedStore(found, table) if self.has_table else found

    def read(
        self, folder: Path, dimension: int, with_offsets: bool, next_slot: int, *, mapped: bool = False
    ) -> VectorStore:
        """The store whose files are in a folder.

        Raises:
            DataError: When a file is not what the kind says.
        """

        def table() -> TableStore:
            return TableStore.read(folder, dimension, with_offsets, self.storage, mapped=mapped)

        if self.name == "exact":
            return table()
        from xmc.retrieval.stores.binary import BinaryStore
        from xmc.retrieval.stores.faiss_store import FaissStore
        from xmc.retrieval.stores.refined import RefinedStore

        found: VectorStore
        if self.name == "binary":
            found = BinaryStore.read(folder, dimension + with_offsets)
        else:
            found = FaissStore.read(folder, self.factory, next_slot, mapped=mapped)
        return RefinedStore(found, table()) if self.has_table else found


def choose_kind(
    kind: str, width: int, count: int, storage: str = "float32", refine: bool = False
) -> IndexKind:
    """The kind of a name or factory string, for ``count`` vectors of ``width`` numbers.

    IVF takes about 4 sqrt(count) lists, a power of two, but no more than 39 labels each can train. Product
    codes are a byte for 8 dimensions, padded up to a multiple of 8.

    Raises:
        ConfigError: For a storage or a refinement that the kind has no use for.
    """
    if storage not in STORAGES:
        raise ConfigError(f"expected a storage of {', '.join(STORAGES)}, got {storage!r}")
    lists = _lists(count)
    padded = _DIMENSIONS_A_CODE * -(-width // _DIMENSIONS_A_CODE)
    before = f"Pad{padded}," if padded != width else ""
    factory = {
        "exact": "",
        "flat": "Flat",
        "ivf": f"IVF{lists},Flat",
        "hnsw": "HNSW32",
        "ivfpq": f"{before}IVF{lists},PQ{padded // _DIMENSIONS_A_CODE}",
        "sq8": "SQ8",
        "binary": "",
    }.get(kind, kind)
    chosen = IndexKind(kind if kind in KINDS else "factory", factory, storage, refine or kind == "binary")
    if kind == "exact" and refine:
        raise ConfigError("expected no refinement of an exact index, which scores every label by its vector")
    if storage != "float32" and not chosen.has_table:
        raise ConfigError(
            f"expected a storage of {storage} with an exact, binary or refined index, got {kind!r}: FAISS "
            "keeps its own vectors (SQfp16 and SQ8 are half and a quarter the size)"
        )
    return chosen


def _lists(count: int) -> int:
    wanted = min(4 * count**0.5, count / _POINTS_A_LIST)
    return 1 << max(0, int(wanted).bit_length() - 1)
