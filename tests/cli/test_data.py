from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmc.cli.main import main
from xmc.data import Dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "mine"
    source.mkdir()
    (source / "train.jsonl").write_text('{"text": "red shoes", "labels": ["shoes"]}\n', encoding="utf-8")
    (source / "test.jsonl").write_text('{"text": "blue shoes", "labels": ["shoes"]}\n', encoding="utf-8")
    return source


def test_import_then_info(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert (
        main(["data", "import", str(folder), str(out), "--name", "shop", "--propensity", "0.6", "2.6"]) == 0
    )
    dataset = Dataset.load(out)
    assert (dataset.name, dataset.num_train, dataset.num_labels) == ("shop", 1, 1)
    assert (dataset.propensity.a, dataset.propensity.b) == (0.6, 2.6)
    capsys.readouterr()

    facts = tmp_path / "facts.json"
    assert main(["data", "info", str(out), "--json", str(facts)]) == 0
    assert "shop" in capsys.readouterr().out
    assert json.loads(facts.read_text(encoding="utf-8"))["num_test"] == 1


def test_what_is_there_is_kept_without_overwrite(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["data", "import", str(folder), str(out)]) == 0
    assert main(["data", "import", str(folder), str(out)]) == 2
    assert main(["data", "import", str(folder), str(out), "--overwrite"]) == 0
    capsys.readouterr()


def test_bad_input_is_an_error_and_leaves_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train.jsonl").write_text(
        '{"text": "red shoes", "labels": ["shoes"]}\nnot json\n', encoding="utf-8"
    )
    assert main(["data", "import", str(folder), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "error: " in error and "train.jsonl" in error and "2" in error and "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_unknown_corpus_and_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "build", "api-dox", str(tmp_path / "out")]) == 2
    assert "api-docs" in capsys.readouterr().err
    assert main(["data", "import", str(tmp_path), str(tmp_path / "out"), "--format", "csv"]) == 2
    assert "jsonl" in capsys.readouterr().err
