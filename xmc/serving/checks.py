"""Requests within the server's bounds; what is out of them is refused before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from xmc.serving.limits import ServingLimits
from xmc.serving.problems import Problem, shown

__all__ = ["check_changes", "check_query_string", "check_search"]


def check_search(texts: Sequence[str], k: int, limits: ServingLimits) -> None:
    """Check the queries of a request.

    Raises:
        Problem: 422, for no text, a blank one, too long or too many, and for a k out of bounds.
    """
    _check_number(texts, limits.max_texts, "texts", "--max-texts")
    _check_texts(texts, limits.max_text, "text")
    if not 1 <= k <= limits.max_k:
        raise Problem(
            422, "k", expected=f"k from 1 to {limits.max_k:,}", got=shown(k), mend="ask for fewer labels"
        )


def check_query_string(query: bytes) -> None:
    """Check that what is escaped in an address (``?q=%C3%A9``) is text.

    Raises:
        Problem: 422, for bytes that are no UTF-8.
    """
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        raise Problem(
            422, "unicode",
            expected="a text in UTF-8, its bytes escaped with %",
            got=shown(query.decode("ascii", "backslashreplace")),
            mend="escape the bytes of the text's UTF-8, as encodeURIComponent does",
        ) from None  # fmt: skip


def check_changes(uids: Sequence[str], texts: Sequence[str], limits: ServingLimits) -> None:
    """Check the labels of a change; one that removes has no texts.

    Raises:
        Problem: 422, for no label, too many, one that is there twice, and for uids and texts as above.
    """
    _check_number(uids, limits.max_changes, "labels", "--max-changes")
    _check_texts(uids, limits.max_text, "uid")
    _check_texts(texts, limits.max_text, "label's text")
    again = next((uid for uid, count in Counter(uids).items() if count > 1), None)
    if again is not None:
        raise Problem(
            422, "uid_twice", expected="each uid once", got=f"{shown(again)} again", mend="send it once"
        )


def _check_number(items: Sequence[str], most: int, what: str, option: str) -> None:
    if not 1 <= len(items) <= most:
        raise Problem(
            422, "number",
            expected=f"1 to {most:,} {what} in a request",
            got=f"{len(items):,}",
            mend=f"send several requests, or start the server with {option}" if items else "send some",
        )  # fmt: skip


def _check_texts(texts: Sequence[str], most: int, what: str) -> None:
    for position, text in enumerate(texts):
        if not text.strip():
            raise Problem(
                422, "blank",
                expected=f"a {what} with something in it",
                got=f"a blank one at position {position}",
                mend="leave it out",
            )  # fmt: skip
        if len(text) > most:
            raise Problem(
                422, "too_long",
                expected=f"a {what} of at most {most:,} characters",
                got=f"{len(text):,} at position {position}",
                mend="shorten it: models read the beginning alone; or start the server with --max-text",
            )  # fmt: skip
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Problem(
                422, "unicode",
                expected=f"a {what} of whole Unicode characters",
                got=shown(text),
                mend="leave out halves of surrogate pairs",
            ) from None  # fmt: skip
