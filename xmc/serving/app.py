"""The web application over one live index; its pieces are put together here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from xmc import __version__
from xmc.serving.about_routes import about_routes
from xmc.serving.documented import documented
from xmc.serving.guard import Guard
from xmc.serving.label_routes import label_routes, refusals
from xmc.serving.limits import ServingLimits
from xmc.serving.live_index import LiveIndex
from xmc.serving.page import page_routes
from xmc.serving.problems import Problem, shown
from xmc.serving.search_routes import search_routes
from xmc.serving.service import Service

__all__ = ["create_app"]

_DESCRIPTION = """Text in, ranked labels out.

`/search` ranks the labels of the index for texts; `/labels` changes them, with the server's token.
Every problem is told as JSON: what was expected, what came, what to do."""


def create_app(
    live: LiveIndex,
    *,
    token: str | None = None,
    limits: ServingLimits | None = None,
    watch: float = 1.0,
) -> FastAPI:
    """The application; it takes requests within its lifespan, in one event loop.

    Args:
        live: The index.
        token: What changes to the labels need; None allows none.
        limits: The bounds on requests; None takes the defaults.
        watch: Seconds between two looks at the index folder.
    """
    service = Service(live, limits or ServingLimits(), token, watch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="xmc serve",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # The interactive pages load their scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_tags=[
            {"name": "search", "description": "Labels for texts."},
            {"name": "labels", "description": "Changes to the index; they need the token."},
            {"name": "server", "description": "How the server is."},
        ],
    )
    app.state.service = service
    app.include_router(page_routes())
    app.include_router(search_routes(service))
    app.include_router(refusals() if token is None else label_routes(service, token))
    app.include_router(about_routes(service))
    app.add_middleware(Guard, limits=service.limits, measures=service.measures)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    return documented(app, service.limits)


async def _problem(request: Request, error: Any) -> Response:
    return error.response()  # type: ignore[no-any-return]


async def _invalid(request: Request, error: Any) -> Response:
    """The first of what pydantic found, in our form."""
    found = error.errors()[0]
    place = ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0])
    if found["type"] == "json_invalid":
        problem = Problem(
            400, "json", expected="a body of JSON", got=found["ctx"]["error"][:200], mend="send valid JSON"
        )
    elif found["loc"] == ("body",) and "json" not in (came := request.headers.get("content-type", "")):
        problem = Problem(
            415, "content_type",
            expected="the header Content-Type: application/json, and a body of JSON",
            got=shown(came) if came else "none",
            mend="say what the body is (curl --json does)",
        )  # fmt: skip
    else:
        problem = Problem(
            422, "form",
            expected=f"{place}: {found['msg']}",
            got=shown(found.get("input")),
            mend="see /openapi.json for the form of a request",
        )  # fmt: skip
    return problem.response()


async def _refused(request: Request, error: Any) -> Response:
    """An address that is not there, a method it does not have, a body that cannot be parsed."""
    if error.status_code == 400:  # of a body that is no text, nests without end, or has endless numbers
        return Problem(
            400, "json",
            expected="a body of JSON, in UTF-8",
            got="one that cannot be parsed",
            mend="send valid JSON, encoded as UTF-8",
        ).response()  # fmt: skip
    codes = {404: "address", 405: "method"}
    return Problem(
        error.status_code,
        codes.get(error.status_code, "request"),
        expected="a request as /openapi.json describes it",
        got=f"{request.method} {shown(request.url.path)} ({error.detail})",
        mend="see /openapi.json for what there is",
        headers=dict(error.headers) if error.headers else None,
    ).response()


async def _failed(request: Request, error: Any) -> Response:
    return Problem(
        500, "fault",
        expected="an answer",
        got=type(error).__name__,
        mend="look into the server's log, and report it if it is a fault of xmc",
    ).response()  # fmt: skip
