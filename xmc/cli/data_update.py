"""``xmc data update``: the labels of a data set change as those of its index do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.cli.table_options import add_label_columns, columns_option, text_options
from xmc.counted import agreeing, counted
from xmc.errors import ConfigError, DataError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from xmc.data.changing import LabelChanges

__all__ = ["run"]

LabelText = tuple[str, str, str]


def run(arguments: Sequence[str]) -> None:
    """Add, update and remove labels of a data set, in its place or as another."""
    options = parse(_parser(), arguments)
    if not (options.add or options.renamed or options.remove or options.remove_from):
        raise ConfigError("expected what is to change: --add, --update, --remove or --remove_from")
    if options.overwrite and options.out is None:
        raise ConfigError("--overwrite: expected with --out; without it the data set itself is replaced")
    if options.out is not None:
        check_output_place("--out", options.out)

    from xmc.data import Dataset
    from xmc.data.changing import change_labels

    dataset = Dataset.load(options.dataset)
    changes = _changes(dict.fromkeys(dataset.uids("labels")), options)
    place = options.out or options.dataset
    if not (changes.added or changes.updated or changes.removed) and options.out is None:
        print(f"no label changes: {dataset.num_labels:,} in {place}")
        return
    changed = change_labels(dataset, changes, options.out, overwrite=options.overwrite)
    print(
        f"{counted(len(changes.added), 'label')} added, {len(changes.updated):,} updated, "
        f"{len(changes.removed):,} removed: {changed.dataset.num_labels:,} in {place}"
    )
    for split, count in changed.rows_left_out.items():
        if count:
            rows = counted(count, f"{split} row")
            print(f"{rows} that had no other label {agreeing(count, 'is', 'are')} gone: {place}")


def _parser() -> ArgumentParser:
    parser = make_parser(
        "data update",
        "Change the labels of a prepared data set as `xmc index add`, `update` and `remove` change those of\n"
        "an index, from the same files; rows lose the labels that are removed. SOURCE is a table (uid,\n"
        "title, content), a prepared data set or an index. The data set is replaced whole or not at all.",
        "xmc data update data/shop --add new-products.csv --remove boots-17 tent-4",
    )
    parser.add_argument("dataset", help="A prepared data set's folder.")
    for name, place, text in (
        ("--add", "add", "New labels; no row has them yet."),
        # A namespace has a method of the option's name.
        ("--update", "renamed", "Other texts for labels that are there, by uid."),
        ("--remove_from", "remove_from", "Whose labels are to be removed, by uid."),
    ):
        parser.add_argument(name, dest=place, type=str | None, default=None, metavar="SOURCE", help=text)
    parser.add_argument("--remove", nargs="+", default=[], metavar="UID", help="Labels to remove.")
    parser.add_argument(
        "--known",
        default="refuse",
        choices=("refuse", "skip", "update"),
        help="Labels of --add that are there: refuse them all, skip these, or give them the new text.",
    )
    parser.add_argument(
        "--unknown", default="refuse", choices=("refuse", "skip"), help="Labels to remove that are not there."
    )
    add_label_columns(parser)
    parser.add_argument(
        "--out", type=str | None, default=None, help="The changed data set, instead of in place."
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the data set at --out.")
    return parser


def _changes(there: dict[str, None], options: Namespace) -> LabelChanges:
    from xmc.data.changing import LabelChanges

    added, updated = list[LabelText](), dict[str, tuple[str, str]]()
    for uid, title, content in _labels(options.add, options):
        if uid not in there:
            added.append((uid, title, content))
        elif options.known == "update":
            updated[uid] = (title, content)
        elif options.known == "refuse":
            raise DataError(
                f"expected labels that the data set has not, but {uid!r:.80} is there: --known skip leaves "
                "such, --known update takes the new text"
            )
    updated.update((uid, (title, content)) for uid, title, content in _labels(options.renamed, options))
    removed = [*options.remove, *(uid for uid, _, _ in _labels(options.remove_from, options))]
    if options.unknown == "skip":
        removed = [uid for uid in removed if uid in there]
    return LabelChanges(added, updated, frozenset(removed))


def _labels(source: str | None, options: Namespace) -> list[LabelText]:
    """uid, title and content of a source's labels; a text of an index is a title."""
    if source is None:
        return []
    from xmc.data import Dataset
    from xmc.data.tables import Columns, TextOptions, is_table
    from xmc.data.tables.labels import dataset_labels, table_labels
    from xmc.retrieval.index_files import is_index

    columns, written = columns_option(options.columns), text_options(options)
    path = Path(source)
    if path.is_file() and is_table(path):
        return list(table_labels(path, columns or Columns(), written, progress=False))
    if columns is not None or written != TextOptions():
        raise ConfigError(f"expected --columns, --delimiter and the like with a file, got them for {path}")
    if is_index(path):
        from xmc.retrieval.label_index import LabelIndex

        index = LabelIndex.load(path, mapped=True)
        return [(index.uids[i], index.texts[i], "") for i in index.live_ids.tolist()]
    if path.is_dir():
        return list(dataset_labels(Dataset.load(path)))
    raise ConfigError(
        f"expected labels in a file (.csv, .tsv, .jsonl, .parquet), a prepared data set or an index, got "
        f"{path}"
    )
