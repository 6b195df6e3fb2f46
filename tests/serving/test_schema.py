"""The OpenAPI document: whole by itself, and requests made up from it never end in a fault of the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import TOKEN
from tests.serving.process import ServedProcess

Serve = Callable[..., TestClient]


def test_every_route_parameter_and_field_is_described(serve: Serve) -> None:
    document = serve(max_k=7, max_text=40, max_texts=3, max_changes=2).get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/search", "/labels", "/labels/remove", "/reload", "/health", "/info", "/metrics"
    }  # fmt: skip
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            assert route["summary"] and route["description"] and route["tags"], (path, method)
            assert all(parameter["description"] for parameter in route.get("parameters", []))
            assert "200" in route["responses"] and "413" in route["responses"]
            secured = bool(route.get("security"))
            assert secured == (path.startswith("/labels") or path == "/reload")
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        # Those of FastAPI's own problems are not ours, and not sent.
        fields = {} if "ValidationError" in name else schema["properties"]
        assert all(field.get("description") for field in fields.values()), name
    one, several = schemas["SearchRequest"]["properties"]["text"]["anyOf"]
    assert one["maxLength"] == several["items"]["maxLength"] == 40 and several["maxItems"] == 3
    assert schemas["SearchRequest"]["properties"]["k"]["maximum"] == 7
    assert schemas["LabelUids"]["properties"]["uids"]["maxItems"] == 2
    assert document["paths"]["/search"]["get"]["parameters"][1]["schema"]["maximum"] == 7


@pytest.mark.slow
def test_requests_made_up_from_the_schema_never_fail_the_server(folder: Path) -> None:
    """Valid ones and broken ones; every answer is one that the document names, in the form it names."""
    pytest.importorskip("schemathesis")
    kept = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    with ServedProcess(folder, token=TOKEN) as served:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{served.address}/openapi.json"),
                *("--header", f"Authorization: Bearer {TOKEN}", "--checks", kept),
                *("--max-examples", "20", "--mode", "all", "--phases", "examples,coverage,fuzzing"),
            ],
            capture_output=True,
            text=True,
            cwd=folder.parent,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
        code, errors = served.stop()
        assert code == 0 and "Traceback" not in errors
