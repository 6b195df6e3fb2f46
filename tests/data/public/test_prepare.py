"""The import command of every public data set, on small made-up files of its very shape."""

from __future__ import annotations

import gzip
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.cli.main import main
from xmc.data import Dataset
from xmc.data.propensity import known_propensity
from xmc.data.public import find_public_set, public_sets

TITLES = ["red boots", "blue boots", "green hats"]
RAW = [one.name for one in public_sets() if "--format dexml" in one.prepare]


def points(uids: list[str], targets: list[list[int]]) -> bytes:
    rows = [
        {
            "uid": uid,
            "title": TITLES[i % 3],
            "content": f"They are {i}.",
            "target_ind": found,
            "target_rel": [1.0] * len(found),
        }
        for i, (uid, found) in enumerate(zip(uids, targets, strict=True))
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def prepared(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.chdir(folder.parent)
    words = shlex.split(find_public_set(name).command(folder.name))
    assert words[:3] == ["xmc", "data", "import"] and main(words[1:]) == 0
    return Dataset.load(words[4])


@pytest.mark.parametrize("name", RAW)
def test_raw_archives_of_the_repository(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / name
    folder.mkdir()
    labels = "".join(
        json.dumps({"uid": f"B{i}", "title": title, "content": ""}) + "\n" for i, title in enumerate(TITLES)
    )
    for part, text in {
        "trn": points(["B0", "Q1"], [[1, 2], [0]]),
        "tst": points(["B2", "Q3"], [[0], [1, 2]]),
        "lbl": labels.encode(),
    }.items():
        with gzip.open(folder / f"{part}.json.gz", "wb") as packed:
            packed.write(text)
    (folder / "filter_labels_train.txt").write_text("0 0\n")
    (folder / "filter_labels_test.txt").write_text("0 2\n0 0\n")
    built = prepared(name, folder, monkeypatch)
    assert (built.num_train, built.num_test, built.num_labels) == (2, 2, 3) and built.name == name
    assert built.manifest.propensity == known_propensity(name)
    assert built.relevance("train").toarray().tolist() == [[0, 1, 1], [1, 0, 0]]
    filters = built.filter("test")
    assert filters is not None and np.argwhere(filters.toarray()).tolist() == [[0, 0], [0, 2]]
    assert list(built.texts("train", ["title"])) == TITLES[:2]


def test_texts_by_line_with_label_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "EURLex-4K"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "trn_X.txt").write_text("regulation on apples\nregulation on pears\n")
    (folder / "raw" / "tst_X.txt").write_text("regulation on plums\n")
    (folder / "raw" / "Y.txt").write_text("apples\nfruit\n")
    sp.save_npz(folder / "Y.trn.npz", sp.csr_matrix(np.array([[1.0, 1.0], [0.0, 1.0]])))
    sp.save_npz(folder / "Y.tst.npz", sp.csr_matrix(np.array([[0.0, 1.0]])))
    built = prepared("EURLex-4K", folder, monkeypatch)
    assert (built.num_train, built.num_test, built.num_labels) == (2, 1, 2)
    assert list(built.texts("labels")) == ["apples", "fruit"]
