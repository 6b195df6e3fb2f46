from __future__ import annotations

import pytest

from xmc.corpora.debian.control import long_text, read_stanzas, related_packages
from xmc.errors import DataError


def test_stanzas_fields_and_folded_lines() -> None:
    lines = [
        "# a comment\n", "Package: a\n", "DEPENDS: b,\n", " c (>= 1),\n", "# between\n", "\td\n", "\n", " \n",
        "Package: e\r\n", "Description: url: http://x\n", " first\n", "  verbatim\n", " .\n", "Empty:\n",
    ]  # fmt: skip
    assert list(read_stanzas(lines, "f")) == [
        {"package": "a", "depends": "b,\nc (>= 1),\nd"},
        {"package": "e", "description": "url: http://x\nfirst\n verbatim\n.", "empty": ""},
    ]
    assert list(read_stanzas([], "f")) == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Package: a", "nonsense"], "lists/x, line 2: expected 'Field: value', got 'nonsense'"),
        ([" goes on", "Package: a"], "line 1: expected 'Field: value'"),
        (["Package: a", "", " goes on"], "line 3: expected"),
        (["Package: a", "package: b"], "line 2: expected the field package once"),
        (["<html>: no"], None),
    ],
)
def test_what_is_no_control_file(lines: list[str], message: str | None) -> None:
    if message is None:
        assert list(read_stanzas(lines, "lists/x")) == [{"<html>": "no"}]
        return
    with pytest.raises(DataError, match=message):
        list(read_stanzas(lines, "lists/x"))


@pytest.mark.parametrize(
    ("relation", "names"),
    [
        ("", []),
        ("a", ["a"]),
        ("a (>= 1:2.0~rc1-3), b | c (<< 2) | d", ["a", "b", "c", "d"]),
        ("python3:any (>= 3.9~), g++ [amd64 !i386]", ["python3", "g++"]),
        ("libx-1.2+b <!nocheck> <!cross>", ["libx-1.2+b"]),
        ("a(>=1),b", ["a", "b"]),
        ("a,\n b,\n", ["a", "b"]),
        ("a (>= 1), a (<< 2)", ["a"]),
        ("a (= ${binary:Version})", ["a"]),
    ],
)  # fmt: skip
def test_related_packages(relation: str, names: list[str]) -> None:
    assert related_packages(relation) == names


def test_no_relation() -> None:
    with pytest.raises(ValueError, match="b c"):
        related_packages("a, b c")


def test_long_text() -> None:
    assert long_text("A game\nIt is\n  old.\n.\nAnd good.") == ("A game", "It is old. And good.")
    assert long_text("A game") == ("A game", "")
    assert long_text("") == ("", "")
