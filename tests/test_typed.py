from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from xmc.typed import from_plain


@dataclass(frozen=True)
class Inner:
    a: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    inner: Inner = field(default_factory=Inner)
    fields: tuple[str, ...] = ()
    choice: Literal["x", "y"] = "x"
    maybe: int | None = None
    sizes: dict[str, list[int]] = field(default_factory=dict)
    on: bool = False


def test_a_value_of_every_kind() -> None:
    values = {"name": "n", "count": 2, "inner": {"a": 3}, "fields": ["p"], "choice": "y", "maybe": None}
    made = from_plain(Outer, {**values, "sizes": {"s": [1]}, "on": True})
    assert made == Outer("n", 2, Inner(3), ("p",), "y", None, {"s": [1]}, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": "2"}, "count: expected a whole number, got '2'"),
        ({"count": True}, "count: expected a whole number, got True"),
        ({"count": 2.0}, "count"),
        ({"count": None}, "count"),
        ({"inner": {"a": float("nan")}}, "a: expected a finite number"),
        ({"inner": {"a": 10**400}}, "a: expected a finite number"),
        ({"inner": {"b": 1}}, "unknown key 'b'"),
        ({"inner": [1]}, "expected a mapping"),
        ({"fields": "p"}, "fields: expected a list"),
        ({"fields": [1]}, "fields: expected a text"),
        ({"choice": "z"}, "choice: expected one of 'x', 'y'"),
        ({"maybe": "a"}, "maybe: expected a whole number"),
        ({"sizes": {"s": 1}}, "sizes.s: expected a list"),
        ({"sizes": {"s": [None]}}, "sizes.s: expected a whole number"),
        ({"on": 1}, "on: expected true or false"),
        ({"more": 1}, "unknown key 'more'"),
    ],
)
def test_a_value_of_another_kind_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        from_plain(Outer, {"name": "n", "count": 2, **change})


def test_a_key_without_a_default_must_be_there_and_others_may_be_left_aside() -> None:
    with pytest.raises(ValueError, match="it lacks 'count'"):
        from_plain(Outer, {"name": "n"})
    assert from_plain(Outer, {"name": "n", "count": 1, "later": 1}, extra=True).count == 1
    for value in (None, [], "x"):
        with pytest.raises(ValueError, match="expected a mapping"):
            from_plain(Outer, value)
