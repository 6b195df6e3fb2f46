"""Labels in Parquet files of at most so many ids each, for whatever loads such; searched by scoring all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change, LabelRows
from xmc.errors import DataError
from xmc.files import atomic_file
from xmc.received import read_json, reading
from xmc.retrieval.hit import Hit

__all__ = ["ParquetLabels", "open_collection"]

MANIFEST = "manifest.json"
_DIGITS = 12


def open_collection(place: str, name: str) -> ParquetLabels:
    """The folder ``place/name``."""
    return ParquetLabels(Path(place) / name)


class ParquetLabels:
    """``manifest.json`` and files ``labels-LOW.parquet``, LOW being the first id that one may hold.

    Columns: label, uid, text, digest, vector (a list of D float32), offset (float32, 0 without offsets).
    ``xmc`` in the metadata of each file's schema is what the manifest says.
    """

    batch = 65_536
    most_hits: int | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)
        self._facts: ExportFacts | None = None

    def facts(self) -> ExportFacts | None:
        """As `Engine` says, like all that follows."""
        if not (self.folder / MANIFEST).is_file():
            if self._has_others():
                raise DataError(
                    f"expected {self.folder} to be an export of labels, got something else, which is left "
                    "alone: take another name (--name) or place"
                )
            return None
        with reading(self.folder / MANIFEST, "the manifest of exported labels", "export anew"):
            self._facts = ExportFacts.parse(read_json(self.folder / MANIFEST))
        return self._facts

    def create(self, facts: ExportFacts) -> None:  # noqa: D102
        with atomic_file(self.folder / MANIFEST) as temporary:
            temporary.write_text(facts.to_json() + "\n", encoding="utf-8")
        self._facts = facts

    def drop(self) -> None:  # noqa: D102
        for file in self._files():
            file.unlink()
        (self.folder / MANIFEST).unlink()
        self._facts = None

    def stored(self, low: int, high: int) -> dict[int, int]:  # noqa: D102
        file = self._file(low)
        if not file.is_file():
            return {}
        with reading(file, "a file of exported labels", "remove it and export again"):
            table = pq.read_table(file, columns=["label", "digest"])
        return dict(zip(table["label"].to_pylist(), table["digest"].to_pylist(), strict=True))

    def write(self, change: Change) -> None:  # noqa: D102
        file = self._file(change.low)
        if not len(change.rows):
            file.unlink(missing_ok=True)
            return
        with atomic_file(file) as temporary:
            pq.write_table(_table(change.rows, self._known()), temporary, compression="zstd")

    def truncate(self, next_id: int) -> None:  # noqa: D102
        for file in self._files():
            if _low(file) >= next_id:
                file.unlink()

    def finish(self) -> None:
        """Remove what an export that was killed has left unfinished; all others appeared whole."""
        for file in self._unfinished():
            file.unlink(missing_ok=True)

    def count(self) -> int:  # noqa: D102
        with reading(self.folder, "files of exported labels", "export again"):
            return sum(pq.read_metadata(file).num_rows for file in self._files())

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:  # noqa: D102
        best: list[list[Hit]] = [[] for _ in queries]
        for ids, uids, texts, vectors in self._read():
            scores = queries @ vectors.T
            for row, own in enumerate(scores):
                top = _best(own, ids, k)
                found = [Hit(int(ids[i]), uids[i].as_py(), texts[i].as_py(), float(own[i])) for i in top]
                best[row] = sorted(best[row] + found, key=lambda hit: (-hit.score, hit.label))[:k]
        return best

    def close(self) -> None:
        """Nothing is open."""

    def _read(self) -> Iterator[tuple[NDArray[np.int64], pa.Array, pa.Array, NDArray[np.float32]]]:
        facts = self._known()
        for file in self._files():
            with reading(file, "a file of exported labels", "remove it and export again"):
                table = pq.read_table(file, schema=_schema(facts)).combine_chunks()
                vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, facts.dimension)
                if facts.offset_dimension:
                    vectors = np.hstack([vectors, table["offset"].to_numpy()[:, None]])
                if len(vectors) != len(table):
                    raise ValueError(f"it has {len(table)} labels and {len(vectors)} vectors")
            uids, texts = table["uid"].combine_chunks(), table["text"].combine_chunks()
            yield table["label"].to_numpy(), uids, texts, vectors

    def _known(self) -> ExportFacts:
        facts = self._facts or self.facts()
        if facts is None:
            raise DataError(f"expected exported labels in {self.folder}, got none: export first")
        return facts

    def _has_others(self) -> bool:
        """Whether the place holds anything that no export left."""
        if not self.folder.is_dir():
            return self.folder.exists()
        return bool(set(self.folder.iterdir()) - set(self._unfinished()))

    def _unfinished(self) -> list[Path]:
        """What `atomic_file` was writing when its process was killed."""
        names = (MANIFEST, f"labels-{'[0-9]' * _DIGITS}.parquet")
        return [file for name in names for file in self.folder.glob(f".{name}.*.partial")]

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"labels-{'[0-9]' * _DIGITS}.parquet"))

    def _file(self, low: int) -> Path:
        return self.folder / f"labels-{low:0{_DIGITS}d}.parquet"


def _best(scores: NDArray[np.float32], ids: NDArray[np.int64], k: int) -> list[int]:
    """Places of the k best scores [n], ties by id; all that tie with the last of them are looked at."""
    places = np.arange(len(scores))
    if len(scores) > k:
        places = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
    order = np.lexsort((ids[places], -scores[places]))[:k]
    return [int(place) for place in places[order]]


def _low(file: Path) -> int:
    return int(file.stem.rpartition("-")[2])


def _schema(facts: ExportFacts) -> pa.Schema:
    return pa.schema(
        [
            pa.field("label", pa.int64(), nullable=False),
            pa.field("uid", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("digest", pa.int64(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), facts.dimension), nullable=False),
            pa.field("offset", pa.float32(), nullable=False),
        ],
        metadata={"xmc": facts.to_json()},
    )


def _table(rows: LabelRows, facts: ExportFacts) -> pa.Table:
    own = np.ascontiguousarray(rows.vectors[:, : facts.dimension])
    offsets = rows.vectors[:, -1] if facts.offset_dimension else np.zeros(len(rows), dtype=np.float32)
    columns = [
        pa.array(rows.ids),
        pa.array(rows.uids, pa.string()),
        pa.array(rows.texts, pa.string()),
        pa.array(rows.digests),
        pa.FixedSizeListArray.from_arrays(pa.array(own.ravel()), facts.dimension),
        pa.array(np.ascontiguousarray(offsets)),
    ]
    return pa.Table.from_arrays(columns, schema=_schema(facts))
