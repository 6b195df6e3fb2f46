"""Fusions of a run with other systems' files and with words, and what their weights are chosen on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.cli.main import main
from xmc.data import Dataset
from xmc.errors import ConfigError, DataError
from xmc.evaluation import load_lists, load_predictions, save_predictions, score_predictions
from xmc.evaluation.weights import choose_weights, measure_by
from xmc.prediction import held_out_rows
from xmc.prediction.fusing import Fusion, fuse
from xmc.prediction.sources import open_sources
from xmc.retrieval import BM25Ranker
from xmc.retrieval.fusion import weighted_fusion


def write_random(path: Path, rows: int, seed: int, chosen: np.ndarray | None = None) -> Path:
    """Random lists of five labels; none for rows that are not ``chosen``."""
    generator = np.random.default_rng(seed)
    ids = np.stack([generator.permutation(40)[:5] for _ in range(rows)])
    scores = np.sort(generator.random((rows, 5)), axis=1)[:, ::-1]
    if chosen is not None:
        left = np.setdiff1d(np.arange(rows), chosen)
        ids[left], scores[left] = -1, -np.inf
    save_predictions(path, ids, scores)
    return path


@pytest.fixture
def files(run: Path, data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A system's predictions of the test rows and of the rows that the run held out."""
    rows = held_out_rows(run, Dataset.load(data))
    return write_random(tmp_path / "other.npz", 30, 0), write_random(
        tmp_path / "other-held.npz", 120, 1, rows
    )


def test_weights_are_the_best_of_the_grid() -> None:
    """The better half of each list is in one system, the rest in the other: only together they are whole."""
    generator = np.random.default_rng(0)
    ids = np.stack([generator.permutation(50)[:10] for _ in range(30)])
    truth = sp.csr_matrix(
        (np.ones(120), (np.repeat(np.arange(30), 4), ids[:, [0, 1, 5, 6]].ravel())), shape=(30, 50)
    )
    scores = np.tile(np.linspace(1, 0.1, 5), (30, 1))
    systems = [(ids[:, :5], scores), (ids[:, 5:], scores), (ids[:, [9, 8, 7]], scores[:, :3])]
    measure = measure_by(truth, None, ["P@4", "P@1"])
    for given in (systems[:2], systems[1::-1], systems):
        chosen = choose_weights(given, measure, "P@4", keep=["P@1"], k=10)
        assert chosen.metrics["P@4"] == 100.0 and [one["P@4"] for one in chosen.alone][:2] == [50.0, 50.0]
        assert sum(chosen.weights) == pytest.approx(1) and len(chosen.weights) == len(given)
        found = measure(weighted_fusion(given, chosen.weights, 10)[0])
        assert found == chosen.metrics
    # Nothing to gain: the best alone, and no weight for the others.
    alone = choose_weights([systems[2], systems[0]], measure, "P@1", k=10)
    assert alone.weights == (0.0, 1.0)


def test_what_must_not_fall_does_not() -> None:
    truth = sp.csr_matrix(np.array([[1, 0, 0, 1, 1, 0, 0, 0]]))
    first = (np.array([[0, 3, 1, 5, 6]]), np.array([[1.0, 0.99, 0.98, 0.97, 0.0]]))
    second = (np.array([[2, 4, 7]]), np.array([[1.0, 0.9, 0.0]]))
    measure = measure_by(truth, None, ["P@1", "P@4"])
    free = choose_weights([first, second], measure, "P@4", k=5)
    kept = choose_weights([first, second], measure, "P@4", k=5, keep=["P@1"])
    assert free.metrics == {"P@1": 0.0, "P@4": 75.0} and free.weights == (0.45, 0.55)
    assert kept.metrics == {"P@1": 100.0, "P@4": 50.0} and kept.weights == (1.0, 0.0)


@pytest.mark.parametrize(("helped", "weights"), [(3, (1.0, 0.0)), (30, (0.45, 0.55))])
def test_what_a_few_rows_say_by_chance_gives_no_weight(helped: int, weights: tuple[float, float]) -> None:
    """The second system turns 2 rows wrong and some right, and is wrong alone on 40 where it is not sure."""
    truth = np.repeat([0, 1, 2], [2, helped, 40])
    first, second = np.zeros((len(truth), 4), dtype=int), np.zeros((len(truth), 4), dtype=int)
    first[:], second[:] = (0, 1, 4, 5), (1, 0, 6, 7)
    first[truth == 2], second[truth == 2] = (2, 3, 4, 5), (3, 2, 6, 7)
    ours, theirs = (
        np.tile([1.0, 0.1, 0.1, 0.0], (len(truth), 1)),
        np.tile([1.0, 0.1, 0.1, 0.0], (len(truth), 1)),
    )
    theirs[truth == 2, 1] = 0.99
    relevance = sp.csr_matrix((np.ones(len(truth)), (np.arange(len(truth)), truth)), shape=(len(truth), 8))
    measure = measure_by(relevance, None, ["P@1"])
    chosen = choose_weights([(first, ours), (second, theirs)], measure, "P@1", k=4)
    best = measure(weighted_fusion([(first, ours), (second, theirs)], (0.45, 0.55), 4)[0])["P@1"]
    assert best > chosen.alone[0]["P@1"] > chosen.alone[1]["P@1"]
    assert chosen.weights == weights


def test_bm25_is_a_system_of_its_own(data: Path) -> None:
    pytest.importorskip("bm25s")
    dataset = Dataset.load(data)
    source = open_sources(["bm25"])[0]
    assert not (source.has_logits or source.is_file or source.is_run)
    expected = BM25Ranker(dataset.texts("labels")).rank(dataset.texts("test"), 5)
    rows = np.arange(3)
    for found, wanted in zip(source.of_test(dataset, 5), expected, strict=True):
        assert found.tobytes() == wanted.tobytes()
    trained = BM25Ranker(dataset.texts("labels")).rank(dataset.texts("train")[rows], 5)
    assert source.of_rows(dataset, rows, 5)[0].tobytes() == trained[0].tobytes()


def test_a_run_with_a_file_and_words(run: Path, data: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    result = fuse([str(run), str(files[0]), "lexical"], data, validation=[files[1]], progress=False)
    assert result.names == ("run", "other", "lexical") and list(result.evaluations)[-1] == "fused"
    assert result.num_validation == 20 and result.chosen is not None
    # A label's word has the vector of the queries' word for it: the run is right alone, the file is chance.
    assert result.weights[0] > 0.9 and sum(result.weights) == pytest.approx(1)
    alone, fused = result.chosen.alone[0], result.chosen.metrics
    assert fused["nDCG@5"] >= alone["nDCG@5"] > 80 and fused["P@1"] >= alone["P@1"]
    assert result.evaluations["other"].metrics == score_predictions(files[0], data).metrics
    assert "chosen on 20 held-out training rows" in result.reason() and "fused" in result.table()


def test_given_weights_and_reciprocal_ranks_need_no_held_out_rows(
    run: Path, data: Path, files: tuple[Path, Path]
) -> None:
    model, other = str(run / "model"), str(files[0])
    given = fuse([model, other], data, weights=[0.5, 0.5], progress=False)
    ranks = fuse([model, other], data, method="rrf", progress=False)
    assert given.weights == (0.5, 0.5) and ranks.weights == (1.0, 1.0)
    assert given.chosen is ranks.chosen is None
    left = load_lists(other, data)
    assert given.normalisation == "min_max" and ranks.normalisation is None
    expected = weighted_fusion([(given_lists := fuse_alone(model, data)), left], [0.5, 0.5], 100)
    np.testing.assert_array_equal(given.ids, expected[0])
    assert given_lists[0].shape[0] == 30


def fuse_alone(model: str, data: Path) -> tuple[np.ndarray, np.ndarray]:
    from xmc.reports import open_systems

    system = open_systems([model], Dataset.load(data), "test", progress=False)[0]
    return system.ids, system.scores


def test_what_is_missing_is_said(run: Path, data: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    other = str(files[0])
    with pytest.raises(ConfigError, match=r"other.npz's system for held-out .*--validation \[FILE\]"):
        fuse([str(run), other], data, progress=False)
    with pytest.raises(DataError, match="20 held-out training rows, but 15 of them have none"):
        rows = held_out_rows(run, Dataset.load(data))
        short = write_random(tmp_path / "short.npz", 120, 1, rows[:5])
        fuse([str(run), other], data, validation=[short], progress=False)
    with pytest.raises(ConfigError, match="is a model, of which no held-out rows are known"):
        fuse([str(run / "model"), other], data, validation=[files[1]], progress=False)
    with pytest.raises(ConfigError, match="expected a run or a file with --validation among the systems"):
        fuse([str(run / "model"), "lexical"], data, progress=False)
    with pytest.raises(ConfigError, match="one file for each of 1 files of predictions, got 2"):
        fuse([str(run), other], data, validation=[files[1], files[1]], progress=False)
    with pytest.raises(ConfigError, match="two systems or more"):
        fuse([str(run)], data)
    with pytest.raises(ConfigError, match=r"metric: expected a metric such as P@1.* got 'P@1000'"):
        fuse([str(run), other], data, metric="P@1000")
    with pytest.raises(ConfigError, match="weights: expected one for each of 2 systems, got 1"):
        fuse([str(run), other], data, weights=[1.0])


def test_an_index_is_no_system(run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "current.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match="index is an index of labels: rank the test rows with it"):
        fuse([str(run), str(tmp_path / "index")], data, progress=False)


def test_a_system_is_named_once(data: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match=r"expected different systems, got .*name each once"):
        fuse([str(files[0]), str(files[0])], data, method="rrf", progress=False)


def test_runs_that_held_out_other_rows(run: Path, data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "seed4"))
    config = (run / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("seed: 3", "seed: 4"))
    with pytest.raises(ConfigError, match="runs that held out the same rows"):
        fuse([str(run), str(other)], data, progress=False)


def test_the_command(
    run: Path, data: Path, files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fused.npz"
    words = ["fuse", str(run), str(files[0]), "--validation", json.dumps([str(files[1])])]
    assert main([*words, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "weights: run 0.9" in shown and f"fused ranking: {out}" in shown
    ids, scores = load_predictions(out)
    assert ids.shape == scores.shape == (30, 100)
    scored = score_predictions(out, data)
    assert f"{scored.metrics['P@1']:.2f}" in shown
    assert main(["fuse", str(run), "--out", str(tmp_path / "fused.csv")]) == 2
    assert "--out: expected a file that ends in .npz" in capsys.readouterr().err
    (tmp_path / "folder.npz").mkdir()
    assert main(["fuse", str(run), "--out", str(tmp_path / "folder.npz")]) == 2
    assert "--out: expected a file to write" in capsys.readouterr().err


def negated(source: Path, target: Path, row: int) -> Path:
    """The file with a score of -0.001 at the end of a row's list."""
    ids, scores = load_predictions(source)
    scores[row, (ids[row] >= 0).sum() - 1] = -1e-3
    save_predictions(target, ids, scores)
    return target


def test_scores_are_read_one_way_for_the_held_out_and_the_test_rows(
    run: Path, data: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    def by_share(test: Path, held_out: Path) -> Fusion:
        systems = [str(run), str(test)]
        return fuse(systems, data, normalisation="share", validation=[held_out], progress=False)

    plain = by_share(*files)
    assert plain.readings == ("logits", "amounts")
    assert "run as logits (the softmax of a list), other as they are" in plain.reason()
    row = int(held_out_rows(run, Dataset.load(data))[0])
    below, below_held = negated(files[0], tmp_path / "a.npz", 0), negated(files[1], tmp_path / "b.npz", row)
    # What the held-out lists are decides, whatever the test lists have.
    for test in (files[0], below):
        assert by_share(test, below_held).readings == ("logits", "logits")
    with pytest.raises(DataError, match=r"a: expected scores of at least 0.*-0.001 in row 0.*min_max"):
        fuse([str(below), "lexical"], data, normalisation="share", validation=[files[1]], progress=False)
    # Of weight 0 it adds nothing, and is not refused.
    assert by_share(below, files[1]).weights == (1.0, 0.0)
    other = fuse([str(run), str(below)], data, normalisation="min_max", validation=[files[1]], progress=False)
    assert other.readings is None and "read:" not in other.reason()
    # Without held-out rows the test lists say it.
    given = fuse([str(run), str(below)], data, normalisation="share", weights=[0.5, 0.5], progress=False)
    assert given.readings == ("logits", "logits")


def test_reciprocal_ranks_take_no_normalisation(run: Path, data: Path, files: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="no normalisation with reciprocal ranks.*got min_max"):
        fuse([str(run), str(files[0])], data, method="rrf", normalisation="min_max", progress=False)


def test_short_lists_are_told_of_by_the_name_of_their_system(
    run: Path, data: Path, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", logger="xmc"):
        fuse([str(run), str(files[0])], data, method="rrf", progress=False)
    told = [message for message in caplog.messages if "have fewer than" in message]
    assert any(message.startswith("other: ") for message in told)
    assert not any("ranking.npz" in message or message.startswith("fused") for message in told)
