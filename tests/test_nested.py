from __future__ import annotations

from xmc.nested import finite, flat


def test_numbers_that_are_not_finite_are_none_at_any_depth() -> None:
    assert finite({"a": (1, float("nan")), 2: [float("inf"), "x"]}) == {"a": [1, None], "2": [None, "x"]}


def test_options_by_dotted_name() -> None:
    nested = {"a": {"b": 1, "c": {"d": [2]}}, "e": {}, "f": None}
    assert flat(nested) == {"a.b": 1, "a.c.d": [2], "e": {}, "f": None}
