"""``xmc search``: the labels of an index ranked for texts."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from xmc.cli.query_options import (
    add_device_option,
    add_query_options,
    check_no_query_options,
    check_query_options,
    queries_of,
)
from xmc.cli.verb_options import VerbOptions
from xmc.errors import ConfigError
from xmc.retrieval.files_ahead import checksums_ahead

if TYPE_CHECKING:
    from xmc.encoders.cut_count import CutCount
    from xmc.prediction.predict import Prediction
    from xmc.prediction.query import Query
    from xmc.retrieval import Hit, LabelIndex
    from xmc.retrieval.several import RankedLabels

__all__ = ["ranking", "run", "warn_of_no_labels"]

_SHOWN_CHARACTERS = 90


def run(arguments: Sequence[str]) -> None:
    """Print the ``-k`` best labels of each text."""
    with checksums_ahead(arguments, with_models="--model" not in arguments):
        _run(arguments)


def _run(arguments: Sequence[str]) -> None:
    parser = VerbOptions(
        "search",
        "Rank the labels of an index for one text or several, or for those of a file.\n"
        "`xmc predict` writes files of labels, by a threshold where wanted.",
        'xmc search runs/demo-index "sort an array along an axis" -k 5',
    )
    parser.add_argument("index", help="An index folder.")
    parser.add_argument("text", nargs="*", help="The text to find labels for.")
    parser.add_argument("-k", type=int, default=10, help="Labels to show.")
    parser.add_argument("--json", action="store_true", help="A JSON object a text, for programs.")
    parser.add_argument(
        "--like",
        nargs="+",
        default=[],
        metavar="UID",
        help="Labels instead: each is asked with its own text, and left out of what is found.",
    )
    parser.add_argument(
        "--queries", type=str | None, default=None, help="A file of texts instead; - is standard input."
    )
    add_query_options(parser.add_argument)
    parser.add_argument(
        "--model", default=None, help="The model; by default the one the index was built with."
    )
    add_device_option(parser.add_argument)
    parser.add_argument(
        "--with",
        dest="others",
        nargs="+",
        default=[],
        metavar="INDEX",
        help="Indexes more, of the same model, such as parts: they are searched together, as one.",
    )
    options = parser.parse(arguments)
    _check(options)

    from xmc.retrieval.label_index import LabelIndex

    index = LabelIndex.load(options.index, options.model, with_queries=True)
    opened = [index, *(LabelIndex.load(place) for place in options.others)]
    for part in opened:
        if not part.manifest.exact_scores and not options.json:
            print(f"scores are approximate (~): the index {part.manifest.factory} compresses its vectors")
    if options.device is not None:
        for part in opened:
            part.to(options.device)
    labels: RankedLabels = index
    if len(opened) > 1:
        from xmc.retrieval.several import IndexGroup

        labels = IndexGroup(opened)
    warn_of_no_labels(labels, " ".join([options.index, *options.others]))
    _search(labels, index, options)


def _check(options: Namespace) -> None:
    """Refuse, before anything is loaded, what cannot be."""
    if options.k < 1:
        raise ConfigError(f"-k: expected 1 or more labels, got {options.k}")
    given = {"a text": options.text, "--like": options.like, "--queries": options.queries is not None}
    came = [what for what, value in given.items() if value]
    if len(came) != 1:
        raise ConfigError(
            "expected a text to search for, labels (--like) or a file of texts (--queries), got "
            + (" and ".join(came) or "none of them")
        )
    if not all(text.strip() for text in options.text):
        raise ConfigError("expected a text to search for, got an empty one, which fits every label alike")
    if options.queries is not None:
        check_query_options(options, options.queries, options.model or options.index)
    else:
        check_no_query_options(options)


def _predictions(
    labels: RankedLabels, index: LabelIndex, options: Namespace, cuts: CutCount
) -> Iterator[list[Prediction]]:
    from xmc.prediction.neighbours import predict_neighbours
    from xmc.prediction.predict import predict_blocks
    from xmc.prediction.query import Query

    if options.like:
        return predict_neighbours(labels, options.like, options.k, cuts=cuts)
    queries: Iterator[Query]
    if options.queries is not None:
        queries = queries_of(options, options.queries, index.query_encoder.metadata)
    else:
        queries = (Query(str(number), text) for number, text in enumerate(options.text, 1))
    return predict_blocks(labels, queries, options.k, cuts=cuts)


def _search(labels: RankedLabels, index: LabelIndex, options: Namespace) -> None:
    """Print each query's labels as they are found, and before them the query where it is not the only one."""
    from xmc.encoders.cut_count import CutCount

    cuts, shown = CutCount(), len(options.text or options.like) != 1
    for block in _predictions(labels, index, options, cuts):
        for prediction in block:
            if options.json:
                from xmc.prediction.writers import as_record

                print(json.dumps(as_record(prediction, labels), ensure_ascii=False))
                continue
            if shown:
                print(_heading(prediction.query, with_uid=bool(options.like)))
            if prediction.count:
                print(ranking(labels.hits_of(prediction.ids, prediction.scores)))
    cuts.warn("queries")


def _heading(query: Query, *, with_uid: bool) -> str:
    """A text as it was given; of a label that asks its uid too, on one line."""
    return f"{query.uid}  {' '.join(query.text.split())}" if with_uid else query.text


def warn_of_no_labels(index: RankedLabels, place: str) -> None:
    """Say on stderr that there is nothing to be found, where there is not."""
    if not len(index):
        print(f"there are no labels in {place}: `xmc index add` adds some", file=sys.stderr)


def ranking(hits: Sequence[Hit]) -> str:
    """One line per hit: rank, score (~ before an approximate one), uid, and the text where it says more."""
    return "\n".join(_line(rank, hit) for rank, hit in enumerate(hits, start=1))


def _line(rank: int, hit: Hit) -> str:
    text = " ".join(hit.text.split())
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    named = text.startswith(hit.uid)
    score = f"{'~' if hit.approximate else ''}{hit.score:.4f}"
    return f"{rank:4d} {score:>8}  " + (shown if named else f"{hit.uid}  {shown}")
