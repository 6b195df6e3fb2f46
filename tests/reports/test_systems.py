from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset, DatasetWriter
from xmc.errors import ConfigError, DataError
from xmc.evaluation import hits, save_predictions, score_predictions
from xmc.reports import build_report, compare
from xmc.reports.measures import measure
from xmc.reports.systems import dataset_of, open_systems, system_names

FIND = hits.find_hits


def test_predictions_are_a_system(dataset, make_system, tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = make_system("any", 0.5)
    save_predictions(tmp_path / "theirs.npz", made.ids, made.scores)
    (found,) = open_systems([str(tmp_path / "theirs.npz")], dataset, "test")
    assert found.name == "theirs" and found.scale is None and found.run is None
    np.testing.assert_array_equal(found.ids, made.ids)
    with pytest.raises(DataError, match="expected predictions for the 1,305 train rows"):
        open_systems([str(tmp_path / "theirs.npz")], dataset, "train")


def written(tmp_path: Path, filtered: list[tuple[int, int]] = []) -> Dataset:  # noqa: B006
    """Two test queries, each with one right label of nine, and their filter pairs."""
    with DatasetWriter(tmp_path / "data", name="nine") as writer:
        for label in range(9):
            writer.add_label(f"l{label}", str(label))
        writer.add_row("train", "a", "x", "", [0])
        writer.add_row("test", "t", "x", "", [1])
        writer.add_row("test", "u", "y", "", [2])
        for row, label in filtered:
            writer.add_filter("test", row, label)
    return Dataset.load(tmp_path / "data")


def test_filtered_pairs_leave_a_ranking(tmp_path: Path) -> None:
    ids, scores = np.array([[4, 2, 7], [1, 0, -1]], dtype=np.int32), np.array([[3, 2, 1], [2, 1, 0]], "f4")
    save_predictions(tmp_path / "p.npz", ids, scores)
    (found,) = open_systems([str(tmp_path / "p.npz")], written(tmp_path, [(0, 4), (1, 0)]), "test")
    assert found.ids.tolist() == [[2, 7, -1], [1, -1, -1]] and found.scores[0, :2].tolist() == [2, 1]


def test_predictions_of_any_format_are_the_ruler_s_of_score(tmp_path: Path) -> None:
    """Equal scores rank by label id, and a list is as long as what was given."""
    dataset = written(tmp_path)
    lists = {"t": [("l5", 2.0), ("l1", 2.0), ("l3", 1.0)], "u": [("l2", 1.0)]}
    trec = [
        f"{query} Q0 {label} {rank} {score} x"
        for query, own in lists.items()
        for rank, (label, score) in enumerate(own, 1)
    ]
    (tmp_path / "theirs.trec").write_text("\n".join(trec), encoding="utf-8")
    lines = [
        json.dumps({"uid": query, "labels": [label for label, _ in own], "scores": [s for _, s in own]})
        for query, own in lists.items()
    ]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines), encoding="utf-8")
    scores = sp.csr_matrix(([2.0, 2.0, 1.0, 1.0], ([0, 0, 0, 1], [5, 1, 3, 2])), shape=(2, 9))
    sp.save_npz(tmp_path / "matrix.npz", scores)
    ids = np.array([[5, 1, 3], [2, -1, -1]], dtype=np.int32)
    save_predictions(tmp_path / "ours.npz", ids, np.array([[2, 2, 1], [1, 0, 0]], dtype=np.float32))
    names = ("theirs.trec", "lines.jsonl", "matrix.npz", "ours.npz")
    for name in names:
        (found,) = open_systems([str(tmp_path / name)], dataset, "test")
        assert found.name == name.partition(".")[0]
        assert found.ids.tolist() == [[1, 5, 3], [2, -1, -1]], name
        measured = measure(dataset, found)
        ours = score_predictions(tmp_path / name, dataset, quiet=True).metrics
        for metric in ("P@1", "nDCG@5", "PSP@3"):
            column = measured.names.index(metric)
            value = 100 * measured.gained[:, column].sum() / measured.whole[:, column].sum()
            assert value == pytest.approx(ours[metric])
        assert "R@10" not in measured.names
    with pytest.raises(DataError, match="gone.trec: expected a file of predictions"):
        open_systems([str(tmp_path / "gone.trec")], dataset, "test")


def test_lists_of_all_labels_are_as_deep_as_any_cut_off(tmp_path: Path) -> None:
    dataset = written(tmp_path)
    ids = np.tile(np.arange(9, dtype=np.int32), (2, 1))
    save_predictions(tmp_path / "all.npz", ids, np.tile(np.arange(9.0, 0, -1), (2, 1)))
    (found,) = open_systems([str(tmp_path / "all.npz")], dataset, "test")
    assert "R@100" in measure(dataset, found).names


def test_lists_that_filter_pairs_made_shorter_are_not_too_short(tmp_path, caplog) -> None:  # type: ignore[no-untyped-def]
    with DatasetWriter(tmp_path / "data", name="filtered") as writer:
        for label in range(9):
            writer.add_label(f"l{label}", str(label))
        writer.add_row("train", "a", "x", "", [0])
        writer.add_row("test", "t", "x", "", [1])
        writer.add_filter("test", 0, 2)
    dataset = Dataset.load(tmp_path / "data")
    for name, count in (("whole", 5), ("short", 4)):
        save_predictions(
            tmp_path / f"{name}.npz", np.arange(count)[None], np.arange(9.0, 9 - count, -1)[None]
        )
        (found,) = open_systems([str(tmp_path / f"{name}.npz")], dataset, "test")
        assert (found.ids >= 0).sum() == count - 1
    assert len(caplog.messages) == 1 and "short.npz: 1 of 1 query has fewer than 5" in caplog.text


def test_names_are_the_last_part_where_that_is_distinct() -> None:
    assert system_names(["runs/a", "runs/b.v2/", "p.npz"]) == ["a", "b.v2", "p"]
    assert system_names(["x/run", "y/run"]) == ["x/run", "y/run"]
    with pytest.raises(ConfigError, match="name each once"):
        system_names(["runs/a", "runs/a"])
    with pytest.raises(ConfigError, match="name each once"):
        system_names(["runs/a", "./runs/a/"])


def test_the_runs_say_which_data(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for name, data in (("a", "d1"), ("b", "d1"), ("c", "d2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"data: {{path: {data}}}\n")
    runs = {name: str(tmp_path / name) for name in "abc"}
    assert dataset_of([runs["a"], runs["b"], "model"]) == "d1"
    with pytest.raises(ConfigError, match="--dataset.*d1 and d2"):
        dataset_of([runs["a"], runs["c"]])
    with pytest.raises(ConfigError, match="none of these is a run"):
        dataset_of(["model"])
    (tmp_path / "seeds" / "seed-3").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is a folder of seeds: name one of its runs, such as .*seed-3"):
        dataset_of([str(tmp_path / "seeds")])
    (tmp_path / "a" / "config.yaml").write_text("[]")
    with pytest.raises(ConfigError, match="data.path"):
        dataset_of([runs["a"]])


def test_a_report_finds_the_hits_of_a_system_once(dataset, make_system, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    found = []
    monkeypatch.setattr(hits, "find_hits", lambda *given: found.append(given[1]) or FIND(*given))
    systems = [make_system("a", 0.3, seed=1), make_system("b", 0.8, seed=2)]
    compare(*systems, dataset)
    build_report(systems, dataset)
    assert len(found) == 2, "the test split is one block of rows"
