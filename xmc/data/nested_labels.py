"""What to do with a label that is an object or a list of its own, where a string or an integer is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xmc.errors import DataError

__all__ = ["refuse_nested"]


def refuse_nested(label: Any) -> None:
    """Nothing for a label that is neither an object nor a list.

    Raises:
        DataError: For one that is, with what to write in its place.
    """
    if isinstance(label, Mapping):
        fields = [name for name, value in label.items() if isinstance(value, (str, int))]
        named = [name for name in ("name", "title", "label") if name in fields] or fields
        which = f"its field {named[0]!r:.40} alone" if named else "a string"
        raise DataError(
            f"expected strings or integers as labels, got the object {label!r:.80}: write {which} in its "
            "place"
        )
    if isinstance(label, (list, tuple)):
        raise DataError(
            f"expected strings or integers as labels, got the list {label!r:.80}: write all labels of a row "
            "in one list"
        )
