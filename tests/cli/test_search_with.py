"""Parts of an index searched together, and a search on a device, as commands."""

from __future__ import annotations

import json
from pathlib import Path

from xmc.cli.main import main


def test_parts_print_what_one_index_prints(
    model_folder: Path, dataset_folder: Path, tmp_path, capsys
) -> None:
    build = ["index", "build", str(model_folder), "--labels", str(dataset_folder), "--kind", "exact", "--out"]
    whole, parts = str(tmp_path / "whole"), [str(tmp_path / f"part-{i}") for i in (1, 2, 3)]
    assert main([*build, whole]) == 0
    for number, part in enumerate(parts, 1):
        assert main([*build, part, "--shard", f"{number}/3"]) == 0
    capsys.readouterr()
    assert main(["search", whole, "red house", "blue bird", "-k", "6"]) == 0
    expected = capsys.readouterr().out
    assert main(["search", parts[0], "red house", "blue bird", "-k", "6", "--with", *parts[1:]]) == 0
    assert capsys.readouterr().out == expected and expected.count("\n") == 14
    assert main(["search", parts[0], "red house", "--with", parts[0]]) == 2
    assert "in two: remove it from one" in capsys.readouterr().err


def test_labels_near_a_label(model_folder: Path, dataset_folder: Path, tmp_path, capsys) -> None:
    index = str(tmp_path / "index")
    assert main(["index", str(model_folder), "--labels", str(dataset_folder), "--out", index]) == 0
    capsys.readouterr()
    assert main(["search", index, "red house", "-k", "4"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert "red house" in first
    assert main(["search", index, "--like", "l0", "-k", "3"]) == 0
    near = capsys.readouterr().out.splitlines()
    assert [line.split()[1:] for line in near] == [line.split()[1:] for line in others]
    assert [line.split()[0] for line in near] == ["1", "2", "3"]
    assert main(["search", index, "--like", "l0", "l1", "-k", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[::2] == ["l0  red house", "l1  green house"]
    assert main(["search", index, "--like", "l0", "-k", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["uid"], record["query"], len(record["labels"])) == ("l0", "red house", 2)
    assert main(["search", index, "red house", "--like", "l0"]) == 2
    assert "or a file of texts (--queries), got a text and --like" in capsys.readouterr().err
    assert main(["search", index, "--like", "nobody"]) == 2
    assert "expected uids of labels in the index, got 'nobody'" in capsys.readouterr().err


def test_a_device_gives_the_same_labels(model_folder: Path, dataset_folder: Path, tmp_path, capsys) -> None:
    index, queries = str(tmp_path / "index"), tmp_path / "queries.txt"
    queries.write_text("red house\nblue bird\n")
    assert main(["index", str(model_folder), "--labels", str(dataset_folder), "--out", index]) == 0
    for command in (
        ["search", index, "red house", "-k", "6"],
        ["search", index, "--queries", str(queries)],
        ["predict", index, str(queries), "-k", "4"],
    ):
        capsys.readouterr()
        assert main(command) == 0
        expected = capsys.readouterr().out
        assert main([*command, "--device", "cpu"]) == 0
        assert capsys.readouterr().out == expected and expected
    assert main(["search", index, "red house", "--device", "cuda:9"]) == 2
    assert "expected a device that torch has here, such as cpu, got 'cuda:9'" in capsys.readouterr().err
