"""The choice of what ranks beside a run's model, and an index that has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.data import Dataset, DatasetWriter
from xmc.encoders import DualEncoder
from xmc.evaluation import rank_labels
from xmc.prediction import ensembling, held_out_rows
from xmc.prediction.encoded import EncodedData
from xmc.prediction.ensembling import choose_ensemble, choose_for_run, query_votes, rank_test
from xmc.retrieval import LabelIndex, LexicalRanker
from xmc.retrieval.ensemble import Ensemble
from xmc.retrieval.ensemble_options import EnsembleOptions, VoteOptions


def test_a_choice_loses_nothing_on_the_held_out_rows(run: Path, data: Path) -> None:
    chosen, beside = choose_for_run(run, data, progress=False)
    first, last = chosen.stages[0].metrics, chosen.stages[-1].metrics
    assert chosen.num_rows == 20 == len(held_out_rows(run, Dataset.load(data)))
    assert all(last[name] >= first[name] for name in ("P@1", "nDCG@5"))
    options, names = chosen.options, [stage.name for stage in chosen.stages[1:]]
    assert names == [
        name for name, used in (("classified", options.classifiers), ("with vote", options.vote)) if used
    ]
    assert beside.options == options
    assert (beside.votes is not None) == (options.vote is not None)
    assert (beside.classifiers is not None) == bool(options.classifiers)
    assert beside.votes is None or len(beside.votes.vectors) == 119
    # No label shares a word with a query.
    assert chosen.options.lexical == 0 and "20 held-out training rows" in chosen.table()


def test_words_are_chosen_by_what_they_raise_where_every_label_is_in_a_list(
    tmp_path: Path,
) -> None:
    """Of six labels a hundred are found however they are ranked; words put the right one first."""
    labels = ["tent", "boot", "lamp", "rope", "stove", "map"]
    texts = [f"a good {labels[row % 6]} for the hills" for row in range(60)]
    with DatasetWriter(tmp_path / "hills", name="hills") as writer:
        for label in labels:
            writer.add_label(label, label)
        for row, text in enumerate(texts):
            writer.add_row("train", f"q{row}", text, "", [row % 6])
    dataset = Dataset.load(tmp_path / "hills")
    rng = np.random.default_rng(0)
    ids = np.full((60, 100), -1, dtype=np.int64)
    scores = np.full((60, 100), -np.inf)
    ids[:, :6] = np.argsort(rng.random((60, 6)), axis=1)
    scores[:, :6] = -np.sort(-rng.random((60, 6)), axis=1)
    chosen = choose_ensemble(
        *(dataset, np.arange(60), (ids, scores), None, np.arange(60), texts), lexical=LexicalRanker(labels)
    )
    before, after = (stage.metrics for stage in chosen.stages)
    assert chosen.options.lexical > 0 and after["nDCG@5"] > before["nDCG@5"] + 20
    assert before["R@100"] == after["R@100"] == 100


def test_words_that_raise_the_metric_do_not_lower_recall(tmp_path: Path) -> None:
    """The model has two of three labels first and one last; words raise it, and before it a wrong one."""
    labels = ["tent", "boot", "lamp", "rope", "stove", "map"]
    with DatasetWriter(tmp_path / "hills", name="hills") as writer:
        for label in labels:
            writer.add_label(label, label)
        for row in range(60):
            writer.add_row("train", f"q{row}", "a map and a stove", "", [0, 1, 5])
    dataset = Dataset.load(tmp_path / "hills")
    ids, scores = np.full((60, 100), -1, dtype=np.int64), np.full((60, 100), -np.inf)
    ids[:, :6], scores[:, :6] = np.arange(6), [1.0, 0.3, 0.29, 0.28, 0.27, 0.0]
    chosen = choose_ensemble(
        *(dataset, np.arange(60), (ids, scores), None, np.arange(60), ["a map and a stove"] * 60),
        lexical=LexicalRanker(labels),
        lexical_metric="R@2",
    )
    assert chosen.options.lexical == 0 and chosen.stages[-1].metrics["R@2"] == pytest.approx(200 / 3)


def test_classifiers_that_would_take_too_long_are_left_out(
    run: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen, beside = choose_for_run(run, data, classifier_seconds=0.0, progress=False)
    assert not chosen.judged and chosen.options.classifiers == 0 and beside.classifiers is None
    assert "classifiers of words are left out: learning them would take more than" in caplog.text


def test_the_test_rows_are_ranked_with_the_vote(
    run: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, encoder = Dataset.load(data), DualEncoder.load(run)
    encoded = EncodedData(encoder, dataset, progress=False)
    votes, rows = query_votes(encoded)
    assert rows.tolist() == [row for row in range(120) if row != 7]
    plain = rank_labels(encoder, dataset, "test", 40, progress=False)
    texts = encoder.label_texts(dataset)
    _, _, alone = rank_test(encoded, Ensemble(EnsembleOptions(), None, lambda: texts))
    np.testing.assert_array_equal(alone[0][:, :40], plain[0])
    options = EnsembleOptions(VoteOptions(0.5, 0.1))
    ensemble = Ensemble(options, votes, lambda: texts)
    every, own, (ids, scores) = rank_test(encoded, ensemble)
    assert every.tolist() == list(range(dataset.num_test))
    np.testing.assert_array_equal(own[0], alone[0][:, : own[0].shape[1]])
    monkeypatch.setattr(ensembling, "LEAST_ROWS", 5)
    some, *found = rank_test(encoded, ensemble, seconds=0.0)
    assert len(some) == 5 and (some[0], some[-1]) == (0, dataset.num_test - 1)
    for lists, all_lists in zip(found, (own, (ids, scores)), strict=True):
        np.testing.assert_array_equal(lists[0], all_lists[0][some])
        np.testing.assert_allclose(lists[1], all_lists[1][some], rtol=1e-5)
    index = LabelIndex.build(encoder, dataset, progress=False)
    index.add_ensemble(options, votes)
    queries = encoder.query_texts(dataset, "test")
    np.testing.assert_allclose(index.search(list(queries), 40)[1], scores[:, :40], rtol=1e-4, atol=1e-6)
    assert not np.array_equal(ids[:, :40], plain[0])


def test_the_command(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["index", str(run), "--labels", str(data), "--ensemble", "auto", "--out", str(tmp_path / "index")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "held-out training rows" in shown and "beside the labels' own scores: " in shown
    assert main(["search", str(tmp_path / "index"), "query1 query2", "-k", "3"]) == 0
    words[1] = str(run / "model")
    assert main([*words, "--overwrite"]) == 2
    assert "--ensemble auto: expected a run's folder" in capsys.readouterr().err


def test_the_command_refuses_before_labels_are_encoded(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def encodes(*given: object, **options: object) -> None:
        raise AssertionError("labels are encoded")

    monkeypatch.setattr(LabelIndex, "build", encodes)
    words = ["index", str(run), "--labels", str(data), "--ensemble", "auto", "--out", str(tmp_path / "index")]
    table = tmp_path / "labels.csv"
    table.write_text("uid,title\nl0,label0\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="labels are encoded"):
        main(words)  # nothing to refuse

    def refused(*more: str) -> str:
        assert main([*words, *more]) == 2
        return capsys.readouterr().err

    assert "expected a metric such as P@1" in refused("--metric", "nothing")
    assert f"the prepared data set that the run was trained on, whose held-out rows decide, got {table}" in (
        refused("--labels", str(table))
    )
    config = run / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("rows: 20", "rows: 0"), encoding="utf-8")
    said = refused()
    assert "it held out none: train it with validation.rows" in said and "--split" not in said
    (run.parent / "choices.json").write_text("{}", encoding="utf-8")
    (run.parent / "index").mkdir()
    assert f"{run.parent / 'index'} is the index of the fit that made the run" in refused()
