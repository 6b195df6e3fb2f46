from __future__ import annotations

from typing import Any

import pytest

from xmc.data.tables.values import as_label, as_list
from xmc.errors import DataError


@pytest.mark.parametrize(
    ("value", "labels"),
    [(0, ["0"]), ([0, 1], ["0", "1"]), (0.0, ["0"]), ("0|1", ["0", "1"]), ("", []), (None, []), ([None], [])],
)
def test_lists_of_labels(value: Any, labels: list[str]) -> None:
    assert as_list(value, "|") == labels


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"id": 4, "name": "Shoes"},
            r"strings or integers .* object .*write its field 'name' alone in its place",
        ),
        ({"key": "x", "more": []}, "write its field 'key' alone in its place"),
        ({"more": []}, "write a string in its place"),
        (["a", "b"], r"strings or integers as labels, got the list \['a', 'b'\]: write all .* in one list"),
    ],
)
def test_nested_labels_are_refused_with_what_to_write(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_list([value], "|")
    with pytest.raises(DataError, match=message):
        as_label(value)
