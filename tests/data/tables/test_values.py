from __future__ import annotations

from typing import Any

import pytest

from xmc.data.tables.values import as_list


@pytest.mark.parametrize(
    ("value", "labels"),
    [(0, ["0"]), ([0, 1], ["0", "1"]), (0.0, ["0"]), ("0|1", ["0", "1"]), ("", []), (None, []), ([None], [])],
)
def test_lists_of_labels(value: Any, labels: list[str]) -> None:
    assert as_list(value, "|") == labels
