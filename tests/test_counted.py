from __future__ import annotations

import pytest

from xmc.counted import agreeing, counted


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 labels"), (1, "1 label"), (2, "2 labels"), (1_001, "1,001 labels")]
)
def test_a_number_and_its_noun(count: int, said: str) -> None:
    assert counted(count, "label") == said


def test_words_of_their_own_in_the_plural() -> None:
    assert counted(1, "query", "queries") == "1 query" and counted(0, "query", "queries") == "0 queries"
    assert agreeing(1, "has", "have") == "has" and agreeing(0, "has", "have") == "have"
