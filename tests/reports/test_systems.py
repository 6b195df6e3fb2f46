from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset, DatasetWriter
from xmc.errors import ConfigError, DataError
from xmc.evaluation import hits, save_predictions
from xmc.reports import build_report, compare
from xmc.reports.systems import _without_filtered, dataset_of, open_systems, system_names

FIND = hits.find_hits


def test_predictions_are_a_system(dataset, make_system, tmp_path) -> None:  # type: ignore[no-untyped-def]
    made = make_system("any", 0.5)
    save_predictions(tmp_path / "theirs.npz", made.ids, made.scores)
    (found,) = open_systems([str(tmp_path / "theirs.npz")], dataset, "test")
    assert found.name == "theirs" and found.scale is None and found.run is None
    np.testing.assert_array_equal(found.ids, made.ids)
    with pytest.raises(DataError, match="expected predictions for the 1,305 train rows"):
        open_systems([str(tmp_path / "theirs.npz")], dataset, "train")


def test_filtered_pairs_leave_a_ranking() -> None:
    ids, scores = np.array([[4, 2, 7], [1, 0, -1]], dtype=np.int32), np.array([[3, 2, 1], [2, 1, 0]], "f4")
    excluded = sp.csr_matrix((2, 9), dtype=bool)
    assert _without_filtered(ids, scores, excluded)[0] is ids
    excluded = sp.csr_matrix((np.ones(2, dtype=bool), ([0, 1], [4, 0])), shape=(2, 9))
    kept, moved = _without_filtered(ids, scores, excluded)
    assert kept.tolist() == [[2, 7, -1], [1, -1, -1]] and moved[0, :2].tolist() == [2, 1]


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
