from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from xmc.data import Dataset, DatasetWriter, Propensity
from xmc.errors import ConfigError, DataError
from xmc.evaluation import evaluate, load_predictions


@pytest.fixture
def dataset(tmp_path):
    """Labels along the axes and a fourth like the first; contents turn the ranking round."""
    with DatasetWriter(
        tmp_path / "data", name="tiny", query_fields=("title",), label_fields=("title",)
    ) as writer:
        for uid, title in zip("abcd", ["1 0 0", "0 1 0", "0 0 1", "1 0 0"], strict=True):
            writer.add_label(uid, title, content="0 0 0")
        writer.add_row("train", "t", "1 0 0", "", [0])
        writer.add_row("train", "u", "1 0 0", "", [0])
        writer.add_row("train", "v", "1 0 0", "", [1])
        writer.add_row("test", "q", "3 2 1", "1 1 1", [1])
        writer.add_row("test", "r", "0 1 2", "1 1 1", [0, 2])
        writer.add_filter("test", 0, 0)
        writer.add_filter("test", 0, 3)
    return Dataset.load(tmp_path / "data")


def test_filter_ties_and_metrics(make_encoder, dataset, tmp_path):
    result = evaluate(
        make_encoder(), dataset, ks=(1, 3), predictions=tmp_path / "predictions.npz", progress=False
    )
    ids, scores = load_predictions(tmp_path / "predictions.npz")
    assert ids.shape == (2, 100)
    assert ids[:, :4].tolist() == [[1, 2, -1, -1], [2, 1, 0, 3]]
    assert scores[1, :4].tolist() == [2, 1, 0, 0]
    assert result.metrics["P@1"] == 100.0 and result.metrics["P@3"] == pytest.approx(
        100 * (1 / 3 + 2 / 3) / 2
    )
    assert result.metrics["R@10"] == 100.0 and "PSP@3" in result.metrics and "nDCG@1" in result.metrics
    assert (result.num_queries, result.num_labels, result.filtered_pairs) == (2, 4, 2)
    assert (result.model, result.split, result.offsets) == ("0123456789abcdef", "test", False)
    assert result.dataset_fingerprint == dataset.fingerprint and result.depth == 100


def test_learned_offsets_over_the_scale_take_part(make_encoder, dataset, tmp_path):
    encoder = make_encoder(offsets={"a": 0.0, "b": 0.0, "c": -8.0, "d": 8.0}, scale=2.0)
    result = evaluate(encoder, dataset, predictions=tmp_path / "p.npz", progress=False)
    ids, scores = load_predictions(tmp_path / "p.npz")
    assert result.offsets and ids[1, :4].tolist() == [3, 1, 0, 2]
    assert scores[1, :4].tolist() == [4, 1, 0, -2]


def test_a_trained_model_brings_its_own_fields(make_encoder, dataset, tmp_path):
    encoder = make_encoder()
    encoder.metadata = replace(
        encoder.metadata, dataset="tiny", query_fields=("content",), label_fields=("title",)
    )
    evaluate(encoder, dataset, predictions=tmp_path / "p.npz", progress=False)
    assert load_predictions(tmp_path / "p.npz")[0][1, :4].tolist() == [0, 1, 2, 3]


def test_blocks_of_queries_change_nothing(make_encoder, dataset, monkeypatch):
    whole = evaluate(make_encoder(), dataset.path, progress=False)
    # By the module's full name, as the package's attribute of this name is the function.
    monkeypatch.setattr(sys.modules["xmc.evaluation.rank"], "_BLOCK_ROWS", 1)
    assert evaluate(make_encoder(), dataset, progress=False).metrics == whole.metrics


def test_the_train_split_uses_its_own_rows(make_encoder, dataset):
    result = evaluate(make_encoder(), dataset, split="train", progress=False)
    assert result.num_queries == 3 and result.filtered_pairs == 0
    assert result.metrics["P@1"] == pytest.approx(100 * 2 / 3)


def test_without_training_rows_there_is_no_propensity(make_encoder, dataset, tmp_path, caplog):
    with DatasetWriter(tmp_path / "june", name="june", label_fields=("title",)) as writer:
        for uid, title in zip(dataset.uids("labels"), dataset.texts("labels", ["title"]), strict=True):
            writer.add_label(uid, title, content="0 0 0")
        for row, text in enumerate(dataset.texts("test")):
            writer.add_row("test", str(row), text, "", dataset.relevance("test")[row].indices)
        for row, label in zip(*dataset.filter("test").nonzero(), strict=True):
            writer.add_filter("test", int(row), int(label))
    whole, alone = (
        evaluate(make_encoder(), data, progress=False).metrics for data in (dataset, tmp_path / "june")
    )
    assert alone == {name: value for name, value in whole.items() if "PS" not in name} != whole
    assert "june has no training rows to count labels in: PSP and PSnDCG are left out" in caplog.text


def test_bad_cut_offs_are_refused(make_encoder, dataset):
    for ks in ((), (0, 1)):
        with pytest.raises(ConfigError, match="cut-offs of 1 and more"):
            evaluate(make_encoder(), dataset, ks=ks)


def test_what_is_no_model_and_no_data_set_is_refused(make_encoder, dataset):
    with pytest.raises(
        ConfigError, match="^model: expected a DualEncoder, .*, got a Dataset: the model comes first"
    ):
        evaluate(dataset, make_encoder())
    with pytest.raises(
        ConfigError, match="^dataset: expected a Dataset, or where one is, got a list: the model"
    ):
        evaluate(make_encoder(), ["texts"])


def test_psp_uses_training_frequencies(make_encoder, dataset):
    # At k = 1 all is found but label 0's equal, so the gain is complete: only equal weights cancel.
    result = evaluate(make_encoder(), dataset, ks=(1,), progress=False)
    counts = np.array([2, 1, 0, 0])
    constants = dataset.propensity
    c = (np.log(3) - 1) * (constants.b + 1) ** constants.a
    weights = 1 + c * (counts + constants.b) ** -constants.a
    gained, best = weights[1] + weights[2], weights[1] + max(weights[0], weights[2])
    assert result.metrics["PSP@1"] == pytest.approx(100 * gained / best)


def test_the_ceiling_is_that_of_the_test_rows(make_encoder, dataset, tmp_path):
    dataset.manifest.ceiling.update({"P@1": 80.0})
    assert evaluate(make_encoder(), dataset, progress=False).ceiling == {"P@1": 80.0}
    assert evaluate(make_encoder(), dataset, split="train", progress=False).ceiling == {}


def test_a_split_without_rows_is_refused(make_encoder, tmp_path):
    with DatasetWriter(tmp_path / "untested", name="untested") as writer:
        writer.add_row("train", "t", "1 0 0", "", [writer.add_label("a", "1 0 0")])
    with pytest.raises(DataError, match="expected test rows to evaluate on, untested has none"):
        evaluate(make_encoder(), tmp_path / "untested", progress=False)
    assert evaluate(make_encoder(), tmp_path / "untested", split="train", progress=False).num_queries == 1


def test_cut_texts_are_counted_over_all_blocks(make_encoder, dataset, monkeypatch, caplog):
    encoder = make_encoder()
    encode = encoder.encode_queries

    def long_texts(texts, *, cuts, **options):
        cuts.add(len(texts), len(texts), 3)
        return encode(texts)

    monkeypatch.setattr(encoder, "encode_queries", long_texts)
    monkeypatch.setattr(sys.modules["xmc.evaluation.rank"], "_BLOCK_ROWS", 1)
    with caplog.at_level("WARNING", logger="xmc"):
        evaluate(encoder, dataset, progress=False)
    assert [text for text in caplog.messages if text.startswith("2 of 2 queries have more tokens than the 3")]
    caplog.clear()
    with caplog.at_level("WARNING", logger="xmc"):
        evaluate(encoder, dataset, progress=False, tell_cuts=False)
    assert not caplog.messages


def test_every_kind_at_its_cut_offs_and_own_constants(make_encoder, dataset):
    result = evaluate(
        make_encoder(),
        dataset,
        ks=(2,),
        recall_ks=(1, 4),
        propensity=Propensity(0.6, 2.6),
        progress=False,
    )
    at_ks = [f"{kind}@2" for kind in ("P", "nDCG", "PSP", "PSnDCG")]
    deep = [f"{kind}@{k}" for kind in ("R", "MRR", "MAP", "Cov", "Reach") for k in (1, 4)]
    assert list(result.metrics) == at_ks + deep and result.depth == 4
    assert (result.propensity, result.propensity_source) == (
        {"a": 0.6, "b": 2.6},
        "given for this evaluation",
    )
    own = evaluate(make_encoder(), dataset, progress=False)
    assert own.propensity_source == "the default, as tiny is not in the table of published constants"
    assert (result.processes, result.metrics["Reach@4"]) == (1, 100.0)
