"""Checksums begun ahead are those that opening an index takes: none is taken twice, nothing is let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmc import hashing
from xmc.cli.main import main
from xmc.retrieval.files_ahead import checksums_ahead
from xmc.retrieval.label_index import LabelIndex


@pytest.fixture
def index(model_folder: Path, tmp_path: Path) -> Path:
    labels = ["red bird", "blue house", "green tree"]
    LabelIndex.build(model_folder, labels, progress=False).save(tmp_path / "index")
    return tmp_path / "index"


def test_a_search_hashes_each_file_once(
    index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    whole = hashing._hashed

    def hashed(path: Path, left: object) -> object:
        seen.append(path.name)
        return whole(path, left)  # type: ignore[arg-type]

    monkeypatch.setattr(hashing, "_hashed", hashed)
    assert main(["search", str(index), "red bird", "-k", "1"]) == 0
    assert "red bird" in capsys.readouterr().out
    assert seen[0] == "index.faiss" and seen.count("labels.parquet") == 1 and "model.safetensors" in seen
    assert seen.count("index.faiss") == 1 and not hashing._ahead


def test_a_table_hashes_the_model_of_a_known_run_once(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", str(recipe)]) == 0 and main(["table", str(run)]) == 0
    expected = capsys.readouterr().out.splitlines()[-1]
    begun: list[str] = []
    whole = hashing._Pool.begin

    def begin(self: object, path: Path) -> object:
        begun.append(path.name)
        return whole(self, path)  # type: ignore[arg-type]

    monkeypatch.setattr(hashing._Pool, "begin", begin)
    assert main(["table", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == expected
    assert begun.count("tokenizer.json") == begun.count("model.safetensors") > 0 and not hashing._ahead
    models = [path for path in (run / "model").rglob("*.safetensors")]
    assert begun.count("model.safetensors") == len(models)


def test_a_wrong_byte_anywhere_is_refused_before_an_answer(
    index: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [path for path in index.rglob("*") if path.is_file() and path.suffix != ".json"]
    assert len(files) == 2
    for path in files:
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert main(["search", str(index), "red bird"]) == 2
            shown = capsys.readouterr()
            assert shown.out == "" and f"{path.name} is damaged or was replaced" in shown.err
        path.write_bytes(content)
    assert main(["search", str(index), "red bird"]) == 0


def test_words_that_are_no_index_and_damaged_ones_are_passed_over(index: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "generation-000001").mkdir(parents=True)
    for pointer, manifest in (
        ("{", ""),
        ('{"generation": "generation-000001"}', "[]"),
        ('{"generation": "generation-000001"}', '{"checksums": {"../../secret": ""}}'),
        (
            '{"generation": "generation-000001"}',
            '{"checksums": {"missing": ""}, "model": 3, "model_files": 1}',
        ),
    ):
        (broken / "current.json").write_text(pointer)
        (broken / "generation-000001" / "manifest.json").write_text(manifest)
        with checksums_ahead([str(broken), "some text", "", "\0", str(tmp_path)]):
            assert not hashing._ahead
    with checksums_ahead([str(index), str(index)], with_models=False):
        assert {Path(place).name for place in hashing._ahead} == {"index.faiss", "labels.parquet"}
