"""``xmc score``: the metrics of any system's predictions, by the same ruler as ``xmc evaluate``."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.metric_options import add_metric_options, check_metric_options, given_propensity, show
from xmc.cli.parser import make_parser, parse

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Print the metrics of a file of predictions; write them where asked to."""
    parser = make_parser(
        "score",
        "Measure a file of predictions on a data set's split and print the metrics in percent.\n\n"
        "formats:\n"
        "  npz    arrays ids and scores [N, K], as xmc evaluate --predictions writes\n"
        "  csr    scores [N, L] saved with scipy.sparse.save_npz, as PECOS predicts\n"
        "  trec   a TREC run: qid Q0 docid rank score tag, by uid\n"
        '  jsonl  {"uid": "q1", "labels": ["l7", "l2"], "scores": [3.5, 1.0]}, by uid\n\n'
        "Pairs in the data set's filter are removed before the cut. Ties: the lower label id first.",
        "xmc score peer.npz data/api-docs --json peer.json",
    )
    parser.add_argument("predictions", help="The file; text may be packed (.gz).")
    parser.add_argument("dataset", help="A prepared data set's folder.")
    parser.add_argument(
        "--format",
        default="auto",
        choices=("auto", "npz", "csr", "trec", "jsonl"),
        help="Told from the content by default.",
    )
    add_metric_options(parser)
    options = parse(parser, arguments)
    check_metric_options(options)

    from xmc.evaluation import score_predictions

    result = score_predictions(
        options.predictions,
        options.dataset,
        split=options.split,
        format=options.format,
        ks=options.ks,
        recall_ks=options.recall_ks,
        propensity=given_propensity(options),
    )
    show(result, options.json)
