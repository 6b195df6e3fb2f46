"""Every message that docs/troubleshooting.md quotes is one of the source's, whole or in part."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^- `([^`]+)`$", PAGE, re.MULTILINE)


def messages(tree: ast.AST) -> Iterator[str]:
    """The text of each string of a module, with … where a value stands in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def found(quote: str, texts: Iterable[str]) -> bool:
    """Whether ``quote`` is in one message; its … stand for one value, or for a part that is left out."""
    parts = quote.strip().split("…")
    pattern = re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)
    return any(pattern.search(text) for text in texts if max(parts, key=len) in text)


@pytest.fixture(scope="module")
def texts() -> set[str]:
    """All messages of the package."""
    files = sorted((ROOT / "xmc").rglob("*.py"))
    said = {text for file in files for text in messages(ast.parse(file.read_text(encoding="utf-8")))}
    return {text for text in said if len(text) > 10}


def test_every_message_is_still_said(texts: set[str]) -> None:
    assert len(QUOTED) > 30
    assert [quote for quote in QUOTED if not found(quote, texts)] == []
    assert all(len(max(quote.split("…"), key=len)) > 12 for quote in QUOTED), "a quote of placeholders alone"


def test_a_message_of_nobody_is_found_out() -> None:
    source = (
        'raise E(f"{path}: expected a file of {kind}, " f"got {came!r:.80}: look again")\nx = "another one"'
    )
    said = set(messages(ast.parse(source)))
    assert found("expected a file of …, got …: look again", said) and found("got …: look", said)
    assert not found("expected a file of … another one", said) and not found("a file of wood", said)
