"""``xmc export``: the labels of an index in a vector engine or in Parquet files, and searches there."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from xmc.cli.parser import make_parser, parse
from xmc.cli.query_options import (
    add_query_options,
    check_no_query_options,
    check_query_options,
    queries_of,
)
from xmc.cli.search import ranking
from xmc.counted import counted
from xmc.engines.catalogue import ENGINES, KEY_VARIABLE
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from xmc.engines import Engine
    from xmc.prediction import Query
    from xmc.retrieval import Hit, LabelIndex

__all__ = ["run"]

_NAME = "labels"
_BLOCK = 256
"""Queries encoded and asked at a time."""


def run(arguments: Sequence[str]) -> None:
    """Export an index, or search what was exported."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.search is not None and options.queries is not None:
        raise ConfigError("expected --search or --queries, got both")
    searches = options.search is not None or options.queries is not None
    if options.k < 1:
        raise ConfigError(f"-k: expected 1 or more labels, got {options.k}")
    if options.search is not None and not options.search.strip():
        raise ConfigError("--search: expected a text, got an empty one, which fits every label alike")
    if searches and (options.overwrite or options.batch is not None):
        raise ConfigError("--overwrite and --batch are of an export, got them with a search: leave them out")
    if options.queries is not None:
        check_query_options(options, options.queries, options.model or options.index)
    else:
        check_no_query_options(options)

    from xmc.engines import export_labels, open_engine
    from xmc.engines.export import check_exportable, check_foldable
    from xmc.retrieval.label_index import LabelIndex

    index = LabelIndex.load(options.index, options.model, mapped=True)
    (check_foldable if searches else check_exportable)(index)
    engine = open_engine(options.to, options.out, options.name)
    try:
        if searches:
            _search(index, engine, options)
            return
        if index.manifest.ensemble:
            print(
                "exporting the vectors alone; what the index ranks with beside them stays behind: "
                f"{index.manifest.ensemble}"
            )
        tally = export_labels(index, engine, batch=options.batch, overwrite=options.overwrite)
        facts = engine.facts()
        texts = " texts" if facts is not None and facts.texts > 1 else ""
        print(
            f"{counted(tally.written, 'label')} written, {tally.removed:,} removed, {tally.kept:,} as they "
            f"were: {engine.count():,}{texts} in {engine.where}"
        )
    finally:
        engine.close()


def _places() -> str:
    """The places of all engines, each kind of place once."""
    by_place: dict[str, list[str]] = {}
    for name, kind in ENGINES.items():
        by_place.setdefault(kind.places, []).append(name)
    return "; ".join(f"{place} ({', '.join(names)})" for place, names in by_place.items())


def _parser() -> ArgumentParser:
    parser = make_parser(
        "export",
        "Bring a vector engine to what an index is: labels that it lacks or that changed are written,\n"
        "removed ones removed, in batches; a run that was cut off goes on. --search and --queries write\n"
        f"nothing: every label there is scored. Secrets come from {KEY_VARIABLE}, PostgreSQL's from libpq.",
        "xmc export runs/demo-index --to lancedb --out runs/lance\n"
        '  xmc export runs/demo-index --to lancedb --out runs/lance --search "sort an array"',
        usage="xmc export INDEX --to ENGINE --out PLACE [options]",
    )
    parser.add_argument("index", help="An index folder.")
    parser.add_argument("--to", required=True, choices=tuple(ENGINES), help="The engine.")
    parser.add_argument("--out", required=True, help=f"Where it is: {_places()}.")
    parser.add_argument("--name", default=_NAME, help="Of the collection, table or folder there.")
    parser.add_argument(
        "--batch",
        type=int | None,
        default=None,
        help="Labels written at a time, and of a Parquet file at most; the engine's own by default.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Make an earlier export anew.")
    parser.add_argument("--search", default=None, metavar="TEXT", help="Search for it there.")
    parser.add_argument("--queries", default=None, help="A file of texts; - is standard input.")
    parser.add_argument("-k", type=int, default=10, help="Labels to show.")
    parser.add_argument("--json", action="store_true", help="A JSON object a text, for programs.")
    add_query_options(parser.add_argument)
    parser.add_argument(
        "--model",
        type=str | None,
        default=None,
        help="The index's own by default.",
    )
    return parser


def _search(index: LabelIndex, engine: Engine, options: Namespace) -> None:
    from xmc.encoders.cut_count import CutCount
    from xmc.engines import search_engine
    from xmc.prediction.query import Query
    from xmc.prediction.writers import record_of

    asked: Iterator[Query] = iter([Query("1", str(options.search))])
    encoder = index.query_encoder
    if options.queries is not None:
        asked = queries_of(options, options.queries, encoder.metadata)
    _warn_of_other_counts(index, engine, options)
    if index.manifest.ensemble:
        print(
            f"{engine.where} ranks by the vectors alone; `xmc search {options.index}` ranks with more: "
            f"{index.manifest.ensemble}",
            file=sys.stderr,
        )
    cuts = CutCount()
    while block := list(islice(asked, _BLOCK)):
        hits: list[list[Hit]] = [[] for _ in block]
        rows = [row for row, query in enumerate(block) if query.text.strip()]
        if rows:
            vectors = encoder.encode_queries([block[row].text for row in rows], cuts=cuts)
            found = search_engine(engine, index.manifest, vectors, options.k)
            for row, own in zip(rows, found, strict=True):
                hits[row] = own
        for query, own in zip(block, hits, strict=True):
            if options.json:
                print(json.dumps(record_of(query, own), ensure_ascii=False))
                continue
            if options.queries is not None:
                print(query.text)
            if own:
                print(ranking(own))
    cuts.warn("queries")


def _warn_of_other_counts(index: LabelIndex, engine: Engine, options: Namespace) -> None:
    from xmc.engines.export import most_texts

    facts = engine.facts()
    if facts is None or engine.count() == index.num_vectors:
        return
    if most_texts(index) > facts.texts:
        own = f"{counted(len(index), 'label')}, one of which has more texts than there is room for"
        mend = f"`{_export(options)} --overwrite` makes it anew"
    else:
        own, mend = f"{index.num_vectors:,}", f"`{_export(options)}` brings it up to date"
    print(f"{engine.where} has {_held(engine)} and the index {own}: {mend}", file=sys.stderr)


def _held(engine: Engine) -> str:
    """What is in a collection, counted: labels, or texts of labels."""
    facts = engine.facts()
    if facts is None or facts.texts == 1:
        return counted(engine.count(), "label")
    return counted(engine.count(), "text of a label", "texts of labels")


def _export(options: Namespace) -> str:
    """The command that exports to where a search looked."""
    words = ["xmc", "export", options.index, "--to", options.to, "--out", options.out]
    words += [] if options.name == _NAME else ["--name", options.name]
    words += [] if options.model is None else ["--model", options.model]
    return shlex.join(words)
