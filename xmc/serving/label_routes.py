"""``/labels`` and ``/reload``: changes to the index, for whoever has the token."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from xmc.errors import XMCError
from xmc.serving.batcher import Busy
from xmc.serving.changes import Change, LabelExists, LabelUnknown
from xmc.serving.checks import check_changes
from xmc.serving.documented import problems
from xmc.serving.problems import Problem
from xmc.serving.schemas import Changed, LabelChanges, LabelUids, Reloaded
from xmc.serving.service import Service
from xmc.serving.tokens import TOKEN_VARIABLE, is_token

__all__ = ["label_routes", "refusals"]

_BEARER = HTTPBearer(auto_error=False, description="The token that the server was started with.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def label_routes(service: Service, token: str) -> APIRouter:
    """The routes that change the index of a service; each asks for the token."""

    def has_token(credentials: Credentials) -> None:
        if credentials is None or not is_token(credentials.credentials, token):
            raise Problem(
                401, "token",
                expected="the header Authorization: Bearer TOKEN, with the server's token",
                got="none" if credentials is None else "another token",
                mend="send the token that the server was started with",
                headers={"WWW-Authenticate": "Bearer"},
            )  # fmt: skip

    routes = APIRouter(tags=["labels"], dependencies=[Depends(has_token)])
    common = (400, 401, 408, 413, 415, 422, 503)
    answers: dict[str, Any] = {"response_model": Changed}

    @routes.post("/labels", summary="Add labels", responses=problems(409, *common), **answers)
    async def add(body: LabelChanges) -> Changed:
        """Add labels that are not in the index, all or none; 409 when one is. Answered once it is on disk."""
        return await _change(service, _put("add", body))

    @routes.put("/labels", summary="Put labels", responses=problems(*common), **answers)
    async def put(body: LabelChanges) -> Changed:
        """Add labels, or give those that are there another text. Asked twice it is the same as once."""
        return await _change(service, _put("put", body))

    @routes.post("/labels/remove", summary="Remove labels", responses=problems(404, *common), **answers)
    async def remove(body: LabelUids) -> Changed:
        """Take labels out of the index, all or none; 404 when one is not there."""
        return await _change(service, Change("remove", tuple(body.uids)))

    @routes.post("/reload", summary="Take up a new version", responses=problems(401, 408, 413, 503))
    async def reload() -> Reloaded:
        """Search the version that lies in the index folder now, without waiting for the next look at it."""
        try:
            reloaded = await service.keeper.reload()
        except XMCError as error:
            raise _unavailable(error) from error
        now = service.live.current
        return Reloaded(reloaded=reloaded, labels=len(now.index), generation=now.generation)

    return routes


def refusals() -> APIRouter:
    """In the place of `label_routes` where there is no token."""
    routes = APIRouter(include_in_schema=False)

    async def refuse() -> None:
        raise Problem(
            403, "no_token",
            expected="a server that was started with a token, as labels are changed with one alone",
            got="a server without",
            mend=f"start it with --token-file FILE, or with the token in the variable {TOKEN_VARIABLE}",
        )  # fmt: skip

    for path in ("/labels", "/labels/{rest:path}", "/reload"):
        routes.add_api_route(path, refuse, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    return routes


def _put(kind: Any, body: LabelChanges) -> Change:
    return Change(kind, tuple(each.uid for each in body.labels), tuple(each.text for each in body.labels))


async def _change(service: Service, change: Change) -> Changed:
    limits = service.limits
    check_changes(change.uids, change.texts, limits)
    try:
        outcome, snapshot = await asyncio.wait_for(service.keeper.change(change), limits.max_change_seconds)
    except LabelExists as error:
        raise Problem(
            409, "label_exists", expected="labels that are not in the index", got=str(error),
            mend="put them instead (PUT /labels), or leave them out",
        ) from error  # fmt: skip
    except LabelUnknown as error:
        raise Problem(
            404, "label_unknown", expected="labels of the index", got=str(error), mend="leave them out"
        ) from error
    except Busy:
        raise Problem(
            503, "busy", expected="few changes at a time", got="too many that wait already",
            mend="ask again in a second; send several labels in one request", headers={"Retry-After": "1"},
        ) from None  # fmt: skip
    except asyncio.TimeoutError:
        raise Problem(
            503, "too_slow",
            expected=f"the change saved within {limits.max_change_seconds:g} s", got="not yet",
            mend="it may still be made: look for the label before asking again",
            headers={"Retry-After": "30"},
        ) from None  # fmt: skip
    except XMCError as error:
        raise _unavailable(error) from error
    return Changed(
        added=outcome.added,
        replaced=outcome.replaced,
        removed=outcome.removed,
        labels=len(snapshot.index),
        generation=snapshot.generation,
    )


def _unavailable(error: XMCError) -> Problem:
    return Problem(
        503, "index", expected="an index that can be opened, changed and saved", got=str(error),
        mend="mend what the message names, then ask again",
    )  # fmt: skip
