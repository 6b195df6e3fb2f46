"""``/search``: the best labels of one query or several."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Query, Request, Response

from xmc.errors import DataError
from xmc.serving.batcher import Busy
from xmc.serving.checks import check_query_string, check_search
from xmc.serving.documented import problems
from xmc.serving.problems import Problem
from xmc.serving.schemas import SearchAnswer, SearchRequest
from xmc.serving.service import Found, Service

__all__ = ["search_routes"]


def search_routes(service: Service) -> APIRouter:
    """The routes of a service."""
    routes = APIRouter(tags=["search"])
    answers: dict[str, Any] = {
        "response_model": SearchAnswer,
        "responses": problems(400, 408, 413, 415, 422, 503),
    }

    @routes.post("/search", summary="Labels for one text or several", **answers)
    async def search(request: Request, body: SearchRequest) -> Response:
        """Rank the labels of the index for each text.

        Requests that come together are encoded and searched together.
        """
        texts = [body.text] if isinstance(body.text, str) else body.text
        return await _answer(service, request, texts, body.k)

    @routes.get("/search", summary="Labels for one text", **answers)
    async def search_for(
        request: Request,
        q: str = Query(description="The query's text.", examples=["sort an array along an axis"]),
        k: int = Query(10, ge=1, description="Labels, best first."),
    ) -> Response:
        """Rank the labels of the index for a text that stands in the address."""
        check_query_string(request.scope["query_string"])
        return await _answer(service, request, [q], k)

    return routes


async def _answer(service: Service, request: Request, texts: Sequence[str], k: int) -> Response:
    limits = service.limits
    check_search(texts, k, limits)
    try:
        found = await asyncio.wait_for(service.batcher.ask(texts, k), limits.max_seconds)
    except Busy:
        raise Problem(
            503, "busy",
            expected=f"at most {limits.max_waiting:,} queries waiting",
            got=f"{service.batcher.num_waiting:,} and {len(texts):,} more",
            mend="ask again in a second, or ask several servers of the same index",
            headers={"Retry-After": "1"},
        ) from None  # fmt: skip
    except asyncio.TimeoutError:
        raise Problem(
            503, "too_slow",
            expected=f"an answer within {limits.max_seconds:g} s",
            got="none yet",
            mend="ask again later, or for fewer and shorter texts",
            headers={"Retry-After": "1"},
        ) from None  # fmt: skip
    except DataError as error:
        raise Problem(
            422, "text", expected="texts that the model can read", got=str(error), mend="change the text"
        ) from error
    content = {
        "results": _results(found),
        "approximate": not found.snapshot.index.manifest.exact_scores,
        "generation": found.snapshot.generation,
        "milliseconds": round(1000 * (time.perf_counter() - request.scope["xmc.started"]), 3),
    }
    return Response(json.dumps(content, ensure_ascii=False).encode(), media_type="application/json")


def _results(found: Found) -> list[dict[str, Any]]:
    return [{"labels": _labels(found, row)} for row in range(len(found.ids))]


def _labels(found: Found, row: int) -> list[dict[str, Any]]:
    index, chances = found.snapshot.index, found.chances
    # Pads come last: the first of the row's probabilities are those of its labels.
    sure: list[float | None] = [None] * found.ids.shape[1] if chances is None else chances[row].tolist()
    return [
        {
            "uid": hit.uid,
            "text": hit.text,
            "score": round(hit.score, 6),
            "probability": None if chance is None else round(chance, 6),
        }
        for hit, chance in zip(index.hits_of(found.ids[row], found.scores[row]), sure, strict=False)
    ]
