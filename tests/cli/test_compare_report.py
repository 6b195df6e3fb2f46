"""Evaluate keeps, compare and report read, each as the command a user types."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import write_recipe
from xmc.cli.main import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, dataset_folder: Path, model_folder: Path) -> list[Path]:
    """Runs of two seeds."""
    place = tmp_path_factory.mktemp("trained")
    recipe = write_recipe(place, dataset_folder, model_folder)
    folders = [place / name for name in ("a", "b")]
    for seed, folder in enumerate(folders):
        assert main(["train", str(recipe), "--seed", str(seed), "--run.dir", str(folder)]) == 0
    return folders


@pytest.fixture
def runs(trained: list[Path], tmp_path: Path) -> list[str]:
    """Copies that a test may change."""
    return [str(shutil.copytree(folder, tmp_path / folder.name)) for folder in trained]


def test_evaluate_keeps_its_result_in_the_run(runs: list[str], dataset_folder: Path, capsys: Capture) -> None:
    run = Path(runs[0])
    assert (run / "machine.json").is_file()
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert "validation" in card and "split: test" not in card
    assert "Not evaluated yet" in (run / "last" / "README.md").read_text(encoding="utf-8")
    assert main(["evaluate", runs[0], str(dataset_folder), "--predictions", str(run / "mine.npz")]) == 0
    assert {path.name for path in (run / "evaluations").iterdir()} == {"things-test.json", "things-test.npz"}
    assert (run / "mine.npz").is_file()
    assert "split: test" in (run / "model" / "README.md").read_text(encoding="utf-8")
    assert main(["evaluate", runs[1], str(dataset_folder), "--ks", "[1]", "--recall_ks", "[5]"]) == 0
    assert not (Path(runs[1]) / "evaluations").exists(), "too short a ranking for reports"


def test_compare_two_runs(runs: list[str], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "comparison.json"
    assert main(["compare", *runs, "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "b less a" in shown and "P@1" in shown and "sign-flip" in shown
    assert json.loads(out.read_text(encoding="utf-8"))["num_queries"] == 20
    assert (Path(runs[0]) / "evaluations" / "things-test.npz").is_file()
    assert main(["compare", runs[0], str(Path(runs[1]) / "model")]) == 0
    assert main(["compare", *runs, "--by", "P@9"]) == 2
    assert main(["compare", runs[0], "nowhere.npz"]) == 2
    assert main(["compare", str(Path(runs[0]) / "model"), str(Path(runs[1]) / "model")]) == 2
    assert "--dataset" in capsys.readouterr().err


def test_stored_rankings_are_used_until_the_model_changes(
    runs: list[str], recipe: Path, dataset_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xmc import evaluation

    computed: list[str] = []
    original = evaluation.evaluate

    def counted(model, *arguments, **options):  # type: ignore[no-untyped-def]
        computed.append(model.fingerprint)
        return original(model, *arguments, **options)

    monkeypatch.setattr(evaluation, "evaluate", counted)
    assert main(["compare", *runs, "--dataset", str(dataset_folder)]) == 0
    assert main(["compare", *runs, "--data.path", str(dataset_folder)]) == 0
    assert len(computed) == 2
    again = ["train", str(recipe), "--seed", "7", "--run.dir", runs[0], "--run.overwrite", "true"]
    assert main(again) == 0 and not (Path(runs[0]) / "evaluations").exists()
    assert main(["compare", *runs]) == 0
    assert len(computed) == 3


def test_report_writes_its_files(runs: list[str], tmp_path: Path, capsys: Capture) -> None:
    assert main(["report", runs[0], "--shown", "2"]) == 0
    shown = capsys.readouterr().out
    folder = Path(runs[0]) / "report"
    assert str(folder / "report.html") in shown and "P@1" in shown
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert content["machines"]["a"]["cores"] >= 1 and content["cost"]["a"]["num_steps"] == 6
    assert content["cost"]["a"]["peak_memory_bytes"] is None or content["cost"]["a"]["seconds"] > 0
    assert "validation P@1" in (folder / "report.html").read_text(encoding="utf-8")
    assert main(["report", *runs]) == 2
    assert "--out" in capsys.readouterr().err
    assert main(["report", *runs, "--out", str(tmp_path / "both")]) == 0
    assert "less a" in (tmp_path / "both" / "report.md").read_text(encoding="utf-8")


def test_report_with_the_untrained_encoder_as_baseline(
    runs: list[str], model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    """The encoder that the run began with is the model of its recipe, ranked on the same queries."""
    from xmc.encoders import DualEncoder
    from xmc.encoders.config import EncoderConfig
    from xmc.evaluation import evaluate

    out = tmp_path / "report"
    assert main(["report", runs[0], "--untrained", "--out", str(out)]) == 0
    assert "untrained" in capsys.readouterr().out
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert [system["name"] for system in content["systems"]] == ["untrained", "a"]
    values = content["summary"][0]["values"]
    begun = DualEncoder.build(EncoderConfig(model=str(model_folder), kind="static"))
    before = evaluate(begun, str(dataset_folder)).metrics
    assert values["untrained"]["value"] == pytest.approx(before["P@1"]) and values["a"]["value"] > 0
    assert content["gains"]["a"][0]["metric"] == "P@1"
    assert (
        main(
            [
                "report",
                str(Path(runs[0]) / "model"),
                "--untrained",
                "--dataset",
                str(dataset_folder),
                "--out",
                str(out),
            ]
        )
        == 2
    )
    assert "--untrained" in capsys.readouterr().err
