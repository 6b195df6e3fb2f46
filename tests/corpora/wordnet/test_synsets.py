from __future__ import annotations

from pathlib import Path

import pytest

from xmc.corpora.wordnet.files import find_files
from xmc.corpora.wordnet.synsets import link_synsets, parse_synset, read_synsets
from xmc.errors import DataError

FERN = "00000123 03 n 01 fern 0 001 @ 00000061 n 0000 | a plant with fronds  "


def test_all_files_are_read_and_linked(dictionary: Path) -> None:
    synsets = read_synsets(find_files(dictionary))
    texts = [synset.text for synset in synsets]
    assert texts[1] == "moss, Bog Moss: a small soft plant" and synsets[1].examples == '"moss on a stone"'
    assert (
        synsets[4].examples == '"it grew"; "grow tall"' and synsets[3].definition == "a piece of rock; hard"
    )
    assert texts[5] == "mossy: overgrown with moss", "the marker of an adjective is no part of the word"
    assert [synset.uid[0] for synset in synsets] == list("nnnnvaar"), "a satellite is an adjective"
    # plant, moss, fern, stone, grow, mossy, green, slowly
    assert link_synsets(synsets) == [[1, 2], [0, 5], [0], [], [0], [1, 6], [5], []]
    text = (dictionary / "data.verb").read_text()
    assert text[int(synsets[4].uid[1:]) :].startswith(synsets[4].uid[1:]), "offsets are offsets"


def test_files_may_be_in_the_folder_of_an_archive(dictionary: Path) -> None:
    assert find_files(dictionary.parent) == find_files(dictionary)
    (dictionary / "data.adv").unlink()
    with pytest.raises(DataError, match="found no data.adv: .*wordnet-base.*--from"):
        find_files(dictionary)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("00000123", "123"), "8 digits"),
        ((" n 01", " x 01"), "n v a s r"),
        ((" n 01", " v 01"), "a synset of type n, got 'v'"),
        ((" n 01", " n zz"), "zz"),
        ((" n 01", " n 00"), "expected"),
        (("001 @", "002 @"), "expected"),
        (("00000061", "6100"), "8 digits"),
        ((" | ", " "), "a gloss behind"),
        ((FERN[8:], ""), "all fields"),
    ],
)
def test_what_is_no_synset_is_told(change: tuple[str, str], said: str) -> None:
    assert parse_synset(FERN, "n").related == ("n00000061",)
    with pytest.raises(DataError, match=said):
        parse_synset(FERN.replace(*change), "n")


def test_errors_name_file_and_line_and_loose_pointers(dictionary: Path) -> None:
    verbs = dictionary / "data.verb"
    verbs.write_text(verbs.read_text() + "nonsense\n")
    with pytest.raises(DataError, match="data.verb, line 4: expected all fields"):
        read_synsets(find_files(dictionary))
    with pytest.raises(DataError, match="n00000123 points to n00000061"):
        link_synsets([parse_synset(FERN, "n")])
    with pytest.raises(DataError, match="each synset once"):
        link_synsets([parse_synset(FERN, "n")] * 2)
