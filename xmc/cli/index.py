"""``xmc index``: a model and a data set's labels in, a FAISS label index out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Encode the labels of ``--labels`` and save their index in ``--out``."""
    parser = make_parser(
        "index",
        "Encode a data set's labels and build a FAISS index of them.",
        "xmc index runs/demo --labels data/api-docs --out runs/demo-index",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument("--labels", required=True, help="A prepared data set's folder.")
    parser.add_argument("--out", required=True, help="The index folder to make.")
    parser.add_argument(
        "--factory", default="Flat", help="FAISS's factory string: Flat is exact (default: Flat)."
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the index when it is there.")
    options = parse(parser, arguments)

    from xmc import LabelIndex

    if not options.overwrite and Path(options.out).exists():
        raise ConfigError(f"--out: {options.out} is there already: choose another folder or add --overwrite")
    # The model goes in by its place, not loaded, so that the index remembers it and `xmc search` finds it.
    index = LabelIndex.build(options.model, options.labels, factory=options.factory)
    index.save(options.out, overwrite=options.overwrite)
    print(f"{len(index):,} labels in {options.out}")
