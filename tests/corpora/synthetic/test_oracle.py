from __future__ import annotations

import numpy as np
import pytest

from xmc.corpora.synthetic.catalogue import Catalogue, make_catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.oracle import Oracle
from xmc.corpora.synthetic.queries import draw_queries
from xmc.corpora.synthetic.vocabulary import ABSENT, join_words, make_vocabulary


def _chances_by_enumeration(text: str, catalogue: Catalogue, words: dict[str, str], law: Law) -> np.ndarray:
    """Every label's chance given the text, over all articles of the catalogue: float64 [L] by id."""
    vocabulary = make_vocabulary(0)
    numbers = catalogue.title_words(np.arange(catalogue.num_labels)) + vocabulary.facet_start
    titles = [title.split() for title in join_words(vocabulary.words, numbers)]
    said = {words[word] for word in text.split() if word in words}
    size = np.diff(catalogue.first)[catalogue.family_of(np.arange(catalogue.num_labels))]
    prior = catalogue.probability[catalogue.family_of(np.arange(catalogue.num_labels))] / size
    fits = np.array([said <= set(title) for title in titles])
    posterior = prior * fits / (prior * fits).sum()
    result = np.zeros(catalogue.num_labels)
    for anchor in np.flatnonzero(posterior):
        missed = np.ones(catalogue.num_labels)
        for member, title in enumerate(titles):
            if title[:4] != titles[anchor][:4]:
                continue
            same = law.same_finish if title[4] == titles[anchor][4] else law.other_finish
            rate = 1.0 if member == anchor else same
            own = np.arange(catalogue.num_labels) == member
            missed *= 1 - rate * (law.noise * prior + (1 - law.noise) * own)
        result += posterior[anchor] * (1 - missed)
    by_id = np.empty_like(result)
    by_id[catalogue.id_of] = result
    return by_id


@pytest.mark.parametrize("law", [Law(), Law(noise=0.4, dropped=1.0, mentioned=0.2), Law(noise=1.0)])
def test_equals_an_enumeration_of_all_articles_given_the_words_of_the_text(law: Law) -> None:
    catalogue, vocabulary = make_catalogue(60, 2.0, 0), make_vocabulary(0)
    # Few brands, lines, materials and nouns, so that a text with one of them missing fits several families.
    catalogue.core[:, 1:] = catalogue.core[:1, 1:]
    catalogue.core[:, 0] = np.arange(len(catalogue.core))
    half = vocabulary.num_title_words
    words = {w: vocabulary.words[i % half] for i, w in enumerate(vocabulary.words[: 2 * half])}
    queries = draw_queries(40, catalogue, vocabulary, law, np.random.default_rng(5))
    ids, chances = Oracle(catalogue, law).rank(queries.observed, 12)
    ambiguous = 0
    for row, text in enumerate(join_words(vocabulary.words, queries.text)):
        wanted = _chances_by_enumeration(text, catalogue, words, law)
        best = np.lexsort((np.arange(60), -wanted))[:12]
        np.testing.assert_allclose(chances[row], wanted[best], atol=1e-12)
        np.testing.assert_allclose(wanted[ids[row]], wanted[best], atol=1e-12)
        assert len(set(ids[row])) == 12
        ambiguous += queries.observed[row, 0] == ABSENT
    assert ambiguous


@pytest.mark.parametrize(("crowding", "names"), [(1, 0), (16, 100)])
def test_the_expected_hits_are_the_hits_of_a_simulation(crowding: int, names: int) -> None:
    catalogue, vocabulary = make_catalogue(3000, 10.0, 1, crowding, names), make_vocabulary(1, names)
    law = Law(noise=0.2)
    queries = draw_queries(20_000, catalogue, vocabulary, law, np.random.default_rng(2))
    ids, chances = Oracle(catalogue, law).rank(queries.observed, 8)
    hits = (ids[:, :, None] == queries.labels[:, None, :]).any(axis=2)
    deviation = np.sqrt((chances * (1 - chances)).sum(axis=0)) / len(hits)
    assert (np.abs(hits.mean(axis=0) - chances.mean(axis=0)) < 4 * deviation).all()
    assert (np.diff(chances, axis=1) <= 0).all()
    # Calibrated, not only on average: where it says 20 to 40 per cent, such is the share that is right.
    for low in (0.0, 0.2, 0.4, 0.6):
        here = (chances >= low) & (chances < low + 0.2)
        assert hits[here].mean() == pytest.approx(chances[here].mean(), abs=0.02)


def test_without_noise_or_doubt_the_anchor_is_certain() -> None:
    catalogue, vocabulary = make_catalogue(1000, 10.0, 0), make_vocabulary(0)
    law = Law(noise=0.0, dropped=0.0, mentioned=1.0, same_finish=0.0, other_finish=0.0)
    queries = draw_queries(200, catalogue, vocabulary, law, np.random.default_rng(0))
    ids, chances = Oracle(catalogue, law).rank(queries.observed, 3)
    np.testing.assert_allclose(chances, np.tile([1.0, 0.0, 0.0], (200, 1)))
    np.testing.assert_array_equal(ids[:, 0], queries.labels.max(axis=1))
