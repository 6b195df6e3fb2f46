"""The OpenAPI document: what it says of problems, and the server's own bounds in it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from xmc.serving.limits import ServingLimits
from xmc.serving.schemas import ProblemBody

__all__ = ["documented", "problems"]

_MEANING = {
    400: "The body is no JSON.",
    401: "The token is missing or wrong.",
    403: "The server was started without a token, so labels cannot be changed.",
    404: "A label is not in the index.",
    408: "The body did not arrive in time.",
    409: "A label is in the index already.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "The request is not of the form described here, or out of the server's bounds.",
    503: "Too much to do, or the index cannot be saved or opened: ask again later.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of a route that are problems, for its ``responses``."""
    return {status: {"model": ProblemBody, "description": _MEANING[status]} for status in statuses}


def documented(app: FastAPI, limits: ServingLimits) -> FastAPI:
    """The application, with the bounds of its server in its OpenAPI document."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _write_limits(describe(), limits)
        return describe()

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _write_limits(document: dict[str, Any], limits: ServingLimits) -> None:
    schemas = document["components"]["schemas"]
    text = {"minLength": 1, "maxLength": limits.max_text, "pattern": r"\S"}
    one, several = schemas["SearchRequest"]["properties"]["text"]["anyOf"]
    one.update(text)
    several.update({"minItems": 1, "maxItems": limits.max_texts})
    several["items"].update(text)
    schemas["SearchRequest"]["properties"]["k"]["maximum"] = limits.max_k
    for parameter in document["paths"]["/search"]["get"]["parameters"]:
        parameter["schema"].update(text if parameter["name"] == "q" else {"maximum": limits.max_k})
    if "LabelChanges" in schemas:
        number = {"minItems": 1, "maxItems": limits.max_changes}
        schemas["LabelChanges"]["properties"]["labels"].update(number)
        for name in ("uid", "text"):
            schemas["LabelText"]["properties"][name].update(text)
        schemas["LabelUids"]["properties"]["uids"].update({**number, "uniqueItems": True})
        schemas["LabelUids"]["properties"]["uids"]["items"].update(text)
