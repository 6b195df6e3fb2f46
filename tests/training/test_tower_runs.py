"""Runs of towers with prompts, of a decoder's last token, and of projections, whole and cut short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures.killed import train_until_killed
from tests.fixtures.libraries import sbert
from tests.runs import losses
from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.encoders.module_kinds import is_pooling
from xmc.training import TrainConfig, Trainer, train

PROMPTS = {"query_prompt": "query0 label0 ", "label_prompt": "label1 query1 query2 "}
STATIC = {"kind": "static", "model": "static_model"}
BERT = {"kind": "transformer", "model": "words_bert"}
DECODER = {"kind": "transformer", "model": "words_decoder", "pooling": "lasttoken"}

TOWERS: dict[str, dict[str, Any]] = {
    "static prompts": {**STATIC, **PROMPTS, "tied": False},
    "prompts": {**BERT, **PROMPTS, "tied": False},
    "prompts left out": {**BERT, **PROMPTS, "include_prompt": False},
    "last token": DECODER,
    "prompts and last token": {**DECODER, **PROMPTS, "tied": False},
    "projected tied static": {**STATIC, "projection": 6},
    "projected static": {**STATIC, "projection": 6, "tied": False},
    "projected tied transformer": {**BERT, "projection": 6},
    "projected transformer": {**BERT, "projection": 6, "tied": False},
}

MakeRun = Callable[[str], TrainConfig]


@pytest.fixture
def run_of(config: TrainConfig, changed: Any, request: pytest.FixtureRequest) -> MakeRun:
    """``run_of("prompts")``: ten steps of those of `TOWERS`; a transformer has dropout of its own."""

    def make(name: str) -> TrainConfig:
        options = {"query_length": 9, "label_length": 7, "dropout": 0.0, "tied": True, **TOWERS[name]}
        options["model"] = str(request.getfixturevalue(options["model"]))
        rate = 0.1 if options["kind"] == "static" else 0.01
        return changed(
            config,
            encoder=options,
            negatives={"mode": "all"},
            training={"max_steps": 10, "learning_rate": rate, "checkpoint_every": 3, "precision": "fp32"},
        )

    return make


def texts_of(dataset: Dataset) -> tuple[list[str], list[str]]:
    """The training queries and the labels."""
    return list(dataset.texts("train")), list(dataset.texts("labels"))


def encoded_in_training(trainer: Trainer) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the training queries and of the labels, of the tokens that steps read."""
    frozen = trainer.prepare_inputs().frozen
    numbers = np.arange(trainer.dataset.num_train), np.arange(trainer.dataset.num_labels)
    return frozen.encode_queries(numbers[0]).numpy(), frozen.encode_labels(numbers[1]).numpy()


@pytest.mark.parametrize("name", TOWERS)
def test_a_run_learns_resumes_and_leaves_its_towers(
    name: str,
    run_of: MakeRun,
    changed: Any,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = run_of(name)
    trainer = Trainer(config)
    result = trainer.fit()
    curve = losses(config.run.dir)
    assert len(curve) == 10 and np.mean(curve[-3:]) < np.mean(curve[:3])

    killed = changed(config, run={"dir": str(tmp_path / "killed")})
    train_until_killed(killed, 5, monkeypatch)
    again = train(changed(killed, run={"resume": True}))
    assert losses(tmp_path / "killed") == curve and again.validation == result.validation
    model = DualEncoder.load(result.last_path, device="cpu")
    assert DualEncoder.load(again.last_path, device="cpu").fingerprint == model.fingerprint
    assert trainer.encoder.fingerprint == model.fingerprint

    options = TOWERS[name]
    prompts = options.get("query_prompt", ""), options.get("label_prompt", "")
    assert (model.query_tower.prompt, model.label_tower.prompt) == prompts
    assert model.dimension == options.get("projection", 24 if options["kind"] == "static" else 16)
    assert model.tied == options.get("tied", True)
    for tower in model.towers:
        for pooling in filter(is_pooling, tower.modules):
            found = pooling.pooling_mode, pooling.include_prompt
            assert found == (options.get("pooling", "mean"), options.get("include_prompt", True))
    # Steps read tokens that were made before the first of them; a user has texts and the folder alone.
    plain = sbert.SentenceTransformer(str(result.last_path), device="cpu")
    of_run, (queries, labels) = encoded_in_training(trainer), texts_of(dataset)
    for query_vectors, label_vectors in (
        (model.encode_queries(queries), model.encode_labels(labels)),
        (plain.encode_query(queries), plain.encode_document(labels)),
    ):
        np.testing.assert_allclose(query_vectors, of_run[0], atol=1e-5)
        np.testing.assert_allclose(label_vectors, of_run[1], atol=1e-5)


@pytest.mark.parametrize("name", ["static prompts", "prompts", "prompts and last token"])
def test_steps_read_the_prompt_before_each_text(name: str, run_of: MakeRun, dataset: Dataset) -> None:
    config = run_of(name)
    bare = DualEncoder.build(replace(config.encoder, query_prompt=None, label_prompt=None))
    queries, labels = texts_of(dataset)
    of_run = encoded_in_training(Trainer(config))
    by_hand = [PROMPTS["query_prompt"] + text for text in queries]
    np.testing.assert_allclose(of_run[0], bare.encode_queries(by_hand), atol=1e-5)
    by_hand = [PROMPTS["label_prompt"] + text for text in labels]
    np.testing.assert_allclose(of_run[1], bare.encode_labels(by_hand), atol=1e-5)
    assert np.abs(of_run[0] - bare.encode_queries(queries)).max() > 0.01


@pytest.mark.parametrize("name", [name for name in TOWERS if name.startswith("projected")])
def test_a_projection_starts_from_the_training_queries_and_the_labels(
    name: str, run_of: MakeRun, dataset: Dataset
) -> None:
    config = run_of(name)
    queries, labels = texts_of(dataset)
    unit, whole = (
        DualEncoder.build(replace(config.encoder, projection=None, normalize=normalize))
        for normalize in (True, False)
    )
    directions = np.linalg.svd(unit.encode_queries(queries + labels).astype(np.float64))[2][:6].T
    of_run = encoded_in_training(Trainer(config))
    mapped = whole.encode_queries(queries) @ directions, whole.encode_labels(labels) @ directions
    wanted = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in mapped]
    # Directions may point either way, which no inner product tells.
    np.testing.assert_allclose(of_run[0] @ of_run[1].T, wanted[0] @ wanted[1].T, atol=1e-4)
