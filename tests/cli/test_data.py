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


def test_tables_with_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "clicks.txt").write_bytes(
        "Suchwort~Artikel~5\nrote Schühe~s1/s2~3\nHut~h~1\nx~gone~1\n".encode("cp1252")
    )
    (tmp_path / "articles.csv").write_text("uid,title\ns1,Schuh\ns2,Stiefel\nh,Hut\n", encoding="utf-8")
    out = tmp_path / "out"
    words = [
        "data",
        "import",
        str(tmp_path / "clicks.txt"),
        str(out),
        "--labels",
        str(tmp_path / "articles.csv"),
    ]
    words += [
        "--delimiter",
        "~",
        "--quote",
        "none",
        "--encoding",
        "cp1252",
        "--separator",
        "/",
        "--unknown",
        "skip",
    ]
    words += ["--weights", "one", "--split", "0.5", "--seed", "3", "--columns", "query=Suchwort", "label=2"]
    assert main(words) == 0
    dataset = Dataset.load(out)
    texts = [text for split in ("train", "test") for text in dataset.texts(split)]
    assert sorted(texts) == ["Hut", "rote Schühe"] and dataset.num_test == 1
    pairs = [dataset.relevance(split) for split in ("train", "test")]
    assert sum(one.nnz for one in pairs) == 3 and all((one.data == 1).all() for one in pairs)
    assert "left out clicks on unknown labels: 1 (the first" in caplog.text


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--columns", "querry=a"], "expected WHAT=COLUMN, got 'querry': did you mean query=...?"),
        (["--columns", "query"], "WHAT is one of query"),
        (["--colums", "query=a"], "did you mean --columns?"),
        (["--split", "2"], "split: expected a share between 0 and 1"),
        (["--part", "tests"], "expected one of train, test, labels"),
    ],
)
def test_options_of_tables_that_cannot_be(
    option: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clicks.csv").write_text("query,label\na,x\nb,y\n", encoding="utf-8")
    words = ["data", "import", str(tmp_path / "clicks.csv"), str(tmp_path / "out"), *option]
    assert main(words) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_export_split_labels_and_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "".join(f"word {number},l{number % 9}\n" for number in range(90))
    (tmp_path / "clicks.csv").write_text("query,label\n" + lines, encoding="utf-8")
    data = str(tmp_path / "data")
    assert main(["data", "import", str(tmp_path / "clicks.csv"), data, "--split", "0.3"]) == 0
    assert main(["data", "split-labels", data, str(tmp_path / "unseen"), "--unseen", "0.3"]) == 0
    assert "held out of training on purpose" in capsys.readouterr().out
    twice = [str(tmp_path / "twice"), "--unseen", "0.3", "--train_on", str(tmp_path / "x" / ".." / "twice")]
    assert main(["data", "split-labels", data, *twice]) == 2
    assert "--train_on: expected another folder" in capsys.readouterr().err
    assert not (tmp_path / "twice").exists()
    assert main(["data", "export", data, str(tmp_path / "trec"), "--format", "trec"]) == 0
    assert "test.qrels" in capsys.readouterr().out
    assert main(["data", "import", str(tmp_path / "clicks.csv"), str(tmp_path / "same")]) == 0
    capsys.readouterr()
    assert main(["data", "drift", str(tmp_path / "same"), data]) == 0
    assert "nothing here asks for training again" in capsys.readouterr().out
    assert main(["data", "exprot", data, "x"]) == 2
    assert "did you mean 'export'?" in capsys.readouterr().err
