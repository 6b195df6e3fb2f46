"""``/search``: the best labels of one query or several."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray

from xmc.errors import DataError
from xmc.serving.batcher import Busy
from xmc.serving.checks import check_query_string, check_search
from xmc.serving.documented import problems
from xmc.serving.keeping import check_threshold, kept_labels
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
        return await _answer(service, request, texts, body.k, body.threshold)

    @routes.get("/search", summary="Labels for one text", **answers)
    async def search_for(
        request: Request,
        q: str = Query(description="The query's text.", examples=["sort an array along an axis"]),
        k: int = Query(10, ge=1, description="Labels, best first."),
        threshold: str | None = Query(None, description="As of a posted request.", examples=["f1"]),
    ) -> Response:
        """Rank the labels of the index for a text that stands in the address."""
        check_query_string(request.scope["query_string"])
        return await _answer(service, request, [q], k, threshold)

    return routes


async def _answer(
    service: Service, request: Request, texts: Sequence[str], k: int, threshold: str | float | None
) -> Response:
    limits = service.limits
    check_search(texts, k, limits)
    rule = check_threshold(threshold)
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
        "results": _results(found, kept_labels(found, rule)),
        "approximate": not found.snapshot.index.manifest.exact_scores,
        "generation": found.snapshot.generation,
        "milliseconds": round(1000 * (time.perf_counter() - request.scope["xmc.started"]), 3),
    }
    return Response(json.dumps(content, ensure_ascii=False).encode(), media_type="application/json")


def _results(found: Found, kept: NDArray[np.bool_]) -> list[dict[str, Any]]:
    index, calibration = found.snapshot.index, found.snapshot.calibration
    results = []
    for row, chosen in enumerate(kept):
        hits = index.hits_of(found.ids[row, chosen], found.scores[row, chosen])
        sure = found.sure[row, chosen]
        chances = [None] * len(hits) if calibration is None else calibration.probability(sure).tolist()
        labels = [
            {
                "uid": hit.uid,
                "text": hit.text,
                "score": round(hit.score, 6),
                "probability": None if chance is None else round(chance, 6),
            }
            for hit, chance in zip(hits, chances, strict=True)
        ]
        results.append({"labels": labels})
    return results
