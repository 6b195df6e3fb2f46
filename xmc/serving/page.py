"""The page at ``/``: one file, whose style and script alone its Content-Security-Policy lets through."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

__all__ = ["content_policy", "page_routes", "page_text"]


@cache
def page_text() -> str:
    """The page's HTML."""
    return (files("xmc.serving") / "page.html").read_text(encoding="utf-8")


def content_policy(html: str) -> str:
    """The Content-Security-Policy of a page: its inline style and script, by hash, and its server."""
    style, script = (
        " ".join(
            f"'sha256-{_digest(text)}'" for text in re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        )
        for tag in ("style", "script")
    )
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page_routes() -> APIRouter:
    """The route of the page."""
    routes = APIRouter(include_in_schema=False)
    html = page_text()
    headers = {"Content-Security-Policy": content_policy(html), "Cache-Control": "no-cache"}

    @routes.get("/")
    async def page() -> Response:
        return Response(html, media_type="text/html", headers=headers)

    return routes


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
