from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.encoders.test_static_model import CONFIGS, saved
from xmc.encoders import CutCount, DualEncoder, LabelOffsets, LabelResiduals, StaticQueries
from xmc.encoders.static_queries import bags_of_tokens
from xmc.encoders.word_tokens import WORTH
from xmc.errors import DataError, IndexMismatchError, ModelError
from xmc.retrieval import LabelIndex
from xmc.retrieval.known_queries import opening_queries


def change_tables(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for file in folder.rglob("model.safetensors"):
        save_file({name: change(table) for name, table in load_file(file).items()}, file)


@pytest.mark.parametrize("making", ["ours", "another's"])
@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_vectors_and_fingerprint_are_those_of_the_dual_encoder(
    static_folder: Path, tmp_path: Path, texts: list[str], options: dict[str, object], making: str
) -> None:
    folder = saved(static_folder, tmp_path / "model", **options)
    if making != "ours":
        (folder / "xmc.json").unlink()
    encoder, queries = DualEncoder.load(folder, device="cpu"), StaticQueries.load(folder)
    assert queries is not None
    vectors = queries.encode_queries(texts)
    assert vectors.dtype == np.float32 and vectors.shape == (len(texts), 8)
    np.testing.assert_allclose(vectors, encoder.encode_queries(texts), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(queries.encode_queries(texts[0]), vectors[0])
    assert queries.fingerprint == encoder.fingerprint
    assert (queries.metadata.query_length, queries.dimension) == (encoder.metadata.query_length, 8)


def test_label_parameters_are_in_the_fingerprint(static_folder: Path, tmp_path: Path) -> None:
    encoder = DualEncoder.load(saved(static_folder, tmp_path / "plain"), device="cpu")
    encoder.label_offsets = LabelOffsets(["a", "b"], np.array([0.5, -1.0]))
    encoder.label_residuals = LabelResiduals(["a"], np.array([0]), np.ones((1, 8), dtype=np.float32))
    encoder.save(tmp_path / "learned")
    plain, learned = (StaticQueries.load(tmp_path / name) for name in ("plain", "learned"))
    assert plain is not None and learned is not None
    assert learned.fingerprint == encoder.fingerprint != plain.fingerprint


def test_cut_texts_are_counted(static_folder: Path, tmp_path: Path) -> None:
    queries = StaticQueries.load(saved(static_folder, tmp_path / "model", query_length=2))
    assert queries is not None
    cuts = CutCount()
    queries.encode_queries(["red house", "the song of the small blue bird"], cuts=cuts)
    assert (cuts.num_cut, cuts.num_texts, cuts.max_length) == (1, 2, 2)


def test_bags_are_means() -> None:
    table = np.random.default_rng(0).standard_normal((9, 3)).astype(np.float32)
    rows = [[], [1, 2], [3], [], [4, 5, 6, 7, 8, 0, 1], [2, 2, 2], [], [8, 7]]
    expected = [table[row].astype(np.float64).mean(0) if row else np.zeros(3) for row in rows]
    np.testing.assert_allclose(bags_of_tokens(table, rows), expected, atol=1e-6)
    assert bags_of_tokens(table, []).shape == (0, 3)


@pytest.mark.parametrize("length", [64, 3])
def test_many_texts_have_the_vectors_of_each_alone(
    static_folder: Path, tmp_path: Path, texts: list[str], length: int
) -> None:
    """Their words are looked up, and one text is cut into tokens whole."""
    folder = saved(static_folder, tmp_path / "model", query_length=length, query_prompt="find: ")
    encoder, queries = DualEncoder.load(folder, device="cpu"), StaticQueries.load(folder)
    assert queries is not None
    many = [f"{texts[i % len(texts)]} {texts[i * 7 % len(texts)]}" for i in range(WORTH + 44)]
    cuts, expected = CutCount(), CutCount()
    vectors = queries.encode_queries(many, cuts=cuts)
    np.testing.assert_array_equal(vectors, [queries.encode_queries(text) for text in many])
    np.testing.assert_allclose(vectors, encoder.encode_queries(many, cuts=expected), rtol=1e-6, atol=1e-7)
    assert cuts.num_cut == expected.num_cut and (cuts.num_cut > 0) == (length == 3)


def test_what_only_the_library_reads_is_left_to_it(static_folder: Path, tmp_path: Path) -> None:
    half = saved(static_folder, tmp_path / "half")
    change_tables(half, lambda table: table.astype(np.float16))
    assert StaticQueries.load(half) is None, "numbers of another type"
    cut = saved(static_folder, tmp_path / "cut")
    settings = cut / "config_sentence_transformers.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"truncate_dim": 4}))
    assert StaticQueries.load(cut) is None
    damaged = saved(static_folder, tmp_path / "damaged")
    for file in damaged.rglob("model.safetensors"):
        file.write_bytes(file.read_bytes()[:40])
    assert StaticQueries.load(damaged) is None, "the other way of opening says what is wrong with it"
    with pytest.raises(ModelError, match="expected a sentence-transformers model"):
        DualEncoder.load(damaged)


def test_a_damaged_table_is_refused(static_folder: Path, tmp_path: Path) -> None:
    folder = saved(static_folder, tmp_path / "model")
    change_tables(folder, lambda table: np.full_like(table, np.nan))
    with pytest.raises(ModelError, match="NaN or infinity"):
        StaticQueries.load(folder)
    change_tables(folder, lambda table: table[:3])
    with pytest.raises(ModelError, match="expected token ids below 3"):
        StaticQueries.load(folder)


def test_texts_are_checked(static_folder: Path, tmp_path: Path) -> None:
    queries = StaticQueries.load(saved(static_folder, tmp_path / "model"))
    assert queries is not None
    with pytest.raises(DataError, match="expected queries"):
        queries.encode_queries([3])  # type: ignore[list-item]


def test_it_needs_no_torch(static_folder: Path, tmp_path: Path) -> None:
    folder = saved(static_folder, tmp_path / "model", tied=False)
    code = (
        "import sys; from xmc.encoders import StaticQueries; q = StaticQueries.load(sys.argv[1]); "
        "q.encode_queries(['red bird']); print(q.fingerprint); "
        "print(sorted({'torch', 'scipy', 'transformers', 'datasets', 'pandas'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    assert out[:2] == [DualEncoder.load(folder).fingerprint, "[]"]


@pytest.mark.parametrize("with_queries", [False, True])
def test_an_index_trusts_a_model_whose_files_are_as_they_were(
    static_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_queries: bool
) -> None:
    folder = saved(static_folder, tmp_path / "model")
    LabelIndex.build(folder, ["red house", "blue bird"], progress=False).save(tmp_path / "index")

    def found() -> list[int]:
        opened = LabelIndex.load(tmp_path / "index", with_queries=with_queries)
        return opened.search("blue bird", 2)[0].tolist()

    expected, asked = found(), list[str]()
    whole = StaticQueries.fingerprint

    def fingerprint(queries: StaticQueries) -> str:
        asked.append("fingerprint")
        return str(whole.func(queries))

    monkeypatch.setattr(StaticQueries, "fingerprint", property(fingerprint))
    (folder / "README.md").write_text("another card")
    (folder / "calibration.json").write_text("{}")
    assert found() == expected == [1, 0] and not asked
    # The same model in other bytes is asked for its name, and found.
    content = json.loads((folder / "xmc.json").read_text())
    (folder / "xmc.json").write_text(json.dumps(content, indent=7))
    assert found() == expected and asked == ["fingerprint"]
    change_tables(folder, lambda table: table + 1)
    with pytest.raises(IndexMismatchError, match="was built with the model"):
        found()
    change_tables(folder, lambda table: table * np.nan)
    with pytest.raises(ModelError, match="NaN or infinity"):
        found()


def test_queries_are_opened_beside_the_index(
    static_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, index = saved(static_folder, tmp_path / "model"), tmp_path / "index"
    LabelIndex.build(folder, ["red house", "blue bird"], progress=False).save(index)
    opened = LabelIndex.load(index, with_queries=True)
    plain = LabelIndex.load(index).search("blue bird", 2)
    with monkeypatch.context() as patched:
        patched.setattr(StaticQueries, "load_known", None)  # nothing is left to be opened
        for one, other in zip(opened.search("blue bird", 2), plain, strict=True):
            np.testing.assert_array_equal(one, other)
    # An index that was replaced meanwhile is not searched with the model of the one before.
    with opening_queries(index) as found:
        assert found(replace(opened.manifest, model_fingerprint="another")) is None
        assert found(opened.manifest) is not None
    with opening_queries(tmp_path / "missing") as found:
        assert found(opened.manifest) is None


def test_only_a_folder_of_static_towers_has_a_digest(static_folder: Path, tmp_path: Path) -> None:
    folder = saved(static_folder, tmp_path / "model")
    name = StaticQueries.digest(folder)
    assert len(name) == 16 and StaticQueries.digest(folder) == name
    (folder / "xmc.json").rename(folder / "xmc2.json")
    assert StaticQueries.digest(folder) != name
    (tmp_path / "empty").mkdir()
    assert StaticQueries.digest(tmp_path / "empty") == StaticQueries.digest(tmp_path / "missing") == ""


def test_a_known_folder_is_opened_while_its_digest_is_taken(
    static_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(static_folder, tmp_path / "model")
    name = StaticQueries.digest(folder)
    assert StaticQueries.load_known(folder, name) is not None
    assert StaticQueries.load_known(folder, "0" * 16) is None

    def unreadable(path: Path, left: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("xmc.hashing._hashed", unreadable)
        assert StaticQueries.load_known(folder, name) is None
    change_tables(folder, lambda table: table[:1])
    assert StaticQueries.load_known(folder, StaticQueries.digest(folder)) is not None  # known: not looked at
    change_tables(folder, lambda table: table[0])
    assert StaticQueries.load_known(folder, StaticQueries.digest(folder)) is None


def test_who_goes_on_searching_keeps_the_table(static_folder: Path, tmp_path: Path, texts: list[str]) -> None:
    folder = saved(static_folder, tmp_path / "model")
    queries = StaticQueries.load(folder)
    assert queries is not None
    first = queries.encode_queries(texts)
    np.testing.assert_array_equal(queries.encode_queries(texts), first)
    for file in folder.rglob("model.safetensors"):
        with open(file, "r+b") as place:  # in place: the same file, and of the same size
            size = place.seek(0, 2)
            place.seek(size // 2)
            place.write(bytes(size - size // 2))
    np.testing.assert_array_equal(queries.encode_queries(texts), first)
