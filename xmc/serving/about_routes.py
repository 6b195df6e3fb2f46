"""``/health``, ``/info`` and ``/metrics``: how the server is, what it serves and what it has measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path, PurePath

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from xmc import __version__
from xmc.serving.documented import problems
from xmc.serving.schemas import Facts, Health
from xmc.serving.service import Service

__all__ = ["about_routes", "shown_name"]


def shown_name(folder: Path) -> str:
    """What an index is called: its folder, or the run that one named ``index`` belongs to."""
    folder = folder.absolute()
    return folder.parent.name or folder.name if folder.name == "index" else folder.name


def about_routes(service: Service) -> APIRouter:
    """The routes of a service."""
    routes = APIRouter(tags=["server"])
    live = service.live

    @routes.get("/health", summary="Whether searches are answered", responses=problems(408, 413))
    async def health() -> Health:
        """Answer that the server runs, which it does from its first moment on: it opens the index before."""
        now = live.current
        status = "ok" if live.failure is None else "stale"
        return Health(status=status, labels=len(now.index), generation=now.generation, problem=live.failure)

    @routes.get("/info", summary="Model, index and bounds", responses=problems(408, 413))
    async def info() -> Facts:
        """Tell facts of the model and the index that are searched, and the bounds on requests."""
        now = live.current
        manifest, encoder = now.index.manifest, now.index.encoder
        place = now.index.model_place
        return Facts(
            version=__version__,
            index=shown_name(live.folder),
            labels=len(now.index),
            kind=manifest.described,
            factory=manifest.factory,
            exact=manifest.exact_scores,
            beside=str(manifest.ensemble) if manifest.ensemble else None,
            probabilities=now.calibration is not None,
            generation=now.generation,
            since=now.since,
            model=None if place is None else PurePath(place).name,
            model_kind=encoder.kind,
            model_fingerprint=manifest.model_fingerprint,
            dimension=manifest.dimension,
            query_tokens=encoder.metadata.query_length,
            changes=service.token is not None,
            limits=asdict(service.limits),
        )

    @routes.get(
        "/metrics",
        summary="Measurements for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(408, 413)},
    )
    async def metrics() -> Response:
        """Tell requests, latencies, batch sizes, labels and the index's generation."""
        return Response(service.measures.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
