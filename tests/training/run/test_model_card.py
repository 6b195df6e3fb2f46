from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.fixtures.evaluations import made_up_evaluation
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.evaluation import Evaluation
from xmc.evaluation.card import add_evaluation
from xmc.training.config import DataConfig, RunOptions, TrainConfig
from xmc.training.run.model_card import model_card, started_as, write_model_card

VALIDATION = {"P@1": 40.0, "nDCG@5": 33.333333, "PSP@3": 20.0, "R@100": 90.0}


@pytest.fixture
def config(dataset, static_model) -> TrainConfig:  # type: ignore[no-untyped-def]
    return TrainConfig(
        data=DataConfig(str(dataset.path)),
        run=RunOptions("runs/words"),
        encoder=EncoderConfig(model=str(static_model), kind="static"),
    )


@pytest.fixture
def encoder(static_model):  # type: ignore[no-untyped-def]
    return DualEncoder.load(static_model)


@pytest.fixture
def evaluation(dataset) -> Evaluation:  # type: ignore[no-untyped-def]
    return made_up_evaluation(
        metrics={"P@1": 55.5, "R@10": 66.6}, dataset=dataset.name, dataset_fingerprint=dataset.fingerprint
    )


def test_front_matter_is_the_hubs(config, dataset, encoder) -> None:  # type: ignore[no-untyped-def]
    card = ModelCard(model_card(config, dataset, encoder, VALIDATION))
    data = card.data.to_dict()
    assert data["library_name"] == "sentence-transformers" and data["datasets"] == ["words"]
    assert data["pipeline_tag"] == "sentence-similarity" and "dual-encoder" in data["tags"]
    assert "base_model" not in data, "a folder is no model of the hub"
    results = {r.metric_type: r for r in card.data.eval_results}  # type: ignore[attr-defined]
    assert set(results) == {
        "precision_at_1",
        "ndcg_at_5",
        "propensity_scored_precision_at_3",
        "recall_at_100",
    }
    assert results["ndcg_at_5"].metric_value == 33.33
    assert results["precision_at_1"].dataset_split == "validation"
    assert results["precision_at_1"].dataset_revision == dataset.fingerprint


def test_the_recipe_in_the_card_is_the_runs(config, dataset, encoder) -> None:  # type: ignore[no-untyped-def]
    text = model_card(config, dataset, encoder, VALIDATION, "xmc train recipe.yaml --seed 3")
    recipe = yaml.safe_load(text.split("```yaml\n", 1)[1].split("```", 1)[0])
    assert recipe["run"]["dir"] == "runs/words" and recipe["encoder"]["kind"] == "static"
    assert "It was started as `xmc train recipe.yaml --seed 3`." in text
    for part in ("## Evaluation", "## Training data", "## Recipe", "## Limits", "120 training rows"):
        assert part in text
    assert "word order" in text, "a limit of static encoders"


def test_a_hub_name_is_the_base_model(config, dataset, encoder) -> None:  # type: ignore[no-untyped-def]
    for model, base in (("embedded", "sentence-transformers/all-MiniLM-L6-v2"), ("some/model", "some/model")):
        named = replace(config, encoder=replace(config.encoder, model=model))
        assert f"base_model: {base}\n" in model_card(named, dataset, encoder, {})


def test_an_evaluation_is_added_and_replaced(config, dataset, encoder, evaluation) -> None:  # type: ignore[no-untyped-def]
    before = model_card(config, dataset, encoder, VALIDATION)
    once = add_evaluation(before, evaluation)
    twice = add_evaluation(once, replace(evaluation, metrics={"P@1": 56.5, "R@10": 66.6}))
    card = ModelCard(twice)
    values = {(r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results}  # type: ignore[attr-defined]
    assert values["test", "precision_at_1"] == 56.5 and values["validation", "precision_at_1"] == 40.0
    assert len(values) == len(VALIDATION) + 2
    assert "56.50" in card.text and "55.50" not in card.text and "40.00" in card.text
    assert twice.split("## Training data")[1] == before.split("## Training data")[1]
    assert "words, test; percent:" in twice and "training rows held out" in twice


def test_a_card_without_metrics_says_so_until_evaluated(config, dataset, encoder, evaluation) -> None:  # type: ignore[no-untyped-def]
    bare = model_card(config, dataset, encoder, {})
    assert "Not evaluated yet" in bare and "model-index" not in bare
    assert "Not evaluated yet" not in add_evaluation(bare, evaluation)


def test_the_card_replaces_the_one_in_the_folder(tmp_path, config, dataset, encoder) -> None:  # type: ignore[no-untyped-def]
    encoder.save(tmp_path / "model")
    write_model_card(tmp_path / "model", config, dataset, encoder, VALIDATION)
    assert "words dual encoder" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_only_this_packages_commands_are_named() -> None:
    assert started_as(["/usr/bin/xmc", "train", "a b.yaml"]) == "xmc train 'a b.yaml'"
    assert started_as(["/lib/xmc/__main__.py", "train"]) == "python -m xmc train"
    assert started_as(["/usr/bin/pytest", "-q"]) is None and started_as([]) is None
