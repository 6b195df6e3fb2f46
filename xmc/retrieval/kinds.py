"""Kinds of index by a friendly name: what stores the vectors, and how many lists or codes by the counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.errors import ConfigError
from xmc.retrieval.stores.protocol import VectorStore
from xmc.retrieval.stores.table import STORAGES, TableStore

if TYPE_CHECKING:
    from xmc.retrieval.stores.faiss_store import FaissStore

__all__ = ["KINDS", "IndexKind", "choose_kind"]

KINDS: Mapping[str, str] = {
    "exact": "every label is scored, by torch and without FAISS; float16 or int8 vectors make it smaller",
    "flat": "every label is scored, by FAISS",
    "ivf": "the labels of the nearest lists are scored",
    "hnsw": "a graph of neighbours is walked",
    "ivfpq": "lists of product codes, a byte for 8 dimensions; refine it",
    "sq8": "every label is scored by codes of a byte a dimension",
    "binary": "bits find candidates, and vectors score them",
    "fastscan": "codes of two bits a dimension find candidates, and vectors score them",
}
"""Name to one line of what it does; anything else is a factory string of FAISS."""

_DIMENSIONS_A_CODE = 8
_DIMENSIONS_A_NIBBLE, _CENTROIDS_A_NIBBLE = 2, 16
_CANDIDATES = ("binary", "fastscan")
"""Kinds whose codes only find candidates."""
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
        return self.refine or self.name in ("exact", *_CANDIDATES)

    @property
    def uses_faiss(self) -> bool:
        """Whether FAISS is needed."""
        return self.name != "exact"

    @property
    def least_to_train(self) -> int | None:
        """Vectors that such an index can be trained on, of whatever count it was; None where lists decide."""
        return {"binary": 1, "fastscan": _CENTROIDS_A_NIBBLE}.get(self.name)

    @property
    def always_refined(self) -> bool:
        """Whether it keeps vectors beside FAISS without being asked to."""
        return self.name in _CANDIDATES

    def make(self, dimension: int, with_offsets: bool) -> VectorStore:
        """An empty store for embeddings of ``dimension``, and an offset where labels have them.

        Raises:
            ConfigError: When FAISS cannot make it.
        """
        width = dimension + with_offsets
        table = TableStore(dimension, with_offsets, self.storage)
        if self.name == "exact":
            return table
        found: VectorStore
        if self.name == "binary":
            from xmc.retrieval.stores.binary import BinaryStore

            found = BinaryStore(width)
        else:
            found = self._faiss_store().make(width, self.factory)
        return self._refined(found, table) if self.has_table else found

    @staticmethod
    def _refined(found: VectorStore, table: TableStore) -> VectorStore:
        from xmc.retrieval.stores.refined import RefinedStore

        return RefinedStore(found, table)

    def _faiss_store(self) -> type[FaissStore]:
        if self.name == "fastscan":
            from xmc.retrieval.stores.fast_scan import FastScanStore

            return FastScanStore
        from xmc.retrieval.stores.faiss_store import FaissStore

        return FaissStore

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
        found: VectorStore
        if self.name == "binary":
            from xmc.retrieval.stores.binary import BinaryStore

            found = BinaryStore.read(folder, dimension + with_offsets)
        else:
            found = self._faiss_store().read(folder, self.factory, next_slot, mapped=mapped)
        return self._refined(found, table()) if self.has_table else found


def choose_kind(
    kind: str, width: int, count: int, storage: str = "float32", refine: bool = False
) -> IndexKind:
    """The kind of a name or factory string, for ``count`` vectors of ``width`` numbers.

    IVF takes about 4 sqrt(count) lists, a power of two, but no more than 39 labels each can train. Product
    codes are a byte for 8 dimensions, padded up to a multiple of 8; those of a fast scan are 4 bits for 2,
    whose tables fit the processor's registers (André et al. 2017, "Accelerated nearest neighbor search with
    Quick ADC").

    Raises:
        ConfigError: For a storage or a refinement that the kind has no use for.
    """
    if storage not in STORAGES:
        raise ConfigError(f"expected a storage of {', '.join(STORAGES)}, got {storage!r}")
    lists = _lists(count)
    codes, nibbles = -(-width // _DIMENSIONS_A_CODE), -(-width // _DIMENSIONS_A_NIBBLE)
    factory = {
        "exact": "",
        "flat": "Flat",
        "ivf": f"IVF{lists},Flat",
        "hnsw": "HNSW32",
        "ivfpq": _padded(width, codes * _DIMENSIONS_A_CODE) + f"IVF{lists},PQ{codes}",
        "sq8": "SQ8",
        "binary": "",
        "fastscan": _padded(width, nibbles * _DIMENSIONS_A_NIBBLE) + f"PQ{nibbles}x4fs",
    }.get(kind, kind)
    name = kind if kind in KINDS else "factory"
    chosen = IndexKind(name, factory, storage, refine or kind in _CANDIDATES)
    if kind == "exact" and refine:
        raise ConfigError("expected no refinement of an exact index, which scores every label by its vector")
    if storage != "float32" and not chosen.has_table:
        raise ConfigError(
            f"expected a storage of {storage} with an index that is exact, binary, fastscan or refined, got "
            f"{kind!r}: FAISS keeps its own vectors (SQfp16 and SQ8 are half and a quarter the size)"
        )
    return chosen


def _padded(width: int, wanted: int) -> str:
    return f"Pad{wanted}," if wanted != width else ""


def _lists(count: int) -> int:
    wanted = min(4 * count**0.5, count / _POINTS_A_LIST)
    return 1 << max(0, int(wanted).bit_length() - 1)
