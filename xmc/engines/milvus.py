"""Labels in Milvus: a server, or a file that Milvus Lite opens in this process."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.engines.catalogue import KEY_VARIABLE
from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change
from xmc.errors import DataError, XMCError
from xmc.received import reading
from xmc.retrieval.hit import Hit

__all__ = ["MilvusLabels", "is_no_missing_method", "open_collection"]

_SERVER_LOG = logging.getLogger("grpc._server")

_MOST_BYTES = 65_535
"""Of a text that Milvus keeps."""


def open_collection(place: str, name: str) -> MilvusLabels:
    """The collection ``name`` of a server by its address, or of a file that ends in .db."""
    from pymilvus import MilvusClient

    _SERVER_LOG.addFilter(is_no_missing_method)
    try:
        with reading(place, "a Milvus server, or a file that ends in .db (milvus-lite)", error=XMCError):
            client = MilvusClient(place, token=os.environ.get(KEY_VARIABLE, ""))
    except XMCError:
        _SERVER_LOG.removeFilter(is_no_missing_method)
        raise
    return MilvusLabels(client, place, name)


def is_no_missing_method(record: logging.LogRecord) -> bool:
    """Whether a line of the server's log is to be shown: all but that a method is not there.

    Milvus Lite's server, in this process, has not all that the client asks for and does without. A method
    that it cannot do without fails in the client, with an error of its own.
    """
    kind = record.exc_info[0] if record.exc_info else None
    return not (kind is NotImplementedError and "Method not implemented!" in record.getMessage())


class MilvusLabels:
    """One collection; what it is stands under ``xmc`` in its properties. The key is the label's id."""

    batch = 1_000
    most_hits = 16_384

    def __init__(self, client: Any, place: str, name: str) -> None:
        self.where = f"the Milvus collection {name} at {place}"
        self._client, self._name = client, name

    def facts(self) -> ExportFacts | None:
        """As `Engine` says, like all that follows."""
        with reading(self.where, "an answer", "is the server running?", XMCError):
            if not self._client.has_collection(self._name):
                return None
            kept = (self._client.describe_collection(self._name).get("properties") or {}).get("xmc")
        if kept is None:
            raise DataError(f"{self.where} is of other making, which is left alone: take another --name")
        with reading(self.where, "labels that were exported", "take another --name"):
            facts = ExportFacts.parse(kept)
        self._client.load_collection(self._name)
        return facts

    def create(self, facts: ExportFacts) -> None:  # noqa: D102
        from pymilvus import DataType

        with reading(self.where, "to be made", error=XMCError):
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("label", DataType.INT64, is_primary=True)
            schema.add_field("uid", DataType.VARCHAR, max_length=_MOST_BYTES)
            schema.add_field("text", DataType.VARCHAR, max_length=_MOST_BYTES)
            schema.add_field("digest", DataType.INT64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=facts.width)
            index = self._client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="IP")
            self._client.create_collection(
                self._name,
                schema=schema,
                index_params=index,
                consistency_level="Strong",
                properties={"xmc": facts.to_json()},
            )

    def drop(self) -> None:  # noqa: D102
        self._client.drop_collection(self._name)

    def stored(self, low: int, high: int) -> dict[int, int]:  # noqa: D102
        found: dict[int, int] = {}
        with reading(self.where, "an answer", error=XMCError):
            # Milvus answers with 16,384 rows at most.
            for start in range(low, high, 16_384):
                stop = min(start + 16_384, high)
                asked = f"label >= {start} and label < {stop}"
                rows = self._client.query(self._name, filter=asked, output_fields=["label", "digest"])
                found.update((int(row["label"]), int(row["digest"])) for row in rows)
        return found

    def write(self, change: Change) -> None:  # noqa: D102
        rows = change.written
        for what, values in (("uid", rows.uids), ("text", rows.texts)):
            for uid, value in zip(rows.uids, values, strict=True):
                if len(value.encode()) > _MOST_BYTES:
                    raise DataError(
                        f"the {what} of the label {uid!r:.80} has {len(value.encode()):,} bytes, more than "
                        f"the {_MOST_BYTES:,} that Milvus keeps: shorten it (xmc index update)"
                    )
        columns = (rows.ids.tolist(), rows.uids, rows.texts, rows.digests.tolist(), rows.vectors.tolist())
        names = ("label", "uid", "text", "digest", "vector")
        with reading(self.where, "a collection that can be written", error=XMCError):
            if len(rows):
                data = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
                self._client.upsert(self._name, data)
            if change.gone:
                self._client.delete(self._name, ids=list(change.gone))

    def truncate(self, next_id: int) -> None:  # noqa: D102
        with reading(self.where, "a collection that can be written", error=XMCError):
            self._client.delete(self._name, filter=f"label >= {next_id}")

    def finish(self) -> None:  # noqa: D102
        self._client.flush(self._name)

    def count(self) -> int:  # noqa: D102
        return int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:  # noqa: D102
        with reading(self.where, "an answer", error=XMCError):
            answers = self._client.search(
                self._name,
                data=queries.tolist(),
                anns_field="vector",
                limit=k,
                output_fields=["uid", "text"],
                search_params={"metric_type": "IP"},
            )
        return [
            [
                Hit(int(hit["label"]), hit["entity"]["uid"], hit["entity"]["text"], float(hit["distance"]))
                for hit in answer
            ]
            for answer in answers
        ]

    def close(self) -> None:  # noqa: D102
        try:
            self._client.close()
        finally:
            _SERVER_LOG.removeFilter(is_no_missing_method)
