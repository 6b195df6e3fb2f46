from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmc.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def predictions(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "test.npz"
    words = ["evaluate", str(model_folder), str(dataset_folder), "--predictions", str(path)]
    assert main([*words, "--json", str(tmp_path / "evaluated.json"), "--recall_ks", "[10]"]) == 0
    return path


def test_scores_of_the_predictions_are_those_of_the_evaluation(
    predictions: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    scored = tmp_path / "scored.json"
    words = ["score", str(predictions), str(dataset_folder), "--recall_ks", "[10]"]
    capsys.readouterr()
    assert main([*words, "--json", str(scored)]) == 0
    out = capsys.readouterr().out
    assert (
        "PSnDCG" in out and "Cov" in out and "propensity A 0.55, B 1.5: the default, as things is not" in out
    )
    one, other = (json.loads(path.read_text()) for path in (tmp_path / "evaluated.json", scored))
    assert one["metrics"] == pytest.approx(other["metrics"], rel=1e-12)
    assert one["propensity_source"] == other["propensity_source"]


def test_cut_offs_and_constants_are_options(predictions: Path, dataset_folder: Path, capsys: Capture) -> None:
    capsys.readouterr()
    words = ["score", str(predictions), str(dataset_folder), "--ks", "[2,7]", "--recall_ks", "[4]"]
    assert main([*words, "--propensity", "0.6", "2.6"]) == 0
    out = capsys.readouterr().out
    assert "@7" in out and "@4" in out and "@5" not in out
    assert "propensity A 0.6, B 2.6: given for this evaluation" in out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--ks", "[0]"], "--ks: expected cut-offs of 1 and more"),
        (["--recall_ks", "[]"], "--recall_ks: expected cut-offs of 1 and more"),
        (["--propensity", "-1", "2"], "propensity constants of at least 0"),
        (["--format", "csv"], "--format: expected one of auto, npz"),
        (["--json", "."], "--json: expected a file to write"),
    ],
)
def test_bad_options_are_an_error_line(
    options: list[str], text: str, predictions: Path, dataset_folder: Path, capsys: Capture
) -> None:
    assert main(["score", str(predictions), str(dataset_folder), *options]) == 2
    assert text in capsys.readouterr().err
