from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.corpora import CORPORA, build_wordnet
from xmc.corpora.wordnet.build import is_test
from xmc.data import Dataset
from xmc.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def tested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moss and the plant are test queries, as words and as synsets."""
    monkeypatch.setattr(
        "xmc.corpora.wordnet.build.is_test",
        lambda text: text.startswith(("moss, ", "plant")) or text == "flora",
    )


def test_no_relation_leaks(dictionary: Path, tmp_path: Path) -> None:
    built = build_wordnet(tmp_path / "out", folder=dictionary, progress=False)
    words = {
        split: [text.partition(":")[0] for text in built.texts(split)]
        for split in ("train", "test", "labels")
    }
    assert words["train"] == ["fern", "grow, get bigger", "mossy", "green"]
    # Of plant, moss and fern, only moss is a test synset; of moss, mossy said in training that it is related.
    assert words["test"] == ["plant, flora", "moss, Bog Moss"]
    assert words["labels"] == ["plant, flora", "moss, Bog Moss", "mossy", "green"]
    np.testing.assert_array_equal(
        built.relevance("train").toarray(), [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    )
    np.testing.assert_array_equal(built.relevance("test").toarray(), [[0, 1, 0, 0], [1, 0, 0, 0]])
    train, test = built.filter("train"), built.filter("test")
    assert train is not None and test is not None
    assert np.argwhere(train.toarray()).tolist() == [[2, 2], [3, 3]], "a label itself"
    assert np.argwhere(test.toarray()).tolist() == [[0, 0], [1, 1], [1, 2]], "itself, and mossy of moss"
    (source,) = built.manifest.sources
    assert (source["synsets"], source["relations"], source["variant"]) == (8, 9, "relations")
    assert source["known_test_links_dropped"] == 2 and source["test_links_dropped"] == 0


def test_words_to_synsets(dictionary: Path, tmp_path: Path) -> None:
    noun = dictionary / "data.noun"
    noun.write_text(noun.read_text().replace("01 stone 0 000 |", "02 stone 0 flora 0 000 |"))
    build = CORPORA["wordnet"]
    built = build(tmp_path / "out", folder=dictionary, variant="reverse-dictionary", progress=False)
    assert built.name == "wordnet-reverse-dictionary" and list(built.texts("test")) == ["flora"]
    assert "plant" not in built.texts("train") and "Bog Moss" in built.texts("train")
    labels = list(built.texts("labels"))
    assert "a piece of rock; hard" in labels and "a living thing that stays put" not in labels
    assert built.relevance("test").indices.tolist() == [labels.index("a piece of rock; hard")]


def test_the_same_files_give_the_same(dictionary: Path, tmp_path: Path) -> None:
    one, two = (build_wordnet(tmp_path / name, folder=dictionary, progress=False) for name in "ab")
    assert one.fingerprint == two.fingerprint
    with pytest.raises(ConfigError, match="variant"):
        build_wordnet(tmp_path / "c", folder=dictionary, variant="antonyms", progress=False)
    for part in ("noun", "verb", "adj"):
        (dictionary / f"data.{part}").write_text("")
    with pytest.raises(DataError, match="point to each other, found none among 1"):
        build_wordnet(tmp_path / "c", folder=dictionary, progress=False)
    assert not (tmp_path / "c").exists()


def test_the_command(dictionary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    assert main(["data", "build", "wordnet", out, "--from", str(dictionary)]) == 0
    assert "training rows" in capsys.readouterr().out and Dataset.load(out).num_labels == 4
    assert main(["data", "build", "wordnet", out, "--from", str(tmp_path), "--packages", "x"]) == 2
    assert "--packages: expected with debian alone, got it with wordnet" in capsys.readouterr().err
    assert main(["data", "build", "hpo", out, "--from", str(dictionary), "--overwrite"]) == 2
    assert "hp.obo" in capsys.readouterr().err


def test_a_fifth_of_the_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0.17 < np.mean([is_test(f"text {i}") for i in range(5000)]) < 0.24
