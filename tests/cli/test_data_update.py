"""A data set and its index take the same changes, and what differs is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from xmc.cli.main import main


def table(folder: Path, *rows: str) -> str:
    (folder / "labels.csv").write_text("\n".join(["uid,title", *rows]) + "\n", encoding="utf-8")
    return str(folder / "labels.csv")


def test_a_data_set_and_its_index_change_alike(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys
) -> None:
    data, index = str(tmp_path / "data"), str(tmp_path / "index")
    shutil.copytree(dataset_folder, data)
    build = ["index", "build", str(model_folder), "--labels", data, "--out", index, "--kind", "exact"]
    assert main(build) == 0
    info = ["index", "info", index, "--dataset", data]
    labels = table(tmp_path, "new,red bird", "l1,green number")
    assert main(["index", "add", index, "--labels", labels, "--known", "update"]) == 0
    assert main(["index", "remove", index, "l2"]) == 0
    capsys.readouterr()
    assert main(info) == 0
    said = capsys.readouterr().out
    assert f"1 label is not in the index: l2 (xmc index add {index} --labels {data} --known skip)" in said
    assert f"l1 (xmc index add {index} --labels {data} --known update)" in said
    assert f"new (xmc index remove {index} UID ..., or xmc data update {data} --add {index}" in said

    assert main(["data", "update", data, "--add", labels]) == 2
    assert "'l1' is there: --known skip" in capsys.readouterr().err
    update = ["data", "update", data, "--add", labels, "--known", "update", "--remove", "l2"]
    assert main(update) == 0
    said = capsys.readouterr().out
    assert "1 label added, 1 updated, 1 removed: 20 in" in said and "3 train rows that had no other" in said
    assert main(info) == 0
    assert f"the labels are those of {data}" in capsys.readouterr().out

    assert main(["index", "add", index, "--labels", table(tmp_path, "more,blue number")]) == 0
    assert main(["data", "update", data, "--add", index, "--known", "skip"]) == 0
    capsys.readouterr()
    assert main(info) == 0
    assert "the labels are those of" in capsys.readouterr().out
    assert main(["data", "update", data, "--remove", "l2", "--unknown", "skip"]) == 0
    assert "no label changes: 21 in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected what is to change"),
        (["--add", "a.csv", "--overwrite"], "expected with --out"),
        (["--add", "nowhere.csv"], "expected labels in a file"),
        (["--remove", "nothing"], "to remove, got 'nothing'"),
    ],
)
def test_what_cannot_be_asked(words: list[str], said: str, dataset_folder: Path, capsys) -> None:
    assert main(["data", "update", str(dataset_folder), *words]) == 2
    assert said in capsys.readouterr().err
