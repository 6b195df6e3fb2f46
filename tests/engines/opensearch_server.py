"""As much of OpenSearch's REST interface as the export speaks, in memory, and scoring as its pages say."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

__all__ = ["Answers"]


def _score(product: float) -> float:
    return product + 1 if product >= 0 else 1 / (1 - product)


class Answers(BaseHTTPRequestHandler):
    """Indexes by name: their mapping and documents by id. What it does not know is an error of 400."""

    indexes: dict[str, dict[str, Any]]
    refused: set[str]
    """Ids of documents that no bulk request may index."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_PUT = do_POST = do_DELETE = do_GET

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        _, name, *rest = self.path.partition("?")[0].split("/")
        action = (self.command, rest[0] if rest else "")
        if name not in self.indexes and action != ("PUT", ""):
            self._send(404, {"error": {"type": "index_not_found_exception"}})
            return
        lines = action[1] in ("_bulk", "_msearch")
        if lines and (self.headers["content-type"] != "application/x-ndjson" or body[-1:] != b"\n"):
            self._send(400, {"error": "expected lines of JSON, the last one ended"})
            return
        given = [json.loads(line) for line in body.splitlines()] if lines else json.loads(body or b"{}")
        held = self.indexes.get(name, {})
        if action == ("PUT", ""):
            assert given["settings"]["index"]["knn"] is True
            self.indexes[name] = {"mappings": given["mappings"], "documents": {}}
            self._send(200, {"acknowledged": True})
        elif action == ("DELETE", ""):
            del self.indexes[name]
            self._send(200, {"acknowledged": True})
        elif action == ("GET", "_mapping"):
            self._send(200, {name: {"mappings": held["mappings"]}})
        elif action == ("POST", "_refresh"):
            self._send(200, {})
        elif action == ("GET", "_count"):
            self._send(200, {"count": len(held["documents"])})
        elif action == ("POST", "_bulk"):
            self._send(200, self._bulk(held, given))
        elif action == ("POST", "_search"):
            self._send(200, self._found(held, given))
        elif action == ("POST", "_delete_by_query"):
            for key in [hit["_id"] for hit in self._found(held, {"size": 10_000, **given})["hits"]["hits"]]:
                del held["documents"][key]
            self._send(200, {})
        elif action == ("POST", "_msearch"):
            answers = [self._found(held, query) for query in given[1::2]]
            self._send(200, {"responses": answers})
        else:
            self._send(400, {"error": f"unknown: {action}"})

    def _bulk(self, held: dict[str, Any], lines: list[Any]) -> dict[str, Any]:
        items, rest = [], iter(lines)
        for line in rest:
            ((action, where),) = line.items()
            key, status = where["_id"], 200
            if action == "index":
                document = next(rest)
                assert set(document) == set(held["mappings"]["properties"])
                assert len(document["vector"]) == held["mappings"]["properties"]["vector"]["dimension"]
                if key in self.refused:
                    status = 429
                else:
                    held["documents"][key] = document
            else:
                status = 200 if held["documents"].pop(key, None) else 404
            items.append({action: {"_id": key, "status": status}})
        return {"errors": any(s["status"] >= 300 for item in items for s in item.values()), "items": items}

    def _found(self, held: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["size"] <= 10_000
        ((kind, query),) = asked["query"].items()
        hits = []
        for key, document in held["documents"].items():
            if kind == "range":
                low, high = query["label"].get("gte"), query["label"].get("lt", 1 << 62)
                if not low <= document["label"] < high:
                    continue
                score = 1.0
            else:
                params = query["script"]["params"]
                assert (kind, params["space_type"]) == ("script_score", "innerproduct")
                product = np.dot(np.float32(document["vector"]), np.float32(params["query_value"]))
                score = _score(float(product))
            kept = {name: document[name] for name in asked.get("_source", document)}
            hits.append({"_id": key, "_score": score, "_source": kept})
        hits.sort(key=lambda hit: -hit["_score"])
        return {"_shards": {"failed": 0}, "timed_out": False, "hits": {"hits": hits[: asked["size"]]}}

    def _send(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        assert re.fullmatch(r"[1-5]\d\d", str(status))
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
