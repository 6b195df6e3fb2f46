"""``xmc evaluate``: exact ranking of all labels for a split, and the metrics of it."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.files import atomic_file

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Print the metrics of a model on a data set; write them and the predictions where asked to."""
    parser = make_parser(
        "evaluate",
        "Rank all labels for every query of a split, exactly, and print the metrics in percent.",
        "xmc evaluate runs/demo data/api-docs --json runs/demo/test.json",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument("dataset", help="A prepared data set's folder.")
    parser.add_argument("--split", default="test", choices=("test", "train"), help="Whose queries to rank.")
    parser.add_argument("--json", default=None, help="Also write the metrics to this JSON file.")
    parser.add_argument(
        "--predictions", default=None, help="Also write ids and scores [N, K] to this .npz file."
    )
    options = parse(parser, arguments)
    check_output_file("--json", options.json)
    check_output_file("--predictions", options.predictions)

    from xmc import evaluate

    result = evaluate(options.model, options.dataset, split=options.split, predictions=options.predictions)
    print(result.table())
    if options.json:
        with atomic_file(options.json) as partial:
            partial.write_text(result.to_json() + "\n", encoding="utf-8")
