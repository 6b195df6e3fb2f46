"""``xmc index``: a model and a data set's labels in, a FAISS label index out."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.files import check_replaceable

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Encode the labels of ``--labels`` and save their index in ``--out``; ``add`` adds labels to one."""
    if arguments and arguments[0] == "add":
        from xmc.cli import index_add

        index_add.run(arguments[1:])
        return
    parser = make_parser(
        "index",
        "Encode a data set's labels and build a FAISS index of them. xmc index add INDEX adds labels to one.",
        "xmc index runs/demo --labels data/api-docs --out runs/demo-index",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument("--labels", required=True, help="A prepared data set's folder.")
    parser.add_argument("--out", required=True, help="The index folder to make.")
    parser.add_argument("--factory", default="Flat", help="FAISS's factory string: Flat is exact.")
    parser.add_argument("--overwrite", action="store_true", help="Replace the index when it is there.")
    options = parse(parser, arguments)

    check_output_place("--out", options.out)

    from xmc.retrieval.label_index import INDEX_MARKS, LabelIndex

    check_replaceable(options.out, *INDEX_MARKS, overwrite=options.overwrite)
    # The model goes in by its place, not loaded, so that the index remembers it and `xmc search` finds it.
    index = LabelIndex.build(options.model, options.labels, factory=options.factory)
    index.save(options.out, overwrite=options.overwrite)
    print(f"{len(index):,} labels in {options.out}")
