"""An index that ranks with more than its model is served as `xmc search` ranks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from fastapi.testclient import TestClient

from tests.fixtures.tiny_models import WORDS
from tests.serving.conftest import TOKEN
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions
from xmc.retrieval.vote import QueryVotes
from xmc.serving import LiveIndex, ServingLimits, create_app
from xmc.serving.service import Service

TEXTS = ["red house", "the night song of a bird"]


@pytest.fixture
def folder(word_model: Path, tmp_path: Path) -> Path:
    """130 labels of two words; training queries of the first one's text have the last one."""
    texts = [f"{one} {other}" for one in WORDS for other in WORDS][:130]
    index = LabelIndex.build(word_model, texts, uids=[f"u{i}" for i in range(len(texts))], progress=False)
    relevance = sp.csr_matrix(([1.0, 1.0], ([0, 1], [129, 3])), shape=(2, len(texts)))
    votes = QueryVotes(index.encoder.encode_queries(TEXTS), relevance)
    index.add_ensemble(EnsembleOptions(VoteOptions(0.6, 0.1), 0.3), votes)
    index.save(tmp_path / "index")
    return tmp_path / "index"


def told(hits: list[Any]) -> list[tuple[str, float]]:
    return [(hit.uid, pytest.approx(hit.score, abs=2e-6)) for hit in hits]


def answered(client: TestClient, text: str, k: int) -> list[tuple[str, float]]:
    labels = client.post("/search", json={"text": text, "k": k}).json()["results"][0]["labels"]
    return [(label["uid"], label["score"]) for label in labels]


def test_it_is_served_as_it_ranks_and_goes_on_so_when_labels_change(folder: Path) -> None:
    alone = LabelIndex.load(folder)
    alone.add_ensemble(EnsembleOptions())
    app = create_app(LiveIndex(folder), token=TOKEN, limits=ServingLimits(), watch=60.0)
    with TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        for text in TEXTS:
            served = answered(client, text, 5)
            assert served == told(LabelIndex.load(folder).hits(text, 5))
            assert served != told(alone.hits(text, 5))
        assert answered(client, TEXTS[0], 1)[0][0] == "u129"
        assert "vote of training queries 0.6" in client.get("/info").json()["beside"]
        assert client.post("/labels/remove", json={"uids": ["u129"]}).status_code == 200
        added = {"labels": [{"uid": "u129", "text": "big stone"}, {"uid": "new", "text": "red house"}]}
        assert client.post("/labels", json=added).status_code == 200
        served = answered(client, TEXTS[0], 130)
        assert served == told(LabelIndex.load(folder).hits(TEXTS[0], 130))
        ranked = [uid for uid, _ in served]
        assert ranked[1] == "new"  # after a label of the same text that was there before
        assert "u129" not in ranked[:10]


def test_one_request_does_not_change_the_ranking_of_another(folder: Path) -> None:
    service = Service(LiveIndex(folder), ServingLimits(), None, 60.0)
    index = service.live.current.index
    asked = [(TEXTS, 3), (TEXTS[:1], 120), (TEXTS[1:], 7)]
    for (texts, k), found in zip(asked, service._search(asked), strict=True):
        ids, scores = index.search(texts, k)
        np.testing.assert_array_equal(found.ids, ids)
        np.testing.assert_allclose(found.scores, scores, rtol=1e-6)


def test_the_kind_of_an_index_that_is_not_faiss_s_is_told(word_model: Path, tmp_path: Path) -> None:
    LabelIndex.build(word_model, TEXTS, kind="exact", progress=False).save(tmp_path / "exact")
    with TestClient(create_app(LiveIndex(tmp_path / "exact"), token=None, limits=ServingLimits())) as client:
        facts = client.get("/info").json()
    assert (facts["kind"], facts["factory"], facts["beside"]) == ("exact", "", None)
