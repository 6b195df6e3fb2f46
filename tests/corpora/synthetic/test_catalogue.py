from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.corpora.synthetic import words
from xmc.corpora.synthetic.catalogue import MAX_CROWDING, make_catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.vocabulary import ABSENT, LINE, MAX_NAMES, join_words, make_vocabulary
from xmc.errors import ConfigError


def test_every_word_is_in_one_list_only() -> None:
    lists = [getattr(words, name) for name in words.__all__]
    flat = [word for group in lists for word in group]
    assert len(flat) == len(set(flat)) and all(word.isalpha() and word.islower() for word in flat)
    titles = sum(len(group) for group in lists if group not in (words.ALIASES, words.FILLERS))
    assert len(words.ALIASES) >= titles


@settings(max_examples=30, deadline=None)
@given(num_labels=st.integers(10, 3000), seed=st.integers(0, 5), crowding=st.integers(1, MAX_CROWDING))
def test_as_many_distinct_titles_as_labels(num_labels: int, seed: int, crowding: int) -> None:
    catalogue, vocabulary = make_catalogue(num_labels, 10.0, seed, crowding), make_vocabulary(seed)
    assert catalogue.num_labels == catalogue.first[-1] == num_labels
    assert sorted(catalogue.id_of.tolist()) == list(range(num_labels))
    numbers = catalogue.title_words(np.arange(num_labels)) + vocabulary.facet_start
    assert len(set(join_words(vocabulary.words, numbers))) == num_labels


def test_a_title_names_its_facets_in_order() -> None:
    catalogue, vocabulary = make_catalogue(200, 10.0, 0), make_vocabulary(0)
    facets = (words.BRANDS, words.LINES, words.MATERIALS, words.NOUNS, words.FINISHES, words.COLOURS)
    titles = join_words(vocabulary.words, catalogue.title_words(np.arange(200)) + vocabulary.facet_start)
    for title in titles:
        assert all(word in facet for word, facet in zip(title.split(), facets, strict=True))
    family = catalogue.family_of(np.arange(200))
    cores = [" ".join(title.split()[:4]) for title in titles]
    pairs = [(i, j) for i in range(0, 200, 7) for j in range(200)]
    assert all((family[i] == family[j]) == (cores[i] == cores[j]) for i, j in pairs)


def test_families_follow_zipfs_law() -> None:
    catalogue = make_catalogue(5000, 10.0, 0)
    p = catalogue.probability
    assert p.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(p[0] / p, (np.arange(len(p)) + 11) / 11)


def close_families(crowding: int) -> float:
    """How many others share three of a family's four words, in the mean."""
    core = make_catalogue(5000, 10.0, 0, crowding).core
    shared = (core[:, None] == core[None]).sum(axis=2)
    return float((shared == 3).sum(axis=1).mean())


def test_crowded_families_differ_in_one_word() -> None:
    alone, crowded = close_families(1), close_families(16)
    assert alone < 0.5 and 14 < crowded <= 16


@pytest.mark.parametrize("crowding", [0, MAX_CROWDING + 1])
def test_more_families_than_words_do_not_differ_in_one(crowding: int) -> None:
    with pytest.raises(ConfigError, match=f"crowding of 1 to {MAX_CROWDING} families, got {crowding}"):
        make_catalogue(100, 10.0, 0, crowding)


def test_made_up_names_are_what_crowded_families_differ_in() -> None:
    catalogue, vocabulary = make_catalogue(2000, 10.0, 0, 8, names=500), make_vocabulary(0, 500)
    shared = (catalogue.core[:, None] == catalogue.core[None]).sum(axis=2) == 3
    assert 6 < shared.sum(axis=1).mean() <= 8
    first, second = np.nonzero(shared)
    differs = (catalogue.core[first] != catalogue.core[second]).argmax(axis=1)
    assert (differs == LINE).mean() > 0.99
    numbers = catalogue.title_words(np.arange(2000)) + vocabulary.facet_start
    titles = join_words(vocabulary.words, numbers)
    known = {word for name in words.__all__ for word in getattr(words, name)}
    assert len(set(titles)) == 2000 and not known & {title.split()[LINE] for title in titles}


def test_every_title_word_has_an_alias_of_its_own() -> None:
    for names in (0, 500):
        vocabulary = make_vocabulary(0, names)
        assert len(vocabulary.words) == 2 * vocabulary.num_title_words + len(words.FILLERS)
        assert len(set(vocabulary.words)) == len(vocabulary.words)


@pytest.mark.parametrize("names", [1, MAX_NAMES + 1])
def test_names_that_cannot_be(names: int) -> None:
    with pytest.raises(ConfigError, match=f"to 30,000 names, got {names:,}"):
        make_catalogue(100, 10.0, 0, names=names)


def test_absent_words_are_left_out() -> None:
    assert join_words(["a", "b"], np.array([[1, ABSENT, 0], [ABSENT, ABSENT, ABSENT]])) == ["b a", ""]


def test_the_seed_decides_the_aliases() -> None:
    assert make_vocabulary(0).words == make_vocabulary(0).words != make_vocabulary(1).words


@pytest.mark.parametrize("count", [9, 20_000_001])
def test_counts_that_cannot_be(count: int) -> None:
    with pytest.raises(ConfigError, match="expected 10 to 20,000,000 labels"):
        make_catalogue(count, 10.0, 0)


@pytest.mark.parametrize("wrong", [{"noise": 1.5}, {"dropped": -0.1}, {"zipf_offset": float("nan")}])
def test_rates_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Law(**wrong)
