from __future__ import annotations

from pathlib import Path

import pytest

LICENCE = "  1 This is made up, and free.  \n  2 The second line of it.  \n"

# Offsets are those of the lines, as in the real files; filled in by `write`.
NOUNS = [
    ("plant", ["plant", "flora"], ["~ moss n", "~ fern n"], "a living thing that stays put"),
    ("moss", ["moss", "Bog_Moss"], ["@ plant n", "+ mossy a 0101"], 'a small soft plant; "moss on a stone"'),
    ("fern", ["fern"], ["@ plant n"], "a plant with fronds"),
    ("stone", ["stone"], [], "a piece of rock; hard"),
]
VERBS = [("grow", ["grow", "get_bigger"], ["> plant n"], 'become larger; "it grew"; "grow tall"')]
ADJECTIVES = [
    ("mossy", ["mossy(p)"], ["+ moss n 0101", "& green a"], "overgrown with moss"),
    ("green", ["green"], ["& mossy a"], "of the colour of leaves"),
]
ADVERBS: list[tuple[str, list[str], list[str], str]] = [("slowly", ["slowly"], [], "without haste")]


def _line(offset: dict[str, int], entry, kind: str, satellites: bool) -> str:
    name, words, pointers, gloss = entry
    kind = "s" if satellites and name == "green" else kind
    listed = " ".join(f"{word} {number:x}" for number, word in enumerate(words))
    parts = []
    for pointer in pointers:
        symbol, target, pos, *rest = pointer.split()
        parts.append(f"{symbol} {offset[target]:08d} {pos} {rest[0] if rest else '0000'}")
    frames = "02 + 02 00 + 08 01 " if kind == "v" else ""
    pointing = "".join(f"{part} " for part in parts)
    head = f"{offset[name]:08d} 03 {kind} {len(words):02x} {listed} {len(parts):03d} {pointing}{frames}"
    return f"{head}| {gloss}  \n"


def write(folder: Path) -> Path:
    """Four data files in the very form of wndb(5WN), byte offsets and all."""
    folder.mkdir(parents=True)
    files = {"noun": NOUNS, "verb": VERBS, "adj": ADJECTIVES, "adv": ADVERBS}
    kinds = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
    offset = {entry[0]: 0 for entries in files.values() for entry in entries}
    for part, entries in files.items():
        place = len(LICENCE)
        for entry in entries:
            offset[entry[0]] = place
            place += len(_line(offset, entry, kinds[part], True))
    for part, entries in files.items():
        lines = [_line(offset, entry, kinds[part], True) for entry in entries]
        (folder / f"data.{part}").write_text(LICENCE + "".join(lines), encoding="ascii")
    return folder


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """A folder of made-up WordNet files."""
    return write(tmp_path / "dict")
