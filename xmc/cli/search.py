"""``xmc search``: the labels of an index ranked for a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

if TYPE_CHECKING:
    from xmc.retrieval import Hit

__all__ = ["ranking", "run"]

_SHOWN_CHARACTERS = 90


def run(arguments: Sequence[str]) -> None:
    """Print the ``-k`` best labels of each text."""
    parser = make_parser(
        "search",
        "Rank the labels of an index for one text or several.",
        'xmc search runs/demo-index "sort an array along an axis" -k 5',
    )
    parser.add_argument("index", help="An index folder.")
    parser.add_argument("text", nargs="+", help="The text to find labels for.")
    parser.add_argument("-k", type=int, default=10, help="Labels to show.")
    parser.add_argument(
        "--model", default=None, help="The model; by default the one the index was built with."
    )
    options = parse(parser, arguments)
    if options.k < 1:
        raise ConfigError(f"-k: expected 1 or more labels, got {options.k}")
    if not all(text.strip() for text in options.text):
        raise ConfigError("expected a text to search for, got an empty one, which fits every label alike")

    from xmc import DualEncoder, LabelIndex

    encoder = DualEncoder.load(options.model) if options.model else None
    index = LabelIndex.load(options.index, encoder)
    if not index.manifest.exact_scores:
        print(f"scores are approximate (~): the index {index.manifest.factory} compresses its vectors")
    for text, hits in zip(options.text, index.hits(options.text, options.k), strict=True):
        if len(options.text) > 1:
            print(text)
        print(ranking(hits))


def ranking(hits: Sequence[Hit]) -> str:
    """One line per hit: rank, score (~ before an approximate one), uid, and the text where it says more."""
    return "\n".join(_line(rank, hit) for rank, hit in enumerate(hits, start=1))


def _line(rank: int, hit: Hit) -> str:
    text = " ".join(hit.text.split())
    shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    named = text.startswith(hit.uid)
    score = f"{'~' if hit.approximate else ''}{hit.score:.4f}"
    return f"{rank:4d} {score:>8}  " + (shown if named else f"{hit.uid}  {shown}")
