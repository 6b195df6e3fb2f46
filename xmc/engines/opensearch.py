"""Labels in OpenSearch, by its REST interface: bulk requests of newline-delimited JSON, and exact scoring."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from xmc.engines.catalogue import KEY_VARIABLE
from xmc.engines.facts import ExportFacts
from xmc.engines.protocol import Change
from xmc.errors import DataError, XMCError
from xmc.received import reading
from xmc.retrieval.hit import Hit

__all__ = ["OpenSearchLabels", "inner_product", "open_collection"]

_SECONDS = 120.0
_MOST_ROWS = 10_000
"""Of one answer, by OpenSearch's own default (index.max_result_window)."""


def open_collection(place: str, name: str) -> OpenSearchLabels:
    """The index ``name`` of a cluster by its address; XMC_ENGINE_KEY is user:password."""
    user, _, password = os.environ.get(KEY_VARIABLE, "").partition(":")
    with reading(place, "the address of an OpenSearch cluster", error=XMCError):
        client = httpx.Client(
            base_url=place, timeout=_SECONDS, auth=(user, password) if user else None, trust_env=False
        )
    return OpenSearchLabels(client, place, name)


class OpenSearchLabels:
    """One index; what it is stands under ``_meta`` in its mapping. A document's id is the label's."""

    batch = 500
    most_hits = 10_000

    def __init__(self, client: httpx.Client, place: str, name: str) -> None:
        self.where = f"the OpenSearch index {name} at {place}"
        self._client, self._name = client, name

    def facts(self) -> ExportFacts | None:
        """As `Engine` says, like all that follows."""
        answer = self._ask("GET", f"/{self._name}/_mapping", missing=True)
        if answer is None:
            return None
        with reading(
            self.where, "labels that were exported, not an index of other making", "take another --name"
        ):
            (held,) = answer.values()
            return ExportFacts.parse(held["mappings"]["_meta"]["xmc"])

    def create(self, facts: ExportFacts) -> None:  # noqa: D102
        properties = {
            "label": {"type": "long"},
            # Lucene takes no key of more than 32,766 bytes; longer uids are kept and not searched for.
            "uid": {"type": "keyword", "ignore_above": 8_191},
            "text": {"type": "text"},
            "digest": {"type": "long"},
            "vector": {
                "type": "knn_vector",
                "dimension": facts.width,
                "method": {"name": "hnsw", "engine": "faiss", "space_type": "innerproduct"},
            },
        }
        mappings = {"_meta": {"xmc": facts.to_json()}, "dynamic": "strict", "properties": properties}
        self._ask("PUT", f"/{self._name}", {"settings": {"index": {"knn": True}}, "mappings": mappings})

    def drop(self) -> None:  # noqa: D102
        self._ask("DELETE", f"/{self._name}")

    def stored(self, low: int, high: int) -> dict[int, int]:  # noqa: D102
        self._refresh()
        found: dict[int, int] = {}
        for start in range(low, high, _MOST_ROWS):
            stop = min(start + _MOST_ROWS, high)
            asked = {
                "size": stop - start,
                "query": {"range": {"label": {"gte": start, "lt": stop}}},
                "_source": ["label", "digest"],
            }
            for hit in _hits(self._ask("POST", f"/{self._name}/_search", asked), self.where):
                found[int(hit["_source"]["label"])] = int(hit["_source"]["digest"])
        return found

    def write(self, change: Change) -> None:  # noqa: D102
        rows, lines = change.written, list[Mapping[str, Any]]()
        for row, label in enumerate(rows.ids.tolist()):
            lines.append({"index": {"_id": str(label)}})
            lines.append(
                {
                    "label": label,
                    "uid": rows.uids[row],
                    "text": rows.texts[row],
                    "digest": int(rows.digests[row]),
                    "vector": rows.vectors[row].tolist(),
                }
            )
        lines += [{"delete": {"_id": str(label)}} for label in change.gone]
        answer = self._ask("POST", f"/{self._name}/_bulk", lines=lines)
        with reading(self.where, "an answer to each line of a bulk request", error=XMCError):
            for item in answer["items"]:
                ((action, said),) = item.items()
                # A label that is gone already is no error.
                if said["status"] >= 300 and not (action == "delete" and said["status"] == 404):
                    raise ValueError(f"label {said['_id']}: {json.dumps(said.get('error', said))}")

    def truncate(self, next_id: int) -> None:  # noqa: D102
        self._refresh()
        asked = {"query": {"range": {"label": {"gte": next_id}}}}
        self._ask("POST", f"/{self._name}/_delete_by_query?refresh=true", asked)

    def finish(self) -> None:  # noqa: D102
        self._refresh()

    def count(self) -> int:  # noqa: D102
        answer = self._ask("GET", f"/{self._name}/_count")
        with reading(self.where, "a count", error=XMCError):
            return int(answer["count"])

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """By a script over all documents: exact, and not the graph that OpenSearch's own k-NN query walks."""
        lines: list[Mapping[str, Any]] = []
        for query in queries.tolist():
            params = {"field": "vector", "query_value": query, "space_type": "innerproduct"}
            script = {"source": "knn_score", "lang": "knn", "params": params}
            scored = {"script_score": {"query": {"match_all": {}}, "script": script}}
            lines.append({})
            lines.append({"size": k, "query": scored, "_source": ["label", "uid", "text"]})
        answer = self._ask("POST", f"/{self._name}/_msearch", lines=lines)
        found = []
        with reading(self.where, "an answer to each query", error=XMCError):
            for own in answer["responses"]:
                hits = [(hit["_source"], float(hit["_score"])) for hit in _hits(own, self.where)]
                found.append(
                    [Hit(int(s["label"]), s["uid"], s["text"], inner_product(score)) for s, score in hits]
                )
        return found

    def close(self) -> None:  # noqa: D102
        self._client.close()

    def _refresh(self) -> None:
        self._ask("POST", f"/{self._name}/_refresh")

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        lines: Iterable[Mapping[str, Any]] | None = None,
        missing: bool = False,
    ) -> Any:
        """The answer's JSON; None for what is not there where ``missing`` allows that."""
        content, kind = None, "application/json"
        if lines is not None:
            content, kind = "".join(json.dumps(line) + "\n" for line in lines), "application/x-ndjson"
        elif body is not None:
            content = json.dumps(body)
        with reading(self.where, "an answer", "is OpenSearch running there?", XMCError):
            answer = self._client.request(
                method, path, content=content, headers={"content-type": kind} if content else None
            )
        if missing and answer.status_code == 404:
            return None
        if answer.status_code >= 300:
            raise XMCError(
                f"{self.where}: {method} {path} was refused ({answer.status_code}): {answer.text[:300]}"
            )
        with reading(self.where, "an answer in JSON", error=XMCError):
            return answer.json()


def inner_product(score: float) -> float:
    """The inner product d behind OpenSearch's score, which is d + 1 from 0 on and 1 / (1 - d) below.

    Scores are above 0, so that the largest inner product has the largest score.
    """
    return score - 1.0 if score >= 1.0 else 1.0 - 1.0 / max(score, 1e-30)


def _hits(answer: Any, where: str) -> list[Any]:
    with reading(where, "hits in an answer", error=XMCError):
        if answer.get("error") or answer.get("timed_out") or answer.get("_shards", {}).get("failed"):
            raise DataError(f"{where}: the search failed: {json.dumps(answer)[:300]}")
        return list(answer["hits"]["hits"])
