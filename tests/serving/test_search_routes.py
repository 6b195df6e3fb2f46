from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import LABELS
from xmc.errors import DataError
from xmc.serving import LiveIndex
from xmc.serving.live_index import Snapshot

Serve = Callable[..., TestClient]


def test_one_text_and_several_are_ranked_as_the_index_ranks_them(client: TestClient, live: LiveIndex) -> None:
    answer = client.post("/search", json={"text": "red house", "k": 3}).json()
    assert [label["uid"] for label in answer["results"][0]["labels"]][0] == "r"
    texts = ["blue river", "night song and the tree"]
    several = client.post("/search", json={"text": texts, "k": 4}).json()
    for found, wanted in zip(several["results"], live.current.index.hits(texts, 4), strict=True):
        assert [label["uid"] for label in found["labels"]] == [hit.uid for hit in wanted]
        assert [label["text"] for label in found["labels"]] == [hit.text for hit in wanted]
        scores = [label["score"] for label in found["labels"]]
        assert scores == pytest.approx([hit.score for hit in wanted], abs=1e-5)
    assert (several["generation"], several["approximate"]) == (1, False)
    assert 0 < several["milliseconds"] < 10_000


def test_the_address_takes_a_text_too(client: TestClient) -> None:
    posted = client.post("/search", json={"text": "green tree", "k": 2}).json()
    asked = client.get("/search", params={"q": "green tree", "k": 2}).json()
    assert asked["results"] == posted["results"]
    assert len(client.get("/search", params={"q": "green"}).json()["results"][0]["labels"]) == len(LABELS)


def test_what_is_escaped_in_an_address_is_text(client: TestClient) -> None:
    for query in ("q=%ff", "q=red&more=%C3", "q=%ED%A0%80"):
        answer = client.get(f"/search?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "unicode")
        assert "UTF-8" in answer.json()["expected"] and answer.json()["mend"]
    assert client.get("/search?q=gr%C3%BCn%20tree").status_code == 200


CASES: list[tuple[Any, int, str, str]] = [
    ({"text": " \n"}, 422, "blank", "position 0"),
    ({"text": ["red", ""]}, 422, "blank", "position 1"),
    ({"text": []}, 422, "number", "1 to 4 texts"),
    ({"text": ["red"] * 5}, 422, "number", "--max-texts"),
    ({"text": "r" * 41}, 422, "too_long", "at most 40 characters"),
    ({"text": "red", "k": 0}, 422, "form", "k: "),
    ({"text": "red", "k": 8}, 422, "k", "k from 1 to 7"),
    ({"text": "red", "k": "3"}, 422, "form", "valid integer"),
    ({"text": "red", "deep": 3}, 422, "form", "deep: "),
    ({"k": 3}, 422, "form", "text: "),
    ({"text": 5}, 422, "form", "string"),
    ([], 422, "form", "body: "),
    (b'{"text": ', 400, "json", "JSON"),
    ('{"text": "café"}'.encode("latin-1"), 400, "json", "JSON"),
    (b"\xff\xfe", 400, "json", "JSON"),
    (b'{"text": "\\ud800"}', 422, "unicode", "ud800"),
    (b'{"text": ["red", "a\\udfffb"]}', 422, "unicode", "udfff"),
    (b"[" * 100_000, 400, "json", "JSON"),
    (b'{"text": "red", "k": 1' + b"0" * 5000 + b"}", 400, "json", "JSON"),
]


def test_what_cannot_be_searched_is_told(serve: Serve) -> None:
    client = serve(max_texts=4, max_text=40, max_k=7)
    headers = {"Content-Type": "application/json"}
    for body, status, code, said in CASES:
        content = body if isinstance(body, bytes) else json.dumps(body)
        answer = client.post("/search", content=content, headers=headers)
        told = answer.json()
        assert (answer.status_code, sorted(told)) == (status, ["code", "expected", "got", "mend"]), body
        assert told["code"] in code.split("|"), answer.text
        assert any(part in answer.text for part in said.split("|")), answer.text


def test_a_body_that_is_not_said_to_be_json_is_refused(client: TestClient) -> None:
    answer = client.post("/search", data={"text": "red"})
    assert (answer.status_code, answer.json()["code"]) == (415, "content_type")


def test_other_addresses_and_methods_are_told(client: TestClient) -> None:
    assert (client.get("/nothing").status_code, client.get("/nothing").json()["code"]) == (404, "address")
    answer = client.delete("/search")
    assert (answer.status_code, answer.json()["code"]) == (405, "method") and answer.headers["allow"]


def slowed(monkeypatch: pytest.MonkeyPatch, release: threading.Event) -> list[int]:
    """Searches wait for ``release``; the list gets the number of texts of each batch."""
    sizes: list[int] = []
    search = Snapshot.search

    def slow(self: Snapshot, texts: Any, k: int) -> Any:
        sizes.append(len(texts))
        release.wait(10)
        return search(self, texts, k)

    monkeypatch.setattr(Snapshot, "search", slow)
    return sizes


def test_requests_that_wait_are_searched_together(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client, release = serve(batch_texts=6), threading.Event()
    sizes = slowed(monkeypatch, release)
    texts = ["red house", "green tree", "blue river", "small stone", "night song"]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.get, "/search", params={"q": "day", "k": 1})
        while not sizes:
            time.sleep(0.005)
        rest = [
            pool.submit(client.get, "/search", params={"q": text, "k": 1 + i}) for i, text in enumerate(texts)
        ]
        while len(texts) > client.app.state.service.batcher.num_waiting:  # type: ignore[attr-defined]
            time.sleep(0.005)
        release.set()
        found = [each.result().json()["results"][0]["labels"] for each in rest]
    assert first.result().status_code == 200 and sizes == [1, 5]
    assert [labels[0]["text"] for labels in found] == texts
    assert [len(labels) for labels in found] == [1, 2, 3, 4, 5]
    assert "xmc_batch_texts_count 2.0" in client.get("/metrics").text


def test_too_many_and_too_slow_are_503(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client, release = serve(max_waiting=2, max_seconds=0.3), threading.Event()
    sizes = slowed(monkeypatch, release)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.get, "/search", params={"q": "day"})
        while not sizes:
            time.sleep(0.005)
        second = pool.submit(client.post, "/search", json={"text": ["red", "green"]})
        while not client.app.state.service.batcher.num_waiting:  # type: ignore[attr-defined]
            time.sleep(0.005)
        busy = client.get("/search", params={"q": "blue"})
        told = [first.result(), second.result()]
        release.set()
    assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "busy", "1")
    assert [(answer.status_code, answer.json()["code"]) for answer in told] == [(503, "too_slow")] * 2
    assert not client.app.state.service.batcher.num_waiting  # type: ignore[attr-defined]
    monkeypatch.undo()
    end = time.monotonic() + 10
    while client.get("/search", params={"q": "blue"}).status_code != 200:
        assert time.monotonic() < end


def test_a_text_that_fails_takes_no_other_with_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client, release = serve(), threading.Event()
    search = Snapshot.search

    def picky(self: Snapshot, texts: Any, k: int) -> Any:
        release.wait(10)
        if "stone" in texts:
            raise DataError("no stones")
        if "song" in texts:
            raise RuntimeError("a secret")
        return search(self, texts, k)

    monkeypatch.setattr(Snapshot, "search", picky)
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(client.get, "/search", params={"q": q}) for q in ("red", "stone", "song", "blue")
        ]
        time.sleep(0.1)
        release.set()
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [200, 422, 500, 200]
    assert "no stones" in answers[1].text
    assert answers[2].json()["code"] == "fault" and "a secret" not in answers[2].text
