"""Words and pairs by number, against scikit-learn's dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from xmc.retrieval.words.features import WordFeatures, word_keys

TEXTS = ["Blue blue BIRD sea", "red bird, blue sea", "", "äö it's red-red bird", "blue sea"]


def test_a_word_has_the_same_number_everywhere() -> None:
    # As `b2sum -l 64` has them, read from their little end.
    assert word_keys(["bird", "blue sea", ""]).tolist() == [
        4005456980166892990,
        1321633229635436308,
        13020603013274838756,
    ]
    assert word_keys([]).shape == (0,)


@pytest.mark.parametrize("least", [1, 2])
def test_vectors_are_those_of_scikit_learn(least: int) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=least, token_pattern=r"(?u)\b\w+\b"
    )
    expected = vectorizer.fit_transform(TEXTS).toarray()
    features, found = WordFeatures.learned(TEXTS, least)
    keys = word_keys(vectorizer.get_feature_names_out())
    assert features.keys.tolist() == sorted(keys.tolist()) and found.dtype == np.float32
    np.testing.assert_allclose(found.toarray()[:, np.searchsorted(features.keys, keys)], expected, atol=1e-6)
    np.testing.assert_allclose(features.vectors(TEXTS).scipy().toarray(), found.toarray(), atol=1e-6)
    others = ["sea of a bluebird", "sea blue"]
    again = features.vectors(others).scipy().toarray()[:, np.searchsorted(features.keys, keys)]
    np.testing.assert_allclose(again, vectorizer.transform(others).toarray(), atol=1e-6)


def test_texts_without_words_have_none() -> None:
    features, found = WordFeatures.learned(["", "!"])
    assert found.shape == (2, 0) and features.vectors(["blue", ""]).shape == (2, 0)
    assert WordFeatures.learned(TEXTS)[0].vectors([]).shape[0] == 0
