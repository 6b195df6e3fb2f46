from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xmc.corpora.item_to_item import split_items, split_relations


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


def test_relations_by_hand() -> None:
    # 0-1 both ways, 1 -> 2, 3 -> 0, 2-3 both ways; 2 and 3 are test items, and 0 is related to 3 by 3 alone.
    split = split_relations([[1], [0, 2], [3], [0, 2]], [False, False, True, True])
    assert split.rows == {"train": {0: [1], 1: [0, 2]}, "test": {3: [0, 2]}}
    assert split.known == {"train": {0: [], 1: []}, "test": {3: []}}
    split = split_relations([[1], [0, 2], [1, 3], [2]], [False, False, True, True])
    assert split.num_known == 1 and split.known == {"train": {0: [], 1: []}, "test": {3: []}}
    split = split_relations([[1, 2], [], [1, 0]], [False, False, True])
    assert split.rows["test"] == {2: [1]} and split.known["test"] == {2: [0]}


@given(st.lists(st.tuples(st.sets(st.integers(0, 5)), st.booleans()), min_size=6, max_size=6))
def test_no_relation_is_on_both_sides(items: list[tuple[set[int], bool]]) -> None:
    links, is_test = [sorted(targets - {i}) for i, (targets, _) in enumerate(items)], [t for _, t in items]
    split = split_relations(links, is_test)
    trained = {(i, target) for i, targets in split.rows["train"].items() for target in targets}
    assert trained == {(i, j) for i in range(6) if not is_test[i] for j in links[i]}
    tested = {(i, target) for i, targets in split.rows["test"].items() for target in targets}
    assert not tested & {(j, i) for i, j in trained}
    for name, rows in split.rows.items():
        for i, targets in rows.items():
            assert set(split.known[name][i]) == {j for j, k in trained if k == i} - set(targets)
