"""Labels in PostgreSQL with the extension pgvector."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change
from xmc.errors import DataError, DependencyError, XMCError
from xmc.received import reading
from xmc.retrieval.hit import Hit

__all__ = ["PgvectorLabels", "open_collection"]


def open_collection(place: str, name: str) -> PgvectorLabels:
    """The table ``name`` of a database by its address; what that leaves open libpq's variables say."""
    import psycopg

    with reading("", "a PostgreSQL database", "is it running? (PGPASSWORD, ~/.pgpass)", XMCError):
        connection = psycopg.connect(place, autocommit=True)
    return PgvectorLabels(connection, name)


class PgvectorLabels:
    """One table; what it is stands in its comment. The primary key is the label's id."""

    batch = 1_000
    most_hits: int | None = None

    def __init__(self, connection: Any, name: str) -> None:
        from psycopg import sql

        self.where = f"the table {name} of the database {connection.info.dbname}"
        self._connection, self._name = connection, name
        self._table = sql.Identifier(name)

    def facts(self) -> ExportFacts | None:
        """As `Engine` says, like all that follows."""
        with reading(self.where, "an answer", error=XMCError):
            found = self._connection.execute(
                "SELECT obj_description(place, 'pg_class'), place FROM to_regclass(quote_ident(%s)) place",
                (self._name,),
            ).fetchone()
        if found[1] is None:
            return None
        with reading(
            self.where, "labels that were exported, not a table of other making", "take another --name"
        ):
            if found[0] is None:
                raise ValueError("it has no comment of an export")
            return ExportFacts.parse(found[0])

    def create(self, facts: ExportFacts) -> None:  # noqa: D102
        from psycopg import sql

        with reading(self.where, "to be made", error=XMCError):
            offered = self._connection.execute(
                "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
            ).fetchone()
            if offered is None:
                raise DependencyError(
                    f"{self.where} needs the extension pgvector, which this server has not: install it there "
                    "(Debian: postgresql-NN-pgvector)"
                )
            with self._connection.transaction():
                self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                self._execute(
                    "CREATE TABLE {} (label bigint PRIMARY KEY, uid text NOT NULL, text text NOT NULL, "
                    "digest bigint NOT NULL, embedding vector({}) NOT NULL)",
                    extra=sql.Literal(facts.width),
                )
                self._execute("COMMENT ON TABLE {} IS {}", extra=sql.Literal(facts.to_json()))

    def drop(self) -> None:  # noqa: D102
        self._execute("DROP TABLE {}")

    def stored(self, low: int, high: int) -> dict[int, int]:  # noqa: D102
        asked = "SELECT label, digest FROM {} WHERE label >= %s AND label < %s"
        return dict(self._execute(asked, (low, high)).fetchall())

    def write(self, change: Change) -> None:
        """One transaction."""
        from psycopg import sql

        rows = change.written
        for uid, text in zip(rows.uids, rows.texts, strict=True):
            if "\0" in uid + text:
                raise DataError(f"the label {uid!r:.80} has a zero byte, which PostgreSQL keeps in no text")
        values = (
            rows.ids.tolist(),
            rows.uids,
            rows.texts,
            rows.digests.tolist(),
            map(_written, rows.vectors),
        )
        upsert = sql.SQL(
            "INSERT INTO {} (label, uid, text, digest, embedding) VALUES (%s, %s, %s, %s, %s::vector) "
            "ON CONFLICT (label) DO UPDATE SET uid = EXCLUDED.uid, text = EXCLUDED.text, "
            "digest = EXCLUDED.digest, embedding = EXCLUDED.embedding"
        ).format(self._table)
        with (
            reading(self.where, "a table that can be written", error=XMCError),
            self._connection.transaction(),
            self._connection.cursor() as cursor,
        ):
            if len(rows):
                cursor.executemany(upsert, list(zip(*values, strict=True)))
            if change.gone:
                self._execute("DELETE FROM {} WHERE label = ANY(%s)", (list(change.gone),))

    def truncate(self, next_id: int) -> None:  # noqa: D102
        self._execute("DELETE FROM {} WHERE label >= %s", (next_id,))

    def finish(self) -> None:
        """Tell the planner how large the table is."""
        self._execute("ANALYZE {}")

    def count(self) -> int:  # noqa: D102
        return int(self._execute("SELECT count(*) FROM {}").fetchone()[0])

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """`<#>` is minus the inner product. Every label is scored, also where the table has an HNSW index."""
        asked = (
            "SELECT label, uid, text, -(embedding <#> %s::vector) FROM {} "
            "ORDER BY embedding <#> %s::vector, label LIMIT %s"
        )
        hits = []
        with self._connection.transaction():
            self._connection.execute("SET LOCAL enable_indexscan = off")
            for query in queries:
                found = self._execute(asked, (_written(query), _written(query), k)).fetchall()
                hits.append([Hit(label, uid, text, score) for label, uid, text, score in found])
        return hits

    def close(self) -> None:  # noqa: D102
        self._connection.close()

    def _execute(self, statement: str, values: tuple[Any, ...] | None = None, *, extra: Any = None) -> Any:
        """A statement whose first braces are the table, and whose second are ``extra``."""
        from psycopg import sql

        parts = (self._table,) if extra is None else (self._table, extra)
        with reading(self.where, "an answer", error=XMCError):
            return self._connection.execute(sql.SQL(statement).format(*parts), values)


def _written(vector: NDArray[np.float32]) -> str:
    """As pgvector reads it; sixteen digits name a float32 exactly."""
    return f"[{','.join(map(repr, vector.tolist()))}]"
