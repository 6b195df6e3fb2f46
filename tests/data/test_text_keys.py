from __future__ import annotations

import numpy as np
import pytest

from xmc.data.text_keys import drawn, folded, places, text_hashes
from xmc.errors import ConfigError


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (" Red  Shoes\n", "red shoes", True),
        ("Straße", "STRASSE", True),
        ("ｓｈｏｅ", "shoe", True),
        ("red shoe", "red shoes", False),
        ("redshoes", "red shoes", False),
    ],
)
def test_what_is_one_text(one: str, other: str, same: bool) -> None:
    assert (folded(one) == folded(other)) == same
    assert (len(set(text_hashes([one, other]).tolist())) == 1) == same


def test_places_are_uniform_and_the_seeds() -> None:
    keys = [f"text {number}" for number in range(4000)]
    first = places(keys, 0)
    assert (first >= 0).all() and (first < 1).all()
    counts = np.histogram(first, 10, (0, 1))[0]
    assert counts.min() > 320 and counts.max() < 480
    assert abs(np.corrcoef(first, places(keys, 1))[0, 1]) < 0.1
    # The value itself is part of what data sets on disk were split by.
    assert places(["red shoes"], 0)[0] == pytest.approx(0.12213618651271696, abs=1e-12)


def test_a_text_keeps_its_side_as_others_come() -> None:
    few, many = [f"text {n}" for n in range(300)], [f"text {n}" for n in range(3000)]
    np.testing.assert_array_equal(drawn(few, 0.1, 0), drawn(many, 0.1, 0)[:300])
    assert drawn(many, 0.1, 0).mean() == pytest.approx(0.1, abs=0.03)
    assert drawn(["A  b", "c", "a b"], 0.5, 3)[[0, 2]].tolist() in ([True, True], [False, False])


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_both_sides_have_a_text(share: float) -> None:
    for seed in range(20):
        chosen = drawn(["a", "b", "c", "A"], share, seed)
        assert 0 < chosen.sum() < 4 and chosen[0] == chosen[3]


@pytest.mark.parametrize(
    ("keys", "share"), [(["a", " A"], 0.5), ([], 0.5), (["a", "b"], 0), (["a", "b"], 1.0)]
)
def test_a_split_that_cannot_be(keys: list[str], share: float) -> None:
    with pytest.raises(ConfigError, match="expected"):
        drawn(keys, share, 0)
