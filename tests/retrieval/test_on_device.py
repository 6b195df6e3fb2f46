"""An index searched on a device answers as an exact one, to the bit; the processor stands for a GPU here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.retrieval import LabelIndex
from xmc.retrieval.devices import search_device, vectors_on
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions
from xmc.retrieval.stores import on_device
from xmc.retrieval.vote import QueryVotes

MakeEncoder = Callable[..., DualEncoder]
COUNT = 300
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("exact", {}),
    ("exact", {"storage": "float16"}),
    ("exact", {"storage": "int8"}),
    ("flat", {}),
    ("ivf", {}),
    ("hnsw", {}),
    ("ivfpq", {"refine": True}),
    ("binary", {}),
]
pytestmark = pytest.mark.filterwarnings("ignore")


def texts(count: int = COUNT, seed: int = 0) -> list[str]:
    """Few numbers, so that many scores are equal."""
    return [
        " ".join(map(str, row)) for row in np.random.default_rng(seed).integers(-2, 3, (count, 3)).tolist()
    ]


@pytest.fixture(params=[False, True], ids=["plain", "offsets"])
def encoder(request: pytest.FixtureRequest, make_encoder: MakeEncoder) -> DualEncoder:
    return make_encoder(offsets={str(i): float(i % 7) / 3 for i in range(COUNT)} if request.param else None)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_every_kind_answers_as_an_exact_one(encoder: DualEncoder, kind: str, options: dict[str, Any]) -> None:
    index = LabelIndex.build(encoder, texts(), kind=kind, progress=False, **options)
    exact = LabelIndex.build(
        encoder, texts(), kind="exact", progress=False, **{k: v for k, v in options.items() if k == "storage"}
    )
    queries = encoder.encode_queries(texts(40, seed=1))
    assert index.to("cpu") is index
    for k in (1, 7, 290, 400):
        for asked in (queries, queries[:1]):
            for found, expected in zip(
                index.search_vectors(asked, k), exact.search_vectors(asked, k), strict=True
            ):
                np.testing.assert_array_equal(found, expected)
    index.to(None)
    assert index._copy is None and index._searched() is index._changes.store


def test_changes_are_searched_at_once(make_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(on_device.DeviceStore):
        def __init__(self, store: Any, slots: Any, device: torch.device) -> None:
            made.append(len(slots))
            super().__init__(store, slots, device)

    monkeypatch.setattr(on_device, "DeviceStore", Counted)
    monkeypatch.setattr(on_device, "COPIED", 64)
    index = LabelIndex.build(make_encoder(), texts(), kind="flat", progress=False).to("cpu")
    index.hits("1 0 0", 3)
    index.hits("0 1 0", 3)
    assert made == [COUNT]
    best = index.hits("2 2 2", 1)[0].uid
    index.remove([best])
    assert best not in {hit.uid for hit in index.hits("2 2 2", COUNT)}
    index.add(["9 9 9"], uids=["new"])
    index.update(["9 9 8"], uids=["5"])
    assert [hit.uid for hit in index.hits("2 2 2", 2)] == ["new", "5"]
    assert made == [COUNT, COUNT - 1, COUNT]
    index.remove(list(index.uids[label] for label in index.live_ids))
    assert index.hits("1 1 1", 3) == []


def test_labels_of_several_texts(make_encoder: MakeEncoder) -> None:
    from dataclasses import replace

    encoder = make_encoder()
    encoder.metadata = replace(encoder.metadata, label_texts="lines")
    several = ["\n".join(texts(1 + i % 3, seed=i)) for i in range(60)]
    index = LabelIndex.build(encoder, several, kind="flat", progress=False)
    expected = index.search(texts(9, seed=99), 12)
    for found, wanted in zip(index.to("cpu").search(texts(9, seed=99), 12), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_queries_of_a_vote_go_there_too(make_encoder: MakeEncoder) -> None:
    index = LabelIndex.build(make_encoder(), texts(20), progress=False)
    vectors = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    votes = QueryVotes(vectors, sp.random(50, 20, 0.2, format="csr", random_state=0))
    index.add_ensemble(EnsembleOptions(VoteOptions(0.5, 0.1)), votes)
    expected = index.search(texts(5, seed=1), 9)
    index.to("cpu")
    assert index._ensemble is not None and index._ensemble.votes is not None
    held = index._ensemble.votes.on_device
    assert held is not None and held.shape == (50, 3)
    found = index.search(texts(5, seed=1), 9)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5)
    index.remove(["3"])  # which votes forget, where they are
    assert index._ensemble.votes.on_device is held and 3 not in index.search(texts(5, seed=1), 19)[0]
    index.add_ensemble(EnsembleOptions(VoteOptions(0.5, 0.1)), votes)
    assert index._ensemble.votes.on_device is not None
    index.to(None)
    assert index._ensemble.votes.on_device is None


def test_what_cannot_be(make_encoder: MakeEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    index = LabelIndex.build(make_encoder(), texts(), kind="sq8", progress=False)
    with pytest.raises(ConfigError, match="expected an index that keeps its vectors"):
        index.to("cpu")
    assert len(index.hits("1 0 0", 3)) == 3
    for name in ("cuda:77", "gpu", "meta", ""):
        with pytest.raises(ConfigError, match="expected a device that"):
            search_device(name)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(
        ConfigError, match=r"expected 2\.0 GB of free memory on cpu for 1,000,000 vectors of 500"
    ):
        vectors_on(torch.device("cpu"), np.broadcast_to(np.float32(0), (1_000_000, 500)))
