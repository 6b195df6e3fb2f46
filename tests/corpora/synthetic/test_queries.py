from __future__ import annotations

import numpy as np
import pytest

from xmc.corpora.synthetic.catalogue import make_catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.queries import draw_queries, inclusion
from xmc.corpora.synthetic.vocabulary import ABSENT, FACETS, join_words, make_vocabulary

COUNT = 20_000


@pytest.fixture(scope="module")
def drawn():
    catalogue, vocabulary = make_catalogue(500, 10.0, 3), make_vocabulary(3)
    return draw_queries(COUNT, catalogue, vocabulary, Law(), np.random.default_rng(0)), catalogue, vocabulary


def test_rates_of_the_text(drawn):
    queries, _, vocabulary = drawn
    missing = queries.observed == ABSENT
    assert missing[:, :4].sum(axis=1).max() == 1
    np.testing.assert_allclose(missing[:, :4].mean(axis=0), 0.3 / 4, atol=0.01)
    np.testing.assert_allclose(missing[:, 4:].mean(axis=0), 0.3, atol=0.015)
    titles = vocabulary.num_title_words
    shown = queries.text[queries.text != ABSENT]
    aliases = (shown >= titles) & (shown < 2 * titles)
    assert aliases.sum() / (shown < 2 * titles).sum() == pytest.approx(0.5, abs=0.01)
    assert (shown >= 2 * titles).sum() / COUNT == pytest.approx(1.0, abs=0.03)


def test_a_text_shows_what_is_observed_in_any_order(drawn):
    queries, _, vocabulary = drawn
    meaning = {}
    for number, word in enumerate(vocabulary.words[: 2 * vocabulary.num_title_words]):
        number %= vocabulary.num_title_words
        facet = int(np.searchsorted(vocabulary.facet_start, number, side="right")) - 1
        meaning[word] = (facet, number - int(vocabulary.facet_start[facet]))
    texts = join_words(vocabulary.words, queries.text)
    for text, observed in zip(texts[:500], queries.observed, strict=False):
        said = sorted(meaning[word] for word in text.split() if word in meaning)
        assert said == [(f, int(w)) for f, w in enumerate(observed) if w != ABSENT]
    first_facets = {meaning.get(text.split()[0], (6,))[0] for text in texts}
    assert first_facets == set(range(len(FACETS) + 1))


def test_labels_are_of_the_family_but_for_the_noise(drawn):
    queries, catalogue, _ = drawn
    family_of_label = np.empty(500, dtype=np.int64)
    family_of_label[catalogue.id_of] = catalogue.family_of(np.arange(500))
    whole = (queries.observed[:, :4] != ABSENT).all(axis=1)
    key = {tuple(core): family for family, core in enumerate(catalogue.core.tolist())}
    outside = total = 0
    for observed, labels in zip(queries.observed[whole], queries.labels[whole], strict=True):
        labels = labels[labels != ABSENT]
        outside += (family_of_label[labels] != key[tuple(observed[:4])]).sum()
        total += len(labels)
    by_chance = (catalogue.probability**2).sum()
    assert outside / total == pytest.approx(0.1 * (1 - by_chance), abs=0.005)


def test_without_noise_the_anchor_is_always_a_label_and_frequency_is_zipfs():
    catalogue, vocabulary = make_catalogue(100, 0.0, 0), make_vocabulary(0)
    law = Law(noise=0.0, same_finish=0.0, other_finish=0.0)
    labels = draw_queries(COUNT, catalogue, vocabulary, law, np.random.default_rng(1)).labels
    assert ((labels != ABSENT).sum(axis=1) == 1).all()
    counts = np.bincount(labels.max(axis=1), minlength=100)[catalogue.id_of]
    by_family = np.add.reduceat(counts, catalogue.first[:-1]) / COUNT
    np.testing.assert_allclose(by_family, catalogue.probability, atol=0.015)


def test_inclusion_by_hand():
    law = Law(same_finish=0.9, other_finish=0.3)
    (chance,) = inclusion(np.array([[2, 3]]), np.array([1]), np.array([0]), law)
    np.testing.assert_array_equal(chance, [[0.3, 0.3, 0.3, 0, 0], [1, 0.9, 0.9, 0, 0], [0] * 5])
