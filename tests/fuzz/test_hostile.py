"""Inputs that were made to harm, one by one: each is refused by name, in little time and memory."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from tests.fuzz.mutations import table_bomb, zip_bomb
from tests.fuzz.valid import KINDS
from tests.fuzz.watch import _peak, _start_peak
from xmc.cli.main import main
from xmc.data import Dataset, import_folder
from xmc.errors import DataError
from xmc.evaluation import load_predictions, score_predictions
from xmc.limits import MAX_LINE_BYTES
from xmc.reports.stored import stored_evaluations

MEMORY = 400 << 20
SECONDS = 5.0


@contextmanager
def bounded(memory: int = MEMORY) -> Iterator[None]:
    """At most 5 s of the processor and ``memory`` more bytes."""
    before, started = _start_peak(), time.process_time()
    yield
    assert time.process_time() - started < SECONDS
    assert _peak() - before < memory


@pytest.fixture
def made(tmp_path: Path) -> Callable[[str], Path]:
    """A valid folder of a kind, to be damaged."""

    def make(kind: str) -> Path:
        folder = tmp_path / kind
        folder.mkdir()
        KINDS[kind](folder)
        return folder

    return make


def refused(folder: Path, match: str) -> None:
    with bounded(), pytest.raises(DataError, match=match):
        import_folder(folder, folder.parent / "out", progress=False)
    assert not (folder.parent / "out").exists()


@pytest.mark.parametrize("block", [b" " * (1 << 20), b"\n" * (1 << 20)], ids=["spaces", "newlines"])
def test_gzip_bomb(made: Callable[[str], Path], block: bytes) -> None:
    folder = made("import-xc-text")
    (folder / "Y.txt").unlink()
    (folder / "Y.txt.gz").write_bytes(gzip.compress(block, 6) * 24)
    refused(
        folder,
        r"Y.txt.gz, line \d+: expected (a gzip file .*100 times|lines of at most 16 MiB)",
    )


def test_a_gzip_file_that_packs_well_is_no_bomb(made: Callable[[str], Path]) -> None:
    folder = made("import-xc-text")
    lines = "".join(f"label number {i} of many that look alike\n" for i in range(60_000))
    packed = gzip.compress(lines.encode(), 9)
    assert len(lines) > 10 * len(packed) and len(lines) > 2 << 20
    (folder / "Y.txt").unlink()
    (folder / "Y.txt.gz").write_bytes(packed)
    for name in ("trn", "tst"):
        path = folder / f"{name}_X_Y.txt"
        path.write_text(path.read_text().replace(" 6\n", " 60000\n", 1))
    assert import_folder(folder, folder.parent / "out", progress=False).num_labels == 60_000


def test_zip_bomb_in_npz(made: Callable[[str], Path]) -> None:
    rng, folder = np.random.default_rng(0), made("import-pecos")
    zip_bomb(rng, folder / "Y.trn.npz")
    assert (folder / "Y.trn.npz").stat().st_size < 4 << 20
    refused(folder, r"Y.trn.npz: expected a sparse matrix .*more than 100 times as many")
    zip_bomb(rng, folder / "predictions.npz")
    with bounded(), pytest.raises(DataError, match="more than 100 times as many"):
        load_predictions(folder / "predictions.npz")


def test_one_text_in_a_hundred_thousand_rows_of_parquet(made: Callable[[str], Path]) -> None:
    folder = made("import-parquet")
    table_bomb(np.random.default_rng(0), folder / "labels.parquet")
    refused(folder, r"labels.parquet, row 0: expected a Parquet file .*more than 100 times as many")


def test_a_path_that_climbs_out(made: Callable[[str], Path], tmp_path: Path) -> None:
    for change in (
        lambda m: m["files"].update({"../secret": {"bytes": 6, "sha256": "0" * 64}}),
        lambda m: m["files"]["train.parquet"].update(sha256="../../../../x/y/z"),
        lambda m: m["files"].update({"/etc/passwd": m["files"]["train.npz"]}),
    ):
        folder = made("dataset")
        content = json.loads((folder / "dataset.json").read_text())
        change(content)
        (folder / "dataset.json").write_text(json.dumps(content))
        with bounded(), pytest.raises(DataError, match=r"dataset.json: expected .*(plain file names|sha256)"):
            Dataset.load(folder).texts("train")
        folder.rename(tmp_path / f"done-{os.urandom(4).hex()}")


def test_a_symbolic_link_out_of_the_folder(made: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text('{"text": "secret", "labels": ["a"]}\n')
    folder = made("import-jsonl-names")
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl").symlink_to(tmp_path / "secret.jsonl")
    refused(folder, "train.jsonl is a symbolic link that leads out of the folder")
    prepared = made("dataset")
    (prepared / "train.npz").rename(tmp_path / "train.npz")
    (prepared / "train.npz").symlink_to(tmp_path / "train.npz")
    with bounded(), pytest.raises(DataError, match="leads out of the folder"):
        Dataset.load(prepared)


def test_a_link_within_the_folder_is_read(made: Callable[[str], Path]) -> None:
    folder = made("import-jsonl-names")
    (folder / "train.jsonl").rename(folder / "2026.jsonl")
    (folder / "train.jsonl").symlink_to("2026.jsonl")
    assert import_folder(folder, folder.parent / "out", progress=False).num_train == 5


@pytest.mark.parametrize("digits", [str(2**31), str(2**40), str(2**63), "9" * 30, "9" * 5000])
def test_a_label_id_beyond_all_labels(made: Callable[[str], Path], digits: str) -> None:
    folder = made("import-xc-text")
    text = (folder / "trn_X_Y.txt").read_text()
    (folder / "trn_X_Y.txt").write_text(text.replace("2:1.5", f"{digits}:1.5"))
    refused(
        folder, r"trn_X_Y.txt, line 3: expected (label ids between 0 and 5|a number of at most 18 digits)"
    )
    folder = made("import-jsonl")
    lines = (folder / "train.jsonl").read_text()
    (folder / "train.jsonl").write_text(lines.replace("[2, 5]", f"[2, {digits}]"))
    refused(folder, r"train.jsonl, line 2: expected (label ids between 0 and 5|one JSON object)")


@pytest.mark.parametrize("size", [2**31, 2**40, 2**62])
def test_a_matrix_of_more_rows_than_its_file_could_hold(made: Callable[[str], Path], size: int) -> None:
    folder = made("import-pecos")
    sp.save_npz(folder / "Y.trn.npz", sp.csc_matrix((5, 6)))
    with np.load(folder / "Y.trn.npz") as content:
        arrays = dict(content)
    np.savez_compressed(folder / "Y.trn.npz", **{**arrays, "shape": np.array([size, 6])})
    refused(folder, "Y.trn.npz: expected a sparse matrix")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 1e300])
def test_no_number_in_npz(made: Callable[[str], Path], value: float) -> None:
    folder = made("import-pecos")
    matrix = sp.load_npz(folder / "Y.tst.npz").astype(np.float64)
    matrix.data[1] = value
    sp.save_npz(folder / "Y.tst.npz", matrix)
    refused(folder, r"X.tst.txt, line 1: expected a finite relevance of at least 0")


def test_nan_in_the_matrix_of_a_prepared_data_set(made: Callable[[str], Path]) -> None:
    folder = made("dataset")
    matrix = sp.load_npz(folder / "train.npz")
    matrix.data[0] = np.nan
    sp.save_npz(folder / "train.npz", matrix)
    content = json.loads((folder / "dataset.json").read_text())
    content["files"]["train.npz"]["bytes"] = (folder / "train.npz").stat().st_size
    (folder / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"train.npz: expected finite values above 0"):
        Dataset.load(folder).relevance("train")


def test_objects_in_npz_are_not_unpickled(made: Callable[[str], Path]) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return pytest.fail, ("unpickled",)

    folder = made("score-npz")
    bad = np.array([Harm()] * 3, dtype=object)
    np.savez(folder / "predictions.npz", ids=bad, scores=bad, data=bad, indices=bad, indptr=bad, shape=bad)
    for read in (load_predictions, lambda path: score_predictions(path, made("dataset"))):
        with pytest.raises(DataError, match="holds Python objects"):
            read(folder / "predictions.npz")
    source = made("import-pecos")
    (source / "Y.trn.npz").write_bytes((folder / "predictions.npz").read_bytes())
    refused(source, "holds Python objects")


@pytest.mark.parametrize("kind", ["import-xc-text", "import-jsonl-names"])
def test_a_line_of_100_mb(made: Callable[[str], Path], kind: str) -> None:
    folder = made(kind)
    name = "trn_X.txt" if kind == "import-xc-text" else "train.jsonl"
    with open(folder / name, "ab") as file:
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    refused(folder, rf"{name}, line 6: expected lines of at most 16 MiB")


def test_the_longest_lines_of_real_data_are_read(made: Callable[[str], Path]) -> None:
    folder = made("import-jsonl-names")
    text, labels = "\U0001f99a" * 100_000, [f"label {i} with a name" for i in range(10_000)]
    line = json.dumps({"text": text, "labels": labels})
    assert len(line) < MAX_LINE_BYTES // 10
    (folder / "train.jsonl").write_text(line + "\n")
    dataset = import_folder(folder, folder.parent / "out", progress=False)
    assert dataset.texts("train")[0] == text and dataset.relevance("train").nnz == 10_000


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"text": "x", "labels": ['])
def test_nested_json(made: Callable[[str], Path], opening: str) -> None:
    folder = made("import-jsonl-names")
    (folder / "train.jsonl").write_text(opening * 200_000 + "\n")
    refused(folder, "train.jsonl, line 1: expected one JSON object per line")
    predictions = made("score-jsonl")
    (predictions / "predictions.jsonl.gz").unlink()
    (predictions / "p.jsonl").write_text('{"uid": "q0", "labels": ' + opening * 200_000 + "\n")
    with bounded(), pytest.raises(DataError, match="line 1: expected"):
        score_predictions(predictions / "p.jsonl", made("dataset"), format="jsonl")


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(made: Callable[[str], Path]) -> None:
    folder = made("run")
    for path in (folder / "evaluations" / "fuzz-test.json", folder / "evaluations" / "fuzz-test.npz"):
        path.unlink()
        os.mkfifo(path)
    with bounded(), pytest.raises(DataError, match="a pipe or a device"):
        stored_evaluations(folder)
    with bounded(), pytest.raises(DataError, match="found no such file|there is no such file"):
        load_predictions(folder / "evaluations" / "fuzz-test.npz")
    source = made("import-parquet")
    (source / "train-00.parquet").unlink()
    os.mkfifo(source / "train-00.parquet")
    refused(source, "expected a file, found none that can be read")


def test_the_command_says_it_in_a_line(
    made: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made("import-xc-text")
    (folder / "Y.txt").write_bytes(gzip.compress(b" " * (20 << 20)))
    assert main(["data", "import", str(folder), str(tmp_path / "out")]) == 2
    # The last line; a bar that says how far it is may stand before it.
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("error: ") and sum(line.startswith("error") for line in told) == 1
    assert not any("Traceback" in line for line in told)


def test_a_recipe_whose_aliases_stand_for_a_billion_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    (tmp_path / "recipe.yaml").write_text("\n".join(lines))
    with bounded():
        assert main(["train", str(tmp_path / "recipe.yaml")]) == 2
    assert "recipe.yaml: expected YAML (it stands for more than" in capsys.readouterr().err
