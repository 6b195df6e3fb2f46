"""A tiny index in a folder of each test's own, and an application over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from tests.fixtures.tiny_models import SPECIAL, WORDS, save_static, tiny_tokenizer
from xmc.retrieval import LabelIndex
from xmc.retrieval.generations import POINTER, current_generation
from xmc.serving import LiveIndex, ServingLimits, create_app

TOKEN = "0123456789abcdef-token"
LABELS = {"r": "red house", "g": "green tree", "b": "blue river", "s": "small stone", "n": "night song"}


@pytest.fixture(scope="session")
def word_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every word is a dimension of its own: a text is nearest to itself."""
    folder = tmp_path_factory.mktemp("served") / "words"
    return save_static(folder, tiny_tokenizer(), embedding_weights=torch.eye(len(SPECIAL + WORDS)))


@pytest.fixture(scope="session")
def _built_index(word_model: Path) -> Path:
    folder = word_model.parent / "index"
    texts, uids = list(LABELS.values()), list(LABELS)
    LabelIndex.build(str(word_model), texts, uids=uids, progress=False).save(folder)
    return folder


@pytest.fixture
def folder(_built_index: Path, tmp_path: Path) -> Path:
    """An index folder that a test may change."""
    LabelIndex.load(_built_index).save(tmp_path / "index")  # which knows where its model is from there
    return tmp_path / "index"


def damage(folder: Path) -> Callable[[], None]:
    """A new version whose labels cannot be read; what is returned mends them."""
    labels = folder / current_generation(folder) / "labels.parquet"
    good = labels.read_bytes()
    labels.write_bytes(b"damaged")
    (folder / POINTER).write_text((folder / POINTER).read_text() + "\n")
    return lambda: None if labels.write_bytes(good) else None


@pytest.fixture
def live(folder: Path) -> LiveIndex:
    return LiveIndex(folder)


@pytest.fixture
def serve(live: LiveIndex) -> Iterator[Callable[..., TestClient]]:
    """``serve(token=..., max_k=...)``: a client of an application over `live`, running to the test's end."""
    with ExitStack() as stack:

        def start(token: str | None = TOKEN, watch: float = 60.0, **limits: Any) -> TestClient:
            app = create_app(live, token=token, limits=ServingLimits(**limits), watch=watch)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield start


@pytest.fixture
def client(serve: Callable[..., TestClient]) -> TestClient:
    """With the default bounds; it sends the token."""
    client = serve()
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    return client
