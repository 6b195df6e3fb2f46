from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import TOKEN, damage
from xmc.errors import XMCError
from xmc.retrieval import LabelIndex
from xmc.retrieval.generations import POINTER
from xmc.serving import LiveIndex

Serve = Callable[..., TestClient]


def first(client: TestClient, text: str) -> str:
    uid: str = client.get("/search", params={"q": text, "k": 1}).json()["results"][0]["labels"][0]["uid"]
    return uid


def add(client: TestClient, *pairs: tuple[str, str], method: str = "POST") -> Any:
    labels = [{"uid": uid, "text": text} for uid, text in pairs]
    return client.request(method, "/labels", json={"labels": labels})


def test_labels_are_added_put_and_removed_and_stay_so_on_disk(client: TestClient, folder: Path) -> None:
    answer = add(client, ("d", "day bird"), ("w", "blue stone"))
    expected = {"added": 2, "replaced": 0, "removed": 0, "labels": 7, "generation": 2}
    assert (answer.status_code, answer.json()) == (200, expected)
    assert first(client, "day bird") == "d"
    answer = add(client, ("d", "red night"), ("t", "big tree"), method="PUT").json()
    assert (answer["added"], answer["replaced"], answer["labels"]) == (1, 1, 8)
    assert add(client, ("d", "red night"), method="PUT").json()["replaced"] == 1
    assert first(client, "red night") == "d" and first(client, "day bird") != "d"
    answer = client.post("/labels/remove", json={"uids": ["d", "r"]}).json()
    assert (answer["removed"], answer["labels"]) == (2, 6)
    again = LabelIndex.load(folder)
    assert len(again) == 6 and "t" in again and "d" not in again
    assert again.hits("big tree", 1)[0].uid == "t" == first(client, "big tree")


def test_a_change_is_made_whole_or_not_at_all(client: TestClient, folder: Path, live: LiveIndex) -> None:
    before = (folder / POINTER).read_bytes()
    answer = add(client, ("x", "day"), ("r", "red"))
    assert (answer.status_code, answer.json()["code"]) == (409, "label_exists") and "'r'" in answer.text
    answer = client.post("/labels/remove", json={"uids": ["g", "x", "y"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "label_unknown")
    assert "'x' and 1 more are not in the index" in answer.json()["got"]
    assert (folder / POINTER).read_bytes() == before and live.current.generation == 1


CASES: list[tuple[str, Any, str]] = [
    ("/labels", {"labels": []}, "number"),
    ("/labels", {"labels": [{"uid": "x", "text": " "}]}, "blank"),
    ("/labels", {"labels": [{"uid": "", "text": "day"}]}, "blank"),
    ("/labels", {"labels": [{"uid": "x", "text": "day"}] * 2}, "uid_twice"),
    ("/labels", {"labels": [{"uid": "x"}]}, "form"),
    ("/labels", {"labels": [{"uid": 1, "text": "day"}]}, "form"),
    ("/labels", {"labels": [{"uid": "x", "text": "d" * 10_001}]}, "too_long"),
    ("/labels/remove", {"uids": [f"u{i}" for i in range(1001)]}, "number"),
    ("/labels/remove", {"uids": "r"}, "form"),
]


def test_what_cannot_be_changed_is_told(client: TestClient) -> None:
    for path, body, code in CASES:
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


def test_without_the_token_nothing_is_changed(serve: Serve, live: LiveIndex) -> None:
    client = serve()
    body = {"labels": [{"uid": "x", "text": "day"}]}
    for header in (None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
        headers = {} if header is None else {"Authorization": header}
        for path, sent in (("/labels", body), ("/reload", None), ("/labels", {})):
            answer = client.post(path, json=sent, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "token")
            assert answer.headers["www-authenticate"] == "Bearer" and TOKEN not in answer.text
    assert live.current.generation == 1


def test_a_server_without_a_token_changes_nothing_and_says_how_it_would(serve: Serve) -> None:
    client = serve(token=None)
    for method, path in (
        ("POST", "/labels"),
        ("PUT", "/labels"),
        ("POST", "/labels/remove"),
        ("POST", "/reload"),
    ):
        answer = client.request(method, path, json={}, headers={"Authorization": "Bearer "})
        assert (answer.status_code, answer.json()["code"]) == (403, "no_token")
        assert "--token-file" in answer.json()["mend"] and "XMC_TOKEN" in answer.json()["mend"]
    assert not [path for path in client.get("/openapi.json").json()["paths"] if path.startswith("/labels")]
    assert client.get("/info").json()["changes"] is False


def test_a_change_that_cannot_be_saved_is_503_and_not_searched(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise XMCError("no space left while writing")

    monkeypatch.setattr(LabelIndex, "save", full)
    answer = add(client, ("d", "day bird"))
    assert answer.status_code == 503 and "no space left" in answer.json()["got"]
    assert first(client, "day bird") != "d"
    monkeypatch.undo()
    assert add(client, ("d", "day bird")).json()["labels"] == 6


def test_a_graph_forgets_labels_too(word_model: Path, tmp_path: Path, serve: Serve) -> None:
    folder = tmp_path / "graph"
    LabelIndex.build(str(word_model), ["red", "blue"], factory="HNSW8", progress=False).save(folder)
    live = LiveIndex(folder)
    from xmc.serving import create_app

    with TestClient(create_app(live, token=TOKEN)) as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        assert client.post("/labels/remove", json={"uids": ["0"]}).json()["labels"] == 1
        assert add(client, ("1", "stone"), method="PUT").json()["labels"] == 1
        assert add(client, ("new", "green")).json()["labels"] == 2
        assert first(client, "red") in ("1", "new") and first(client, "stone") == "1"


def test_what_others_changed_is_taken_up_and_kept(client: TestClient, folder: Path) -> None:
    other = LabelIndex.load(folder)
    other.add("day bird", "d")
    other.save(folder, overwrite=True)
    assert add(client, ("w", "blue stone")).json()["labels"] == 7
    assert first(client, "day bird") == "d"
    other = LabelIndex.load(folder)
    other.remove(["d", "w"])
    other.save(folder, overwrite=True)
    assert client.post("/reload").json() == {"reloaded": True, "labels": 5, "generation": 3}
    assert client.post("/reload").json()["reloaded"] is False
    damage(folder)
    answer = client.post("/reload")
    assert answer.status_code == 503 and "damaged" in answer.json()["got"]
    health = client.get("/health").json()
    assert health["status"] == "stale" and "damaged" in health["problem"]
    assert "xmc_index_stale 1.0" in client.get("/metrics").text
    assert first(client, "red house") == "r"
