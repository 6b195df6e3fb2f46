from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xmc.data import Dataset, import_folder
from xmc.data.export import export
from xmc.data.importers import FORMATS, detect_format
from xmc.data.preparing import prepare
from xmc.errors import ConfigError, DataError, XMCError

from .conftest import write_json, write_lines


@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("trn.json", "dexml"),
        ("trn.json.gz", "dexml"),
        ("raw/trn_X.txt", "xc"),
        ("trn_X.txt", "xc"),
        ("X.trn.txt", "pecos"),
        ("dataset_dict.json", "hub"),
        ("state.json", "hub"),
        ("train.jsonl", "jsonl"),
        ("train.parquet", "parquet"),
        ("data/train-00000-of-00001.parquet", "parquet"),
    ],
)
def test_detection(file: str, format: str, source: Path) -> None:
    write_lines(source / file, ["x"])
    assert detect_format(source).name == format


def test_the_richest_format_of_several_wins(source: Path) -> None:
    for file in ("raw/trn_X.txt", "trn.json.gz"):
        write_lines(source / file, ["x"])
    assert detect_format(source).name == "dexml"


def test_nothing_fits(source: Path, run: Callable[..., Dataset]) -> None:
    with pytest.raises(DataError) as caught:
        run()
    for format in FORMATS.values():
        assert f"{format.name}: {format.looks_for}" in str(caught.value)


def test_no_such_folder(tmp_path: Path) -> None:
    for format in ("auto", "dexml"):
        with pytest.raises(DataError, match="expected a folder, found none at .*nowhere: .* use format hub"):
            import_folder(tmp_path / "nowhere", tmp_path / "out", format=format)


def test_a_prepared_data_set_is_not_a_source(build: Callable[..., Dataset], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a prepared one already"):
        import_folder(build([[0]]).path, tmp_path / "out")


def test_unknown_format(run: Callable[..., Dataset]) -> None:
    with pytest.raises(ConfigError, match="format among auto, dexml, .* got 'csv'"):
        run(format="csv")


@pytest.mark.parametrize("format", ["xc", "pecos", "jsonl", "parquet", "dexml"])
def test_the_asked_for_format_is_not_there(
    format: str, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    with pytest.raises(DataError, match="found none"):
        run(format=format)
    assert nothing_left()


def test_nothing_to_train_on(
    source: Path, run: Callable[..., Dataset], nothing_left: Callable[[], bool]
) -> None:
    write_lines(source / "train.jsonl", [])
    with pytest.raises(
        DataError, match="at least one label and one training row, got 0 labels and 0 training"
    ):
        run()
    assert nothing_left()


def test_test_rows_or_labels_alone_come_back_from_an_export(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "products.csv").write_text("uid,title\na,red hat\nb,shoe\n", encoding="utf-8")
    (tmp_path / "clicks.csv").write_text("query,label\nred,a\nshoes,b\n", encoding="utf-8")
    labels = prepare(tmp_path / "products.csv", tmp_path / "labels", part="labels")
    test = prepare(tmp_path / "clicks.csv", tmp_path / "test", part="test", labels=tmp_path / "products.csv")
    for made in (labels, test):
        folder = export(made, tmp_path / f"out-{made.path.name}", format="jsonl")
        again = import_folder(folder, tmp_path / f"again-{made.path.name}")
        assert again.fingerprint == made.fingerprint and again.num_test == made.num_test
        assert "no training rows: this is to evaluate on or to index" in caplog.text
        caplog.clear()


def test_a_taken_place(source: Path, run: Callable[..., Dataset], tmp_path: Path) -> None:
    write_json(source / "train.jsonl", [{"text": "a", "labels": ["x"]}])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(XMCError, match="not to exist"):
        run()
    with pytest.raises(XMCError, match="holds something else, which is left alone"):
        run(overwrite=True)
    assert (tmp_path / "out" / "precious.txt").read_text() == "mine"


def test_the_source_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    write_json(source / "train.jsonl", [{"text": "a", "labels": ["x"]}])
    for out in (source, tmp_path):
        with pytest.raises(XMCError, match="left alone"):
            import_folder(source, out, overwrite=True, progress=False)
    assert (source / "train.jsonl").is_file()


def test_progress_goes_to_stderr_only_when_wanted(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(source / "train.jsonl", [{"text": "a", "labels": ["x"]}] * 3000)
    import_folder(source, tmp_path / "quiet", progress=False)
    assert capsys.readouterr() == ("", "")
    import_folder(source, tmp_path / "loud", progress=True)
    out, err = capsys.readouterr()
    assert out == "" and "train.jsonl: 0.1 MB in" in err and "\r" not in err
