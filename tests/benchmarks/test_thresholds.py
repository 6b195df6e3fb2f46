from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.thresholds import main
from xmc.data import Dataset
from xmc.data.preparing import prepare
from xmc.encoders import DualEncoder
from xmc.retrieval import LabelIndex
from xmc.retrieval.ensemble_options import EnsembleOptions


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """The third of a text's numbers says which of four labels it has, one in four at random."""
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        numbers = rng.random(3).round(6)
        label = rng.integers(4) if rng.random() < 0.25 else int(numbers.argmax())
        lines.append(f"{' '.join(map(str, numbers))},l{label}\n")
    (tmp_path / "clicks.csv").write_text("query,label\n" + "".join(lines), encoding="utf-8")
    (tmp_path / "labels.csv").write_text(
        "uid,title\nl0,1 0 0\nl1,0 1 0\nl2,0 0 1\nl3,-1 -1 -1\n", encoding="utf-8"
    )
    return prepare(tmp_path / "clicks.csv", tmp_path / "data", part="test", labels=tmp_path / "labels.csv")


def test_thresholds_are_measured_on_the_other_queries(
    dataset: Dataset,
    make_encoder: Callable[..., DualEncoder],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = LabelIndex.build(make_encoder(), dataset, progress=False)
    index.save(tmp_path / "plain")
    index.add_ensemble(EnsembleOptions(lexical=0.1))
    index.save(tmp_path / "index")
    load = LabelIndex.load
    monkeypatch.setattr(LabelIndex, "load", classmethod(lambda cls, place: load(place, make_encoder())))
    monkeypatch.setattr("benchmarks.thresholds.UNLIKE", ("-0.9 0.1 0", "0 -0.9 0.1"))
    assert main([str(tmp_path / "index"), str(dataset.path), "--queries", "200"]) == 0
    table, told = capsys.readouterr().out.split("\n\n")
    head, *lines = table.splitlines()
    assert head.split() == ["fitted", "on", "threshold", "precision", "recall", "F1", "coverage"]
    assert len(lines) == 10 and lines[0].startswith("scores") and lines[5].startswith("evidence")
    for line in (lines[0], lines[5]):
        precision, recall, f1, coverage = map(float, line.split()[2:])
        assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=2e-3)
        assert 0.4 < f1 < 1 and 0.5 < coverage <= 1
    said, by_score, by_evidence = told.splitlines()
    assert "best label of 2 texts unlike the data" in said
    assert by_score.startswith("scores") and by_evidence.startswith("evidence")
    mean, highest = map(float, by_evidence.split()[1:])
    assert 0 < mean <= highest < 1
    assert main([str(tmp_path / "plain"), str(dataset.path)]) == 2
    assert "expected an index that ranks with more than its model" in capsys.readouterr().err
