"""``wordnet``: WordNet's synsets and what they are related to, or its words and their meanings.

*relations*: a query is a synset (its words and definition), its labels are the synsets that it points to by
any relation. Almost every relation has a converse that the files hold too, so that a random split gives half
the answers away; :func:`xmc.corpora.item_to_item.split_relations` says how none leaks here.

*reverse-dictionary*: a query is a word, its labels are the synsets that it is in, each known by its
definition alone. All spellings of a word that differ in case are on one side of the split.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm.auto import tqdm

from xmc.corpora.item_to_item import ItemSplit, split_items, split_relations, write_items
from xmc.corpora.two_sided import write_sides
from xmc.corpora.wordnet.files import FOLDER, find_files
from xmc.corpora.wordnet.synsets import Synset, link_synsets, read_synsets
from xmc.data.dataset import Dataset
from xmc.data.manifest import check_choice, check_place
from xmc.data.writer import DatasetWriter
from xmc.errors import DataError
from xmc.files import sha256_file

__all__ = ["VARIANTS", "build_wordnet", "is_test", "words_of"]

VARIANTS = ("relations", "reverse-dictionary")


def build_wordnet(
    out: str | Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
    folder: str | Path | None = None,
    variant: str = "relations",
) -> Dataset:
    """Build the data set in the folder ``out`` and open it.

    The same files give the same data set; ``dataset.json`` names them with their SHA-256.

    Args:
        out: The folder to make.
        overwrite: Replace a prepared data set that is there.
        progress: Show bars.
        folder: Where ``data.noun``, ``data.verb``, ``data.adj`` and ``data.adv`` are; Debian's by default.
        variant: One of :data:`VARIANTS`.

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        DataError: When files are missing or malformed, or nothing in them is related.
    """
    check_choice("variant", variant, VARIANTS)
    check_place(out, overwrite=overwrite)
    started = time.perf_counter()
    files = find_files(FOLDER if folder is None else Path(folder))
    synsets = read_synsets(files, progress=progress)
    split, write, facts = (_relations if variant == "relations" else _words)(synsets)
    hashes = [{"file": path.name, "sha256": sha256_file(path)} for path in files.values()]
    source = {"wordnet": hashes, "variant": variant, "synsets": len(synsets), **facts}
    name = "wordnet" if variant == "relations" else f"wordnet-{variant}"
    with DatasetWriter(
        out, name=name, sources=[source], query_fields="title", label_fields="title", overwrite=overwrite
    ) as writer:
        write(writer, split)
    if progress:
        counts = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in facts.items())
        tqdm.write(f"{name}: {len(synsets):,} synsets, {counts}, {time.perf_counter() - started:.0f} s")
    return Dataset.load(out)


def is_test(text: str) -> bool:
    """Whether a text is a test query: a fifth of all texts, by their hash."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0


def words_of(synsets: Sequence[Synset]) -> dict[str, list[int]]:
    """Every word, in order of first appearance, with the positions of the synsets it is in, ascending."""
    words: dict[str, list[int]] = {}
    for position, synset in enumerate(synsets):
        for word in dict.fromkeys(synset.words):
            words.setdefault(word, []).append(position)
    return words


_Write = Callable[[DatasetWriter, ItemSplit], None]


def _relations(synsets: Sequence[Synset]) -> tuple[ItemSplit, _Write, dict[str, int]]:
    links = link_synsets(synsets)
    if not any(links):
        raise DataError(f"expected synsets that point to each other, found none among {len(synsets):,}")
    split = split_relations(links, [is_test(synset.text) for synset in synsets])
    facts = {
        "relations": sum(map(len, links)),
        "known_test_links_dropped": split.num_known,
        "test_links_dropped": split.num_dropped,
    }

    def write(writer: DatasetWriter, split: ItemSplit) -> None:
        write_items(writer, split, lambda i: (synsets[i].uid, synsets[i].text, synsets[i].examples))

    return split, write, facts


def _words(synsets: Sequence[Synset]) -> tuple[ItemSplit, _Write, dict[str, int]]:
    words = words_of(synsets)
    names = list(words)
    split = split_items(list(words.values()), [is_test(word.lower()) for word in names])
    pairs = sum(map(len, words.values()))

    def write(writer: DatasetWriter, split: ItemSplit) -> None:
        write_sides(
            writer,
            split,
            query=lambda i: (names[i], names[i], ""),
            label=lambda i: (synsets[i].uid, synsets[i].definition, synsets[i].examples),
        )

    return split, write, {"words": len(names), "pairs": pairs, "test_links_dropped": split.num_dropped}
