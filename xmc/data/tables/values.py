"""A field of a record as text, as a list of labels, or as a weight."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from xmc.data.nested_labels import refuse_nested
from xmc.errors import DataError

__all__ = ["as_label", "as_list", "as_text", "as_weight", "json_list"]


def as_text(value: Any) -> str:
    """Text without the white space around it; "" for nothing.

    Whole numbers of any kind are written without a point, as pandas makes 17.0 of an id where another is
    missing.

    Raises:
        DataError: For a list, an object, or anything else that is no text and no number.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"expected text, got {value!r:.80}")


def as_list(value: Any, separator: str) -> list[str]:
    """The labels of a field: a list as JSON and Parquet have it, or text cut at ``separator``; no empty ones.

    Raises:
        DataError: As :func:`as_label`, of each.
    """
    parts: Sequence[Any] = value if isinstance(value, (list, tuple)) else as_label(value).split(separator)
    return [text for part in parts if (text := as_label(part))]


def as_label(value: Any) -> str:
    """A label as :func:`as_text`.

    Raises:
        DataError: For a list or an object, with what to write in its place, or anything else that is no text.
    """
    refuse_nested(value)
    return as_text(value)


def as_weight(value: Any) -> float:
    """A weight of at least 0; an empty field is 1.

    Raises:
        DataError: For anything else.
    """
    text = as_text(value)
    if not text:
        return 1.0
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight < math.inf:
        raise DataError(
            f"expected a number of at least 0, with a point before decimals and no mark for thousands, got "
            f"{text!r:.40}"
        )
    return weight


def json_list(text: str) -> list[Any] | None:
    """The list that a text is in JSON; None of any other text.

    Raises:
        DataError: For a list as Python prints it, which is no JSON: its commas are not between labels alone.
    """
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if re.match(r"\[\s*'", text):
            raise DataError(
                "expected labels with a mark between them (a|b|c), or a JSON list, got a list as Python "
                f"prints it, {text!r:.80}: write json.dumps(labels) or '|'.join(labels) in its place"
            ) from None
        return None
    return found if isinstance(found, list) else None
