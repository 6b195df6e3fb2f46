from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.expected_precision import main
from xmc.corpora import build_synthetic
from xmc.corpora.synthetic.build import Source
from xmc.corpora.synthetic.catalogue import make_catalogue
from xmc.corpora.synthetic.expected import expected_precision
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.oracle import Oracle
from xmc.corpora.synthetic.vocabulary import make_vocabulary
from xmc.data import Dataset
from xmc.errors import DataError
from xmc.evaluation import precision_at, save_predictions


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made") / "data"
    sizes = {"num_labels": 300, "num_queries": 50, "num_test": 9000, "seed": 3}
    return build_synthetic(folder, **sizes, progress=False)


@pytest.fixture(scope="module")
def likeliest(made: Dataset) -> np.ndarray:
    catalogue = make_catalogue(300, Law().zipf_offset, 3)
    source, oracle = Source(catalogue, make_vocabulary(3, 0), Law(), 3), Oracle(catalogue, Law())
    chunks = [oracle.rank(source.queries("test", chunk).observed, 20)[0] for chunk in range(2)]
    return np.concatenate(chunks)[:9000]


def test_the_best_ranking_is_worth_the_ceiling(made: Dataset, likeliest: np.ndarray) -> None:
    assert expected_precision(made, likeliest) == pytest.approx(made.ceiling, abs=1e-4)


def test_any_ranking_is_worth_what_is_measured_but_for_chance(made: Dataset, likeliest: np.ndarray) -> None:
    shuffled = np.random.default_rng(0).permuted(likeliest, axis=1)
    shuffled[::7, 5:] = -1
    expected = expected_precision(made, shuffled)
    for k in (1, 3, 5):
        measured = 100 * precision_at(made.relevance("test"), shuffled, k)
        assert abs(measured - expected[f"P@{k}"]) < 1.6, "three standard errors of 9,000 queries"
    assert expected["P@1"] < made.ceiling["P@1"] - 20


def test_other_data_and_other_shapes_are_refused(
    made: Dataset, likeliest: np.ndarray, tmp_path: Path
) -> None:
    for wrong in (likeliest[:5], likeliest[:, :4], likeliest[0]):
        with pytest.raises(DataError, match="expected a ranking \\[9000, 5 or more\\]"):
            expected_precision(made, wrong)


def test_the_command_prints_a_line_for_each_file(
    made: Dataset, likeliest: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_predictions(tmp_path / "best.npz", likeliest, np.zeros(likeliest.shape, dtype=np.float32))
    assert main([str(made.path), str(tmp_path / "best.npz")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("P@1 ") and first.endswith("best possible")
    assert second.split()[:6] == first.split()[:6] and second.endswith("best.npz")
    assert main([str(made.path), str(tmp_path / "missing.npz")]) == 2
    assert "missing.npz" in capsys.readouterr().err
