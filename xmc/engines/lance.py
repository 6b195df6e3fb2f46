"""Labels in LanceDB: a folder of Lance files, or one in object storage, without a server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change, LabelRows
from xmc.errors import DataError, XMCError
from xmc.received import reading
from xmc.retrieval.hit import Hit

__all__ = ["LanceLabels", "open_collection"]


def open_collection(place: str, name: str) -> LanceLabels:
    """The table ``name`` of the database at ``place``."""
    import lancedb

    with reading(place, "a LanceDB database", "is it a folder that can be written?", XMCError):
        return LanceLabels(lancedb.connect(place), place, name)


class LanceLabels:
    """One table; what it is stands under ``xmc`` in the metadata of its schema."""

    batch = 16_384
    most_hits: int | None = None

    def __init__(self, database: Any, place: str, name: str) -> None:
        self.where = f"the LanceDB table {name} in {place}"
        self._database, self._name = database, name
        self._table: Any = None

    def facts(self) -> ExportFacts | None:
        """As `Engine` says, like all that follows."""
        with reading(self.where, "a table that can be opened", error=XMCError):
            if self._name not in _table_names(self._database):
                return None
            self._table = self._database.open_table(self._name)
            kept = (self._table.schema.metadata or {}).get(b"xmc")
        if kept is None:
            raise DataError(f"{self.where} is of other making, which is left alone: take another --name")
        with reading(self.where, "labels that were exported", "take another --name"):
            return ExportFacts.parse(kept)

    def create(self, facts: ExportFacts) -> None:  # noqa: D102
        with reading(self.where, "to be made", error=XMCError):
            self._table = self._database.create_table(self._name, schema=_schema(facts))

    def drop(self) -> None:  # noqa: D102
        self._database.drop_table(self._name)
        self._table = None

    def stored(self, low: int, high: int) -> dict[int, int]:  # noqa: D102
        with reading(self.where, "a table that can be read", error=XMCError):
            asked = self._table.search().where(f"label >= {low} AND label < {high}")
            found = asked.select(["label", "digest"]).limit(high - low).to_arrow()
        return dict(zip(found["label"].to_pylist(), found["digest"].to_pylist(), strict=True))

    def write(self, change: Change) -> None:  # noqa: D102
        rows = change.written
        with reading(self.where, "a table that can be written", error=XMCError):
            if len(rows):
                merge = self._table.merge_insert("label")
                merge = merge.when_matched_update_all().when_not_matched_insert_all()
                merge.execute(_rows(rows, self._table.schema))
            if change.gone:
                self._table.delete(f"label IN ({', '.join(map(str, change.gone))})")

    def truncate(self, next_id: int) -> None:  # noqa: D102
        self._table.delete(f"label >= {next_id}")

    def finish(self) -> None:
        """Put the fragments that batches left together."""
        with reading(self.where, "a table that can be written", error=XMCError):
            self._table.optimize()

    def count(self) -> int:  # noqa: D102
        return int(self._table.count_rows())

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:  # noqa: D102
        hits = []
        with reading(self.where, "a table that can be searched", error=XMCError):
            for query in queries:
                asked = self._table.search(query, vector_column_name="vector").distance_type("dot")
                # Every label is scored, also where the table has an index of its own.
                asked = asked.bypass_vector_index().select(["label", "uid", "text", "_distance"])
                hits.append(
                    [
                        # LanceDB's distance is one minus the inner product.
                        Hit(row["label"], row["uid"], row["text"], 1.0 - row["_distance"])
                        for row in asked.limit(k).to_list()
                    ]
                )
        return hits

    def close(self) -> None:
        """Nothing is held open."""


def _table_names(database: Any) -> list[str]:
    names: list[str] = []
    token = None
    while True:
        page = database.list_tables(page_token=token)
        names += page.tables
        token = page.page_token
        if not token:
            return names


def _schema(facts: ExportFacts) -> pa.Schema:
    return pa.schema(
        [
            ("label", pa.int64()),
            ("uid", pa.string()),
            ("text", pa.string()),
            ("digest", pa.int64()),
            ("vector", pa.list_(pa.float32(), facts.width)),
        ],
        metadata={"xmc": facts.to_json()},
    )


def _rows(rows: LabelRows, schema: pa.Schema) -> pa.Table:
    width = rows.vectors.shape[1]
    columns = [
        pa.array(rows.ids),
        pa.array(rows.uids, pa.string()),
        pa.array(rows.texts, pa.string()),
        pa.array(rows.digests),
        pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors.ravel()), width),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
