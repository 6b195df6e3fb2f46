"""The xc and pecos formats, which differ in names only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from xmc.data import Dataset, describe, import_folder
from xmc.errors import DataError

from .conftest import LABELS, TEST, TRAIN, assert_is_the_example, matrix, write_lines

XC = {"train": "trn_X.txt", "test": "tst_X.txt", "labels": "Y.txt"}
PECOS = {"train": "X.trn.txt", "test": "X.tst.txt", "labels": "output-items.txt"}


def _write_texts(folder: Path, names: dict[str, str], suffix: str = "") -> None:
    write_lines(folder / (names["train"] + suffix), [text for text, _ in TRAIN])
    write_lines(folder / (names["test"] + suffix), [text for text, _ in TEST])
    write_lines(folder / (names["labels"] + suffix), LABELS)


def _write_matrices(folder: Path) -> None:
    sp.save_npz(folder / "Y.trn.npz", matrix([pairs for _, pairs in TRAIN]))
    sp.save_npz(folder / "Y.tst.npz", matrix([pairs for _, pairs in TEST]).tocsc())


def _write_sparse_text(folder: Path) -> None:
    write_lines(folder / "trn_X_Y.txt", ["3 3", "0:1.0 2:0.5", "", "1:1"])
    write_lines(folder / "tst_X_Y.txt", ["1 3", "2:1e0"])


@pytest.mark.parametrize("raw", ["raw", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("relevance", [_write_matrices, _write_sparse_text])
def test_xc_round_trip(
    raw: str, suffix: str, relevance: Callable[[Path], None], source: Path, run: Callable[..., Dataset]
) -> None:
    _write_texts(source / raw, XC, suffix)
    relevance(source)
    write_lines(source / "filter_labels_test.txt", ["0 2"])
    dataset = run()
    assert_is_the_example(dataset)
    assert list(dataset.uids("train")) == list(dataset.uids("labels")) == ["0", "1", "2"]
    assert describe(dataset).filter_pairs == {"train": 0, "test": 1}
    assert dataset.manifest.sources[0]["format"] == "xc"


def test_pecos_round_trip(source: Path, run: Callable[..., Dataset]) -> None:
    _write_texts(source, PECOS)
    _write_matrices(source)
    dataset = run()
    assert_is_the_example(dataset)
    assert dataset.manifest.sources[0]["format"] == "pecos"


@pytest.fixture
def xc(source: Path) -> Path:
    _write_texts(source / "raw", XC)
    _write_matrices(source)
    return source


def test_the_layout_that_dexml_trains_on_is_read_as_dexml_too(xc: Path, run: Callable[..., Dataset]) -> None:
    """Its raw files converted: raw/{trn_X,tst_X,Y}.txt and Y.{trn,tst}.npz, without any JSON."""
    write_lines(xc / "filter_labels_test.txt", ["0 2"])
    dataset = run(format="dexml")
    assert_is_the_example(dataset)
    assert describe(dataset).filter_pairs == {"train": 0, "test": 1}
    assert {entry["file"] for entry in dataset.manifest.sources[1:]} >= {"Y.trn.npz", "Y.tst.npz"}


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (4, r"trn_X\.txt, line 4: expected 3 texts, the number of rows of .*Y\.trn\.npz, got more"),
        (2, r"trn_X\.txt, line 2: expected 3 texts, the number of rows of .*Y\.trn\.npz, the file ends here"),
    ],
)
def test_texts_and_rows_differ_in_number(
    count: int, message: str, xc: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    write_lines(xc / "raw" / "trn_X.txt", ["text"] * count)
    with pytest.raises(DataError, match=message):
        run()
    assert nothing_left()


def test_labels_and_columns_differ_in_number(xc: Path, run: Callable[..., Dataset]) -> None:
    write_lines(xc / "raw" / "Y.txt", LABELS[:2])
    with pytest.raises(DataError, match=r"Y\.trn\.npz: expected 2 columns, one for each label text, got 3"):
        run()


def test_a_damaged_matrix(xc: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]) -> None:
    path = xc / "Y.tst.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"Y\.tst\.npz: expected a sparse matrix"):
        run()
    assert nothing_left()


def test_a_negative_weight(xc: Path, run: Callable[..., Dataset]) -> None:
    sp.save_npz(xc / "Y.tst.npz", sp.csr_matrix(np.array([[0.0, -1.0, 0.0]])))
    with pytest.raises(DataError, match=r"tst_X\.txt, line 1: expected a finite relevance of at least 0"):
        run()


def test_latin1_names_the_line(xc: Path, run: Callable[..., Dataset]) -> None:
    (xc / "raw" / "Y.txt").write_bytes("car\ncafé\nred\n".encode("latin1"))
    with pytest.raises(DataError, match=r"Y\.txt, line 2: expected UTF-8, got 0xe9 at byte 4"):
        run()


@pytest.mark.parametrize("name", ["Y.txt", "tst_X.txt"])
def test_missing_texts(name: str, xc: Path, run: Callable[..., Dataset]) -> None:
    (xc / "raw" / name).unlink()
    with pytest.raises(DataError, match=f"expected a file {name} .* here or in raw/"):
        run()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["3 3 9"], "line 1: expected a header of two numbers"),
        ([], "line 0: expected a header of two numbers"),
        (["2 3", "0:1", "", "1:1"], "line 4: expected 2 rows, as the header says, got more"),
        (["4 3", "0:1", "", "1:1"], "line 4: expected 4 rows, as the header says, the file ends here"),
        (["3 3", "0:1", "1"], "line 3: expected label:weight, got '1'"),
        (["3 3", "0:x"], "line 2: expected a number as weight, got 'x'"),
        (["3 3", "3:1"], "line 2: expected label ids between 0 and 2, got 3"),
        (["3 4", "3:1"], "expected 3 columns, one for each label text, got 4"),
    ],
)
def test_bad_sparse_text(
    lines: list[str], message: str, xc: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    (xc / "Y.trn.npz").unlink()
    write_lines(xc / "trn_X_Y.txt", lines)
    with pytest.raises(DataError, match=message) as caught:
        run()
    assert "trn_X_Y.txt" in str(caught.value) and "trn_X.txt, line" not in str(caught.value)
    assert nothing_left()


@pytest.mark.parametrize(
    ("weight", "ok"), [("1e38", True), ("1e39", False), ("1e400", False), ("nan", False)]
)
def test_a_weight_that_float32_cannot_hold(
    source: Path, run: Callable[..., Dataset], weight: str, ok: bool
) -> None:
    for name in ("trn", "tst"):
        write_lines(source / f"{name}_X.txt", ["a"])
        write_lines(source / f"{name}_X_Y.txt", ["1 1", f"0:{weight}"])
    write_lines(source / "Y.txt", ["label"])
    if ok:
        assert run().relevance("train")[0, 0] == np.float32(1e38)
    else:
        with pytest.raises(DataError, match=r"line 1: expected a finite relevance"):
            run()


def test_a_folder_whose_name_is_no_utf_8(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "xmc")
    folder = Path(os.fsdecode(os.fsencode(tmp_path / "x") + b"\xff"))
    folder.mkdir()
    write_lines(folder / "train.jsonl", ['{"text": "a", "labels": ["b"]}'])
    assert import_folder(folder, tmp_path / "out", progress=False).name == "x\ufffd"
    assert r"x\udcff: format" in caplog.text.encode("utf-8").decode("utf-8")
