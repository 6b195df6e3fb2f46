"""``xmc index add``, ``update`` and ``remove``: changes of an index while others search it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xmc.cli.parser import make_parser, parse
from xmc.cli.table_options import add_label_columns, columns_option, text_options
from xmc.counted import agreeing, counted
from xmc.errors import ConfigError, DataError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from xmc.retrieval.given_labels import GivenLabels
    from xmc.retrieval.label_index import LabelIndex

__all__ = ["add_label_options", "given_labels", "run_add", "run_remove", "run_update"]


def run_add(arguments: Sequence[str]) -> None:
    """Add the labels of ``--labels``."""
    parser = make_parser(
        "index add",
        "Encode labels and add them to an index; nothing is trained, and no score of the others changes.\n"
        "Others may search the index meanwhile: they see the old one or the new one.",
        "xmc index add runs/demo-index --labels new-products.csv",
    )
    _common(parser)
    parser.add_argument(
        "--known",
        default="refuse",
        choices=("refuse", "skip", "update"),
        help="Labels whose uid the index has: refuse them all, skip these, or give them the new text.",
    )
    parser.add_argument(
        "--support",
        type=str | None,
        default=None,
        metavar="FILE",
        help="Queries that have the labels: a table of clicks (query, uid of the label), or the training\n"
        "rows of a prepared data set. A label's vector is then its text's blended with the mean of its n\n"
        "queries, k0/(k0+n) of the text and n/(k0+n) of the queries. Labels that are not added count,\n"
        "too: a query of many labels says less of each.",
    )
    parser.add_argument(
        "--k0", type=float | None, default=None, help="How many queries a text counts as (default: 2)."
    )
    options = parse(parser, arguments)
    if options.support is not None and options.known == "update":
        raise ConfigError("--support: expected with new labels, got --known update too: add these alone")
    if options.k0 is not None and not options.k0 >= 0:
        raise ConfigError(f"--k0: expected 0 or more, got {options.k0}")
    if options.k0 is not None and options.support is None:
        raise ConfigError("--k0: expected with --support, whose queries it is weighed against: give it too")

    from xmc.retrieval.label_index import LabelIndex

    with LabelIndex.edit(options.index, options.model) as index:
        given = given_labels(options, index)
        known = [i for i, uid in enumerate(given.uids) if uid in index]
        if known and options.known == "refuse":
            raise DataError(
                f"expected labels that the index has not, but {len(known):,} of {len(given.uids):,} "
                f"{agreeing(len(known), 'is', 'are')} there ({given.uids[known[0]]!r:.80}): --known skip "
                "leaves them, --known update takes the new text"
            )
        if known and options.known == "update":
            _update(index, given, known)
        old = set(known)
        new = [i for i in range(len(given.uids)) if i not in old]
        if new:
            _add(index, [given.texts[i] for i in new], [given.uids[i] for i in new], options)
        updated = len(known) if options.known == "update" else 0
    print(f"{counted(len(new), 'label')} added, {updated:,} updated: {len(index):,} in {options.index}")


def run_update(arguments: Sequence[str]) -> None:
    """Give labels the texts of ``--labels``."""
    parser = make_parser(
        "index update",
        "Give labels of an index other texts, by uid; their ids stay.",
        "xmc index update runs/demo-index --labels renamed.csv",
    )
    _common(parser)
    options = parse(parser, arguments)

    from xmc.retrieval.label_index import LabelIndex

    with LabelIndex.edit(options.index, options.model) as index:
        given = given_labels(options, index)
        unknown = [uid for uid in given.uids if uid not in index]
        if unknown:
            raise DataError(
                f"expected uids of labels in the index, but {_these(unknown)} of {len(given.uids):,} "
                f"{agreeing(len(unknown), 'is', 'are')} not there: `xmc index add {options.index} --labels "
                f"{options.labels} --known update` adds such, and gives the others the new text"
            )
        changed = [i for i, uid in enumerate(given.uids) if index.texts[index.id_of(uid)] != given.texts[i]]
        if changed:
            _update(index, given, changed)
    print(
        f"{len(changed):,} of {counted(len(given.uids), 'text')} differed: {counted(len(index), 'label')} in "
        f"{options.index}"
    )


def run_remove(arguments: Sequence[str]) -> None:
    """Remove labels by uid or id."""
    parser = make_parser(
        "index remove",
        "Remove labels from an index: no search finds them from then on. The ids of the others stay.",
        "xmc index remove runs/demo-index discontinued-1 discontinued-2",
    )
    parser.add_argument("index", help="An index folder.")
    parser.add_argument("uid", nargs="*", help="Uids of labels.")
    parser.add_argument(
        "--ids", nargs="+", type=int, default=[], help="Ids of labels, as searches give them."
    )
    add_label_options(parser, required=False, help="A table or data set whose labels are to be removed.")
    parser.add_argument(
        "--unknown", default="refuse", choices=("refuse", "skip"), help="Uids that the index has not."
    )
    options = parse(parser, arguments)
    if sum(map(bool, (options.uid, options.ids, options.labels))) != 1:
        raise ConfigError("expected uids, --ids or --labels, and one of them alone")

    from xmc.retrieval.label_index import LabelIndex

    with LabelIndex.edit(options.index) as index:
        uids = _uids(options, index)
        unknown = [uid for uid in uids if uid not in index]
        if unknown and options.unknown == "refuse":
            raise DataError(
                f"expected uids of labels in the index, but {_these(unknown)} of {len(uids):,} "
                f"{agreeing(len(unknown), 'is', 'are')} not there: --unknown skip leaves them out"
            )
        uids = [uid for uid in uids if uid in index]
        before = len(index)
        if uids:
            index.remove(uids)
    print(f"{counted(before - len(index), 'label')} removed: {len(index):,} in {options.index}")


def add_label_options(parser: ArgumentParser, *, required: bool, help: str) -> None:
    """--labels, and how a table is read."""
    parser.add_argument("--labels", type=str | None, required=required, default=None, help=help)
    add_label_columns(parser)


def given_labels(options: Namespace, index: LabelIndex, *, need_texts: bool = True) -> GivenLabels:
    """The labels of --labels, with the texts that the index's model reads."""
    from xmc.data.tables import TextOptions
    from xmc.data.tables.columns import LABEL_NAMES
    from xmc.retrieval.given_labels import read_labels

    written = text_options(options)
    fields = index.manifest.label_fields
    if fields is None and index.manifest.model is not None and index.manifest.format_version < 3:
        own = index.encoder.metadata.label_fields  # version 2 did not say
        fields = None if own is None else list(own)
    columns = columns_option(options.columns)
    if columns is not None and not columns.told(LABEL_NAMES):
        columns = None  # of clicks alone, which --support names
    return read_labels(
        options.labels,
        fields,
        columns=columns,
        written=None if written == TextOptions() else written,
        split=index.manifest.label_texts,
        need_texts=need_texts,
    )


def _common(parser: ArgumentParser) -> None:
    parser.add_argument("index", help="An index folder.")
    add_label_options(
        parser, required=True, help="A table of labels (uid, title, content), or a prepared data set."
    )
    parser.add_argument(
        "--model",
        type=str | None,
        default=None,
        help="The model; by default the one the index was built with.",
    )


def _add(index: LabelIndex, texts: Sequence[str], uids: Sequence[str], options: Namespace) -> None:
    if options.support is None:
        index.add(texts, uids)
        return
    from xmc.retrieval.new_labels import add_labels, read_support
    from xmc.retrieval.prototypes import DEFAULT_K0

    support = read_support(
        *(options.support, uids, index.encoder.metadata.query_fields),
        columns=columns_option(options.columns),
    )
    add_labels(index, texts, uids, support, k0=DEFAULT_K0 if options.k0 is None else options.k0)


def _update(index: LabelIndex, given: GivenLabels, rows: Sequence[int]) -> None:
    index.update([given.texts[i] for i in rows], [given.uids[i] for i in rows])


def _these(given: Sequence[str | int]) -> str:
    """How many, and the first three: ``4 ('a', 'b', 'c' and others)``."""
    more = " and others" if len(given) > 3 else ""
    return f"{len(given):,} ({', '.join(f'{one!r:.80}' for one in given[:3])}{more})"


def _uids(options: Namespace, index: LabelIndex) -> list[str]:
    if options.labels is not None:
        return list(given_labels(options, index, need_texts=False).uids)
    if not options.ids:
        return list(options.uid)
    live = set(index.live_ids.tolist())
    unknown = [label for label in options.ids if label not in live]
    if unknown and options.unknown == "refuse":
        raise DataError(
            f"expected ids of labels in the index, but {_these(unknown)} of {len(options.ids):,} "
            f"{agreeing(len(unknown), 'is', 'are')} not there: --unknown skip leaves them out"
        )
    return [index.uids[label] for label in options.ids if label in live]
