"""Dictionaries as tables of related items, to try rules on that were not read off them.

    python -m benchmarks.related_items foldoc /usr/share/dictd/foldoc.dict.dz OUT
    python -m benchmarks.related_items moby words.txt OUT --step 3
    python -m benchmarks.related_items mythes /usr/share/mythes/th_de_DE_v2.dat OUT --step 2
    python -m benchmarks.related_items mythes /usr/share/mythes/th_fr_FR_v2.dat OUT

foldoc: entries of the Free On-line Dictionary of Computing (GFDL; Debian's dict-foldoc) to the entries that
their text names; few pairs stand both ways. moby: roots of the Moby Thesaurus (public domain; the npm package
moby 1.1.2) to those of its synonyms that are roots too, and mythes: the same of a thesaurus of LibreOffice's
(Debian's mythes-de and mythes-fr); most pairs stand both ways. ``--step`` takes every so manyth
word. OUT gets related.csv, and entries.csv where an item is more than its name: what `xmc fit` and `xmc data
import` read.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["foldoc", "main", "moby", "mythes", "share_both_ways"]

Related = dict[str, list[str]]
"""An item's name to those of its neighbours."""


def foldoc(lines: Iterable[str]) -> tuple[Related, dict[str, str]]:
    """Related entries by uid, and the text of every entry: its first headword and what follows it."""
    texts: dict[str, str] = {}
    named: dict[str, list[str]] = {}
    uid_of: dict[str, str] = {}
    for heads, body in _entries(lines):
        uid = f"e{len(texts)}"
        named[uid] = [name.lower() for name in re.findall(r"\{([^{}(]+)\}", body)]
        plain = re.sub(r"\(\d{4}-\d\d-\d\d\)", "", re.sub(r"\{[^{}]*\(http[^{}]*\}\.?", "", body))
        texts[uid] = f"{heads[0]}: {re.sub(r'[{}]', '', plain).strip()}"
        for head in heads:
            uid_of.setdefault(head.lower(), uid)
    found = {
        uid: sorted({uid_of[name] for name in names if name in uid_of} - {uid})
        for uid, names in named.items()
    }
    return {uid: others for uid, others in found.items() if others}, texts


def _entries(lines: Iterable[str]) -> Iterable[tuple[list[str], str]]:
    """Headwords, which stand at the margin, and the indented text below them as one line."""
    heads: list[str] = []
    body: list[str] = []
    for line in [*lines, "end"]:
        words = line.strip()
        if not words or line[0].isspace():
            body += words.split()
            continue
        if body:
            if heads and not heads[0].startswith("00-database"):
                yield heads, " ".join(body)
            heads, body = [], []
        heads.append(words)


def moby(lines: Iterable[str], step: int = 1) -> Related:
    """Every ``step``-th root, sorted, to its synonyms among those."""
    entries = {root: others for root, *others in (line.strip().split(",") for line in lines) if root}
    return _among(entries, sorted(entries)[::step])


def mythes(lines: Iterable[str], step: int = 1) -> Related:
    """The same of a thesaurus's headwords, each with a line a meaning below it; case is of no account."""
    entries: dict[str, list[str]] = {}
    words: list[str] = []
    for line in list(lines)[1:]:  # the first says the encoding
        first, *others = line.rstrip("\n").split("|")
        if len(others) == 1 and others[0].strip().isdigit():
            words = entries.setdefault(first.strip(), [])
        else:  # a part of speech or nothing, and synonyms with remarks in brackets
            words += [re.sub(r"\s*\([^)]*\)", "", other).strip() for other in others]
    heads: dict[str, str] = {}
    for head in entries:
        heads.setdefault(head.lower(), head)
    known = {head: [heads.get(word.lower(), word) for word in others] for head, others in entries.items()}
    return _among(known, sorted(entries)[::step])


def _among(entries: Mapping[str, Sequence[str]], chosen: Sequence[str]) -> Related:
    """The chosen ones to those of their neighbours that are chosen too."""
    known = set(chosen)
    found = {
        item: [other for other in dict.fromkeys(entries[item]) if other and other in known and other != item]
        for item in chosen
    }
    return {item: others for item, others in found.items() if item and others}


def share_both_ways(related: Mapping[str, Sequence[str]]) -> float:
    """Of the pairs, those that stand the other way round too."""
    pairs = {(item, other) for item, others in related.items() for other in others}
    return sum((other, item) in pairs for item, other in pairs) / max(1, len(pairs))


_THESAURI = {"moby": moby, "mythes": mythes}


def main(words: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dictionary", choices=("foldoc", *_THESAURI))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--step", type=int, default=1, help="of a thesaurus, every so manyth word")
    given = parser.parse_args(words)
    read = gzip.open if given.source.suffix in (".dz", ".gz") else open
    with read(given.source, "rt", encoding="utf-8", errors="replace") as lines:
        if given.dictionary == "foldoc":
            related, texts = foldoc(lines)
        else:
            related, texts = _THESAURI[given.dictionary](lines, given.step), {}
    given.out.mkdir(parents=True, exist_ok=True)
    rows = ((item, texts.get(item, item), "|".join(others)) for item, others in related.items())
    _write(given.out / "related.csv", ("query_uid", "query", "labels"), rows)
    if texts:
        labels = {other for others in related.values() for other in others}
        entries = ((uid, text) for uid, text in texts.items() if uid in labels)
        _write(given.out / "entries.csv", ("uid", "title"), entries)
    print(f"{len(related):,} items, {share_both_ways(related):.0%} of their pairs both ways")


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
