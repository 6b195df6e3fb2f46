"""Labels in Qdrant: a server, or a folder that its client alone searches (local mode)."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmc.engines.catalogue import KEY_VARIABLE
from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change
from xmc.errors import DataError, XMCError
from xmc.received import reading
from xmc.retrieval.hit import Hit

__all__ = ["QdrantLabels", "open_collection"]


def open_collection(place: str, name: str) -> QdrantLabels:
    """The collection ``name`` of a server by its address, or of a folder."""
    from qdrant_client import QdrantClient

    with reading(place, "a Qdrant server, or a folder that no other process has open", error=XMCError):
        if place.startswith(("http://", "https://")):
            with warnings.catch_warnings():
                # Of a server that does not answer, which the first request tells in our words.
                warnings.filterwarnings("ignore", message="Failed to obtain server version")
                client = QdrantClient(url=place, api_key=os.environ.get(KEY_VARIABLE))
        else:
            client = QdrantClient(path=place)
    return QdrantLabels(client, place, name)


class QdrantLabels:
    """One collection; what it is stands under ``xmc`` in its metadata. A point's id is the label's."""

    batch = 256
    """A server takes 32 MB a request by default."""
    most_hits: int | None = None

    def __init__(self, client: Any, place: str, name: str) -> None:
        self.where = f"the Qdrant collection {name} at {place}"
        self._client, self._name = client, name

    def facts(self) -> ExportFacts | None:
        """As `Engine` says, like all that follows."""
        with reading(self.where, "an answer", "is the server running?", XMCError):
            if not self._client.collection_exists(self._name):
                return None
            kept = (self._client.get_collection(self._name).config.metadata or {}).get("xmc")
        if kept is None:
            raise DataError(f"{self.where} is of other making, which is left alone: take another --name")
        with reading(self.where, "labels that were exported", "take another --name"):
            return ExportFacts.parse(kept)

    def create(self, facts: ExportFacts) -> None:  # noqa: D102
        from qdrant_client import models

        with reading(self.where, "to be made", error=XMCError):
            self._client.create_collection(
                self._name,
                vectors_config=models.VectorParams(size=facts.width, distance=models.Distance.DOT),
                metadata={"xmc": facts.to_json()},
            )

    def drop(self) -> None:  # noqa: D102
        self._client.delete_collection(self._name)

    def stored(self, low: int, high: int) -> dict[int, int]:  # noqa: D102
        with reading(self.where, "an answer", error=XMCError):
            found = self._client.retrieve(
                self._name, ids=list(range(low, high)), with_payload=["digest"], with_vectors=False
            )
        return {int(point.id): int(point.payload["digest"]) for point in found}

    def write(self, change: Change) -> None:  # noqa: D102
        from qdrant_client import models

        rows = change.written
        with (
            reading(self.where, "a collection that can be written", error=XMCError),
            warnings.catch_warnings(),
        ):
            # Local mode says from 20,000 points on that a server is made for that; so do our pages.
            warnings.simplefilter("ignore")
            if len(rows):
                facts = zip(rows.uids, rows.texts, rows.digests.tolist(), strict=True)
                self._client.upsert(
                    self._name,
                    points=models.Batch(
                        ids=rows.ids.tolist(),
                        vectors=rows.vectors.tolist(),
                        payloads=[
                            {"uid": uid, "text": text, "digest": digest} for uid, text, digest in facts
                        ],
                    ),
                    wait=True,
                )
            if change.gone:
                self._client.delete(self._name, points_selector=list(change.gone), wait=True)

    def truncate(self, next_id: int) -> None:
        """Ids are seen in their order, so the first page of those from ``next_id`` on says whether any is."""
        with reading(self.where, "an answer", error=XMCError):
            while True:
                points, _ = self._client.scroll(
                    self._name, limit=self.batch, offset=next_id, with_payload=False, with_vectors=False
                )
                if not points:
                    return
                ids = [point.id for point in points]
                self._client.delete(self._name, points_selector=ids, wait=True)

    def finish(self) -> None:
        """Nothing: each batch was waited for."""

    def count(self) -> int:  # noqa: D102
        return int(self._client.count(self._name, exact=True).count)

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:  # noqa: D102
        from qdrant_client import models

        requests = [
            models.QueryRequest(
                query=query,
                limit=k,
                with_payload=["uid", "text"],
                # Every label is scored: not by the graph that a server makes.
                params=models.SearchParams(exact=True),
            )
            for query in queries.tolist()
        ]
        with reading(self.where, "an answer", error=XMCError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # local mode says that it has no graph to pass over
            answers = self._client.query_batch_points(self._name, requests=requests)
        return [
            [Hit(int(p.id), p.payload["uid"], p.payload["text"], float(p.score)) for p in answer.points]
            for answer in answers
        ]

    def close(self) -> None:  # noqa: D102
        self._client.close()
