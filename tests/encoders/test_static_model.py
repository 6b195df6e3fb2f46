from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from tests.fixtures.libraries import library, sbert
from xmc.encoders import DualEncoder, EncoderConfig
from xmc.encoders.static_model import StaticModel, read_static, write_static

CONFIGS = {
    "tied": {},
    "two lengths": {"query_length": 3, "label_length": 5},
    "two tables": {"tied": False, "dropout": 0.2},
    "no normalisation": {"normalize": False},
}


def saved(static_folder: Path, place: Path, **options: object) -> Path:
    config = EncoderConfig(model=str(static_folder), kind="static", **options)  # type: ignore[arg-type]
    DualEncoder.build(config).save(place)
    return place


def through_the_library(folder: Path) -> DualEncoder:
    read = DualEncoder.load(folder)
    return DualEncoder(library.open_model(folder, "cpu"), read.metadata)


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_vectors_and_fingerprint_are_those_of_the_library(
    static_folder: Path, tmp_path: Path, texts: list[str], options: dict[str, object]
) -> None:
    folder = saved(static_folder, tmp_path / "model", **options)
    read, whole = DualEncoder.load(folder, device="cpu"), through_the_library(folder)
    assert isinstance(read._model, StaticModel)
    np.testing.assert_array_equal(read.encode_queries(texts), whole.encode_queries(texts))
    np.testing.assert_array_equal(read.encode_labels(texts), whole.encode_labels(texts))
    assert (read.fingerprint, read.tied, read.metadata) == (whole.fingerprint, whole.tied, whole.metadata)
    assert (read.query_tower is read.label_tower) == (whole.query_tower is whole.label_tower)


def test_the_library_s_model_has_the_same_table(static_folder: Path, tmp_path: Path) -> None:
    encoder = DualEncoder.load(
        saved(static_folder, tmp_path / "model", tied=False, dropout=0.5), device="cpu"
    )
    tower, before = encoder.label_tower, encoder.encode_labels("red bird")
    with torch.no_grad():
        tower.modules[0].embedding.weight.mul_(torch.arange(1, 9))  # type: ignore[operator, union-attr]
    after = encoder.encode_labels("red bird")
    assert not np.allclose(before, after)
    assert isinstance(encoder.model, sbert.SentenceTransformer) and encoder.label_tower is tower
    np.testing.assert_array_equal(encoder.encode_labels("red bird"), after)
    np.testing.assert_allclose(encoder.model.encode_document("red bird"), after, rtol=1e-6)
    assert {id(p) for p in encoder.parameters()} == {
        id(p) for side in (encoder.query_tower, encoder.label_tower) for p in side.modules[0].parameters()
    }
    encoder.train()
    ids, offsets = np.array(tower.tokenize(["red bird"])[0]), np.array([0, 2])
    dropped = encoder.query_tower(ids, offsets)
    assert (dropped == 0).any(), "expected the dropout of the configuration in training"


def test_padding_that_a_tokenizer_was_saved_with_is_left_out(
    static_folder: Path, tmp_path: Path, texts: list[str]
) -> None:
    folder = saved(static_folder, tmp_path / "model", query_length=3)
    expected = DualEncoder.load(folder, device="cpu").encode_queries(texts)
    files = list(folder.rglob("tokenizer.json"))
    for file in files:
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.enable_padding()
        tokenizer.save(str(file))
    encoder = DualEncoder.load(folder, device="cpu")
    assert files and encoder.query_tower.max_length == 3
    np.testing.assert_array_equal(encoder.encode_queries(texts), expected)
    assert isinstance(encoder.model, sbert.SentenceTransformer)
    np.testing.assert_array_equal(encoder.encode_queries(texts), expected)


def test_saved_again_it_is_the_same_model(static_folder: Path, tmp_path: Path) -> None:
    encoder = DualEncoder.load(saved(static_folder, tmp_path / "model", query_length=3), device="cpu")
    encoder.save(tmp_path / "again")
    assert DualEncoder.load(tmp_path / "again", device="cpu").fingerprint == encoder.fingerprint


def test_the_library_s_model_needs_no_folder(static_folder: Path, tmp_path: Path) -> None:
    folder = saved(static_folder, tmp_path / "model", query_length=3)
    encoder = DualEncoder.load(folder, device="cpu")
    before = encoder.encode_queries(["red bird", ""])
    shutil.rmtree(folder)
    np.testing.assert_array_equal(encoder.model.encode_query(["red bird", ""]), before)


CONFIGS_MADE = CONFIGS | {
    "dropout of queries": {"dropout": 0.3, "label_dropout": 0.0},
    "dropout": {"dropout": 0.3},
}


@pytest.mark.parametrize("options", CONFIGS_MADE.values(), ids=CONFIGS_MADE)
def test_a_folder_is_written_as_the_library_writes_it(
    static_folder: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    built = DualEncoder.build(EncoderConfig(model=str(static_folder), kind="static", **options))  # type: ignore[arg-type]
    assert isinstance(built.module, StaticModel)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    write_static(built.module, ours)
    library.as_library(built.module).save_pretrained(str(theirs), create_model_card=False)
    written = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in (ours, theirs)]
    assert written[0] == written[1]
    for file in written[0]:
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), file


@pytest.mark.parametrize("options", CONFIGS_MADE.values(), ids=CONFIGS_MADE)
def test_training_is_that_of_the_library(static_folder: Path, options: dict[str, object]) -> None:
    """Dropout draws the same numbers, and the gradients of the tables are the same to the last bit."""
    config = EncoderConfig(model=str(static_folder), kind="static", **options)  # type: ignore[arg-type]
    ours, theirs = DualEncoder.build(config), DualEncoder.build(config)
    assert isinstance(theirs.model, sbert.SentenceTransformer)
    found = []
    for encoder in (ours.train(), theirs.train()):
        torch.manual_seed(0)
        ids, offsets = np.arange(4, 10), np.array([0, 2, 6])
        queries, labels = (tower(ids, offsets) for tower in encoder.towers)
        (queries * labels.roll(1, 0)).sum().backward()
        found.append([queries, labels, *(p.grad for p in encoder.parameters())])
    assert len(found[0]) == len(found[1])
    for mine, whole in zip(*found, strict=True):
        assert torch.equal(mine, whole)


@pytest.mark.parametrize("change", ["a class of another's", "model2vec's names", "a route more", "a default"])
def test_other_folders_are_the_library_s(static_folder: Path, tmp_path: Path, change: str) -> None:
    folder = saved(static_folder, tmp_path / "model", query_length=3)
    assert read_static(folder, "cpu") is not None
    file = folder / "router_config.json"
    router = json.loads(file.read_text(encoding="utf-8"))
    name = router["structure"]["query"][0]
    if change == "a class of another's":
        router["types"][name] = "someone.modules.StaticEmbedding"
    elif change == "a default":
        router["parameters"]["default_route"] = "query"
    elif change == "a route more":
        router["parameters"]["route_mappings"] = {"('query', None)": "document"}
    else:
        from safetensors.torch import load_file, save_file

        weights = folder / name / "model.safetensors"
        save_file({"embeddings": load_file(weights)["embedding.weight"]}, weights)
    file.write_text(json.dumps(router), encoding="utf-8")
    assert read_static(folder, "cpu") is None


def test_a_transformer_is_the_library_s(bert_folder: Path) -> None:
    assert read_static(bert_folder, "cpu") is None
