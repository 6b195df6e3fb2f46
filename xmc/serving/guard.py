"""Around every request: its body within bounds of size and time, its time measured, its answer's headers."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xmc.serving.limits import ServingLimits
from xmc.serving.measures import Measures
from xmc.serving.problems import Problem

__all__ = ["Guard"]

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """ASGI middleware.

    A body is read whole before the application sees it, as every one of ours has to be whole to be answered:
    so one that is too large or too slow is refused in one place, whether or not it says its length.
    """

    def __init__(self, app: ASGIApp, limits: ServingLimits, measures: Measures) -> None:
        self._app, self._limits, self._measures = app, limits, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = scope["xmc.started"] = time.perf_counter()
        status = 500  # what becomes of an exception further out

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((n, v) for n, v in _HEADERS if n not in there)]
            await send(message)

        try:
            try:
                body = await asyncio.wait_for(self._body(scope, receive), self._limits.max_seconds)
            except Problem as problem:
                await problem.response()(scope, receive, send_with_headers)
            except asyncio.TimeoutError:
                await self._too_slow()(scope, receive, send_with_headers)
            else:
                await self._app(scope, _replayed(body, receive), send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._measures.requests.labels(route, _method(scope), str(status)).inc()
            self._measures.seconds.labels(route).observe(time.perf_counter() - started)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if said.isdigit() and int(said) > self._limits.max_body:
            raise self._too_large(f"{int(said):,}")
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limits.max_body:
                raise self._too_large("more")
            more = message.get("more_body", False)
        return b"".join(parts)

    def _too_large(self, got: str) -> Problem:
        return Problem(
            413, "body",
            expected=f"a body of at most {self._limits.max_body:,} bytes",
            got=got,
            mend="send several requests",
            headers={"Connection": "close"},
        )  # fmt: skip

    def _too_slow(self) -> Any:
        return Problem(
            408, "body_late",
            expected=f"the whole body within {self._limits.max_seconds:g} s",
            got="a part of it",
            mend="send it again",
            headers={"Connection": "close"},
        ).response()  # fmt: skip


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hands out the body that was read, then whatever else comes."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH") else "other"
