"""``xmc index add``: new labels into an index, by their texts and by queries they are known to fit."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Add the labels of ``--labels`` to an index and save it in its place."""
    parser = make_parser(
        "index add",
        "Add labels to an index. Nothing is trained, and the scores of the labels that are there stay as\n"
        "they are. With --support a label's vector is its text's blended with the mean of n queries that\n"
        "are known to have it: k0/(k0+n) of the text, n/(k0+n) of the queries.",
        "xmc index add runs/shop-index --labels new-products.csv --support first-clicks.csv",
        usage="xmc index add INDEX --labels FILE [--support FILE] [options]",
    )
    parser.add_argument("index", help="The index's folder.")
    parser.add_argument(
        "--labels", required=True, help="A table of labels (uid, title, content), or a prepared data set."
    )
    parser.add_argument(
        "--support",
        default=None,
        help="Queries that have them: a table of clicks (query, label), or a prepared data set's training\n"
        "rows. Labels that are not added count too: a query of many labels says less of each.",
    )
    parser.add_argument(
        "--k0", type=float | None, default=None, help="How many queries a text counts as (default: 2)."
    )
    parser.add_argument(
        "--skip_known", action="store_true", help="Leave labels out that the index has, instead of refusing."
    )
    parser.add_argument("--model", default=None, help="The index's model, where it has moved.")
    options = parse(parser, arguments)
    if options.k0 is not None and (options.support is None or not options.k0 >= 0):
        raise ConfigError(f"--k0: expected 0 or more, beside --support, got {options.k0}")

    from xmc.retrieval.label_index import LabelIndex
    from xmc.retrieval.new_labels import add_labels, read_labels, read_support
    from xmc.retrieval.prototypes import DEFAULT_K0

    index = LabelIndex.load(options.index, options.model)
    metadata = index.encoder.metadata
    labels = read_labels(options.labels, metadata.label_fields)
    if options.skip_known:
        labels = [label for label in labels if label.uid not in index]
    support = read_support(options.support, labels, metadata.query_fields) if options.support else None
    added = add_labels(
        index,
        [label.text for label in labels],
        [label.uid for label in labels],
        support,
        k0=DEFAULT_K0 if options.k0 is None else options.k0,
    )
    index.save(options.index, overwrite=True)
    print(f"{len(added):,} labels added, {len(index):,} in {options.index}")
