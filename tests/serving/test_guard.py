from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.testclient import TestClient

from tests.fixtures.tiny_models import SPECIAL, WORDS
from xmc.serving.guard import Guard
from xmc.serving.limits import ServingLimits
from xmc.serving.measures import Measures

Serve = Callable[..., TestClient]


def test_a_body_that_is_too_large_is_refused_with_or_without_its_length(serve: Serve) -> None:
    client = serve(max_body=1_000)
    answer = client.post("/search", json={"text": "r" * 1_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body")

    def parts() -> Iterator[bytes]:
        yield b'{"text": "'
        for _ in range(30):
            yield b"r" * 100

    answer = client.post("/search", content=parts(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["expected"]) == (413, "a body of at most 1,000 bytes")
    assert client.post("/search", json={"text": "red"}).status_code == 200


def test_a_body_that_does_not_come_is_408() -> None:
    sent: list[Any] = []

    async def never() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(*_: Any) -> None:
        raise AssertionError("the application was called")

    measures = Measures()
    guard = Guard(app, ServingLimits(max_seconds=0.02), measures)
    asyncio.run(guard({"type": "http", "method": "POST", "headers": []}, never, send))
    assert sent[0]["status"] == 408 and b"body_late" in sent[1]["body"]
    assert b'xmc_requests_total{method="POST",route="other",status="408"} 1.0' in measures.text()


def test_every_answer_has_the_headers_and_is_counted(client: TestClient) -> None:
    for path in ("/health", "/nothing", "/openapi.json", "/"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")
    client.request("BREW", "/health")
    text = client.get("/metrics").text
    assert 'xmc_requests_total{method="GET",route="/health",status="200"} 1.0' in text
    assert 'xmc_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'method="other"' in text and "BREW" not in text
    assert "xmc_labels 5.0" in text and "xmc_index_generation 1.0" in text


def test_facts_of_model_index_and_bounds(serve: Serve) -> None:
    facts = serve(max_k=7).get("/info").json()
    assert (
        facts["labels"] == 5
        and facts["dimension"] == len(SPECIAL + WORDS)
        and facts["factory"] == "Flat"
        and facts["exact"]
    )
    assert facts["model_kind"] == "static" and facts["model"] == "words" and facts["changes"]
    assert facts["limits"]["max_k"] == 7 and facts["limits"]["max_text"] == 10_000
