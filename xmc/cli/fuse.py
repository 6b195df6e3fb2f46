"""``xmc fuse``: one ranking out of several systems', with weights from held-out rows."""

from __future__ import annotations

from collections.abc import Sequence

from xmc.cli.outputs import check_output_file
from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Print the weights, why, and the metrics of each system and of the fusion; write the fused ranking."""
    parser = make_parser(
        "fuse",
        "Fuse the rankings of the test queries by several systems. A system is a run, a model, a file of\n"
        "predictions as xmc score reads it, lexical or bm25 (words of labels' texts). Weights are chosen\n"
        "on the training rows that a run among them held out, never on the test split; 0 is a weight too. A\n"
        "file needs a second one with its system's predictions for those rows (--validation).",
        "xmc fuse runs/demo lexical --dataset data/api-docs --out fused.npz",
    )
    parser.add_argument(
        "system", nargs="+", help="Run folders, models, files of predictions, `lexical`, `bm25`."
    )
    parser.add_argument(
        "--dataset", default=None, help="A prepared data set; the one the runs were trained on by default."
    )
    parser.add_argument("--out", default=None, help="The .npz file of the fused ranking.")
    parser.add_argument(
        "--method",
        default="weighted",
        choices=("weighted", "rrf"),
        help="Weighted sums of scores, or reciprocal ranks, which need no weights.",
    )
    parser.add_argument(
        "--normalisation",
        default=None,
        choices=("min_max", "share", "none"),
        help="min_max moves the scores of each list to 0 to 1, share divides them by their sum, none is for "
        "scores on one scale; the better of the first two by default.",
    )
    parser.add_argument(
        "--weights", type=list[float] | None, default=None, help="One for each system, as [0.8,0.2]."
    )
    parser.add_argument("--metric", default="nDCG@5", help="What weights are chosen by.")
    parser.add_argument(
        "--keep", type=list[str], default=["P@1"], help="Metrics that the choice must not lower ([P@1])."
    )
    parser.add_argument(
        "--validation",
        type=list[str],
        default=[],
        help="For each file of predictions, in order, one for the training split with the held-out rows.",
    )
    options = parse(parser, arguments)
    if options.out is not None and not options.out.endswith(".npz"):
        raise ConfigError(
            f"--out: expected a file that ends in .npz, which is what is written, got {options.out}"
        )
    check_output_file("--out", options.out)

    from xmc.evaluation import save_predictions
    from xmc.prediction.fusing import fuse
    from xmc.reports import dataset_of

    result = fuse(
        options.system,
        options.dataset or dataset_of(options.system),
        method=options.method,
        normalisation=options.normalisation,
        weights=options.weights,
        metric=options.metric,
        keep=options.keep,
        validation=options.validation,
    )
    if options.out:
        save_predictions(options.out, result.ids, result.scores)
    print(f"{result.reason()}\n\n{result.table()}")
    if options.out:
        print(f"\nfused ranking: {options.out}")
