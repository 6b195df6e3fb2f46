"""What a caller may give for texts: one, or any ordered collection of them; everything else is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np

from xmc.errors import DataError

__all__ = ["TextInput", "as_texts", "check_texts"]

TextInput = str | Iterable[str]
"""One text, or texts in order: a list, a NumPy array, a pandas Series, a column of a data set."""


def as_texts(texts: TextInput, what: str = "texts") -> tuple[Sequence[str], bool]:
    """The texts as a sequence that can be sliced, and whether ``texts`` was one string.

    A sequence stays as it is, so that it may be lazy: its elements are checked when they are read
    (:func:`check_texts`). Arrays, Series and iterators become lists.

    Args:
        texts: What the caller gave.
        what: What messages call it.

    Raises:
        DataError: For bytes, numbers, None, mappings, sets and arrays that are not one-dimensional.
    """
    if isinstance(texts, str):
        return [str(texts)], True
    given: Any = texts
    if isinstance(given, np.ndarray) and given.ndim != 1:
        raise DataError(f"expected {what} in one dimension, got an array of shape {given.shape}")
    if isinstance(given, (bytes, bytearray, memoryview, Mapping, Set)) or not isinstance(given, Iterable):
        raise DataError(
            f"expected {what}: a string, or strings in order such as a list, got {type(given).__name__} "
            f"{given!r:.80}"
        )
    if isinstance(given, Sequence):
        return given, False
    values = given.tolist() if isinstance(given, np.ndarray) else list(given)
    check_texts(values, what=what)
    return values, False


def check_texts(texts: Sequence[Any], first: int = 0, what: str = "texts") -> None:
    """Refuse elements that are not strings, or hold halves of characters, which no tokenizer or file takes.

    Args:
        texts: Some of them.
        first: Position of the first.
        what: What the message calls them.

    Raises:
        DataError: Naming the first and its position.
    """
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"expected {what} to be strings, got {type(text).__name__} {text!r:.80} at position "
                f"{first + position}"
            )
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise DataError(
                    f"expected {what} of whole Unicode characters, got {text!r:.80} at position "
                    f"{first + position}: leave out halves of surrogate pairs, or read the file as what it is"
                ) from None
