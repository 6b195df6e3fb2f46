"""``xmc evaluate``: exact ranking of all labels for a split, and the metrics of it."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.metric_options import add_metric_options, check_metric_options, given_propensity, show
from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.cli.ranks import join_ranks
from xmc.distributed import start_missing_processes

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Print the metrics of a model on a data set; write them and the predictions where asked to."""
    parser = make_parser(
        "evaluate",
        "Rank all labels for every query of a split, exactly, and print the metrics in percent.\n"
        "Started by torchrun or accelerate launch, the ranks share labels and queries. A run's result is\n"
        "kept in its folder (evaluations/) and added to its model's card.",
        "xmc evaluate runs/demo data/api-docs --json runs/demo/test.json",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument("dataset", help="A prepared data set's folder.")
    add_metric_options(parser)
    parser.add_argument(
        "--predictions", default=None, help="Also write ids and scores [N, K] to this .npz file."
    )
    options = parse(parser, arguments)
    check_metric_options(options)
    check_output_file("--predictions", options.predictions)
    start_missing_processes()

    from xmc import DualEncoder, evaluate
    from xmc.reports import keep_evaluation, place_to_keep

    given = given_propensity(options)
    # A ranking by other constants or a shorter one is not what reports and the model's card are made of.
    usual = given is None and max(*options.ks, *options.recall_ks) >= 100
    kept = place_to_keep(options.model, options.dataset, options.split) if usual else None
    with join_ranks() as place:
        result = evaluate(
            DualEncoder.load(options.model, device=place.device),
            options.dataset,
            split=options.split,
            ks=options.ks,
            recall_ks=options.recall_ks,
            propensity=given,
            predictions=options.predictions or kept,
        )
        if place.is_main:
            show(result, options.json)
            if kept is not None:
                keep_evaluation(options.model, result, options.predictions or kept)
