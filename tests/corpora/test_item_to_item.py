from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xmc.corpora.item_to_item import split_items


def test_by_hand() -> None:
    split = split_items([[2, 1], [], [0, 1], [2, 0]], [False, False, True, True])
    assert split.rows == {"train": {0: [1, 2]}, "test": {2: [1], 3: [2]}}
    assert split.labels == [1, 2] and split.num_dropped == 2


@given(st.lists(st.tuples(st.sets(st.integers(0, 5)), st.booleans()), min_size=6, max_size=6))
def test_every_label_has_a_training_point(items: list[tuple[set[int], bool]]) -> None:
    links, is_test = [sorted(targets) for targets, _ in items], [test for _, test in items]
    split = split_items(links, is_test)
    assert split.labels == sorted({label for targets in split.rows["train"].values() for label in targets})
    pairs = sum(len(targets) for rows in split.rows.values() for targets in rows.values())
    assert pairs + split.num_dropped == sum(map(len, links))
    for i, targets in split.rows["test"].items():
        assert is_test[i] and targets and set(targets) <= set(split.labels)
