"""The part of a model's card that says how the model was evaluated: front matter of the hub, and tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import yaml

from xmc.encoders.card import CARD_FILE
from xmc.errors import ModelError
from xmc.evaluation.result import Evaluation

if TYPE_CHECKING:  # half a second to import, and what only reads evaluations needs none of it
    from huggingface_hub import EvalResult

__all__ = ["add_evaluation", "evaluation_results", "evaluation_section", "metric_types"]

_BEGIN, _END = "<!-- evaluation -->", "<!-- end of evaluation -->"
_KINDS = ("P", "nDCG", "PSP", "R")  # those a card shows
_METRIC_TYPES = {"P": "precision", "R": "recall", "PSP": "propensity_scored_precision"}


def add_evaluation(card: str, evaluation: Evaluation) -> str:
    """The card with an evaluation's metrics in its front matter and, between its two marks, in its text.

    An earlier evaluation on the same split of a data set of the same name is replaced. A text without the
    marks (one that was rewritten by hand) is left as it is.

    Raises:
        ModelError: When the front matter cannot be read.
    """
    from huggingface_hub import ModelCard, ModelCardData

    try:
        parsed = ModelCard(card)
        data = ModelCardData(**parsed.data.to_dict())
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ModelError(f"expected a model card with YAML front matter in {CARD_FILE}: {error}") from error
    added = evaluation_results(
        evaluation.dataset, evaluation.dataset_fingerprint, evaluation.split, evaluation.metrics
    )
    place = (_slug(evaluation.dataset), evaluation.split)
    kept = [r for r in data.eval_results or [] if (r.dataset_type, r.dataset_split) != place]
    results = [*kept, *added]
    data.model_name = data.model_name or f"{evaluation.dataset} dual encoder"
    data.eval_results = results
    data.metrics = metric_types(results)
    marked = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    body = marked.sub(lambda _: evaluation_section(results), parsed.text.lstrip("\n"))
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def evaluation_results(
    name: str, revision: str, split: str, metrics: Mapping[str, float]
) -> list[EvalResult]:
    """The entries of the front matter for metrics (percent, by name) on a split of the data set ``name``.

    ``revision`` is the data set's fingerprint. Kinds of metric that a card does not show are left out.
    """
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-classification",
            task_name="Extreme multi-label classification",
            dataset_type=_slug(name),
            dataset_name=name,
            dataset_split=split,
            dataset_revision=revision,
            metric_type=_metric_type(metric),
            metric_name=f"{metric} (percent)",
            metric_value=round(value, 2),
        )
        for metric, value in metrics.items()
        if metric.partition("@")[0] in _KINDS
    ]


def metric_types(results: Sequence[EvalResult]) -> list[str]:
    """The kinds of metric among the entries, each once and in their order."""
    return list(dict.fromkeys(result.metric_type for result in results))


def _metric_type(metric: str) -> str:
    """``precision_at_1`` for "P@1"."""
    kind, _, k = metric.partition("@")
    return f"{_METRIC_TYPES.get(kind, kind.lower())}_at_{k}"


def evaluation_section(results: Sequence[EvalResult]) -> str:
    """One table per data set and split, between the marks that `add_evaluation` looks for."""
    parts = [_BEGIN]
    places = dict.fromkeys((result.dataset_name, result.dataset_split) for result in results)
    for name, split in places:
        chosen = [r for r in results if (r.dataset_name, r.dataset_split) == (name, split)]
        titles = [str(result.metric_name).removesuffix(" (percent)") for result in chosen]
        note = ", training rows held out; they chose the model" if split == "validation" else ""
        parts += [
            f"{name}, {split}{note}; percent:",
            "\n".join(
                [
                    f"| {' | '.join(titles)} |",
                    f"|{'---:|' * len(titles)}",
                    f"| {' | '.join(f'{result.metric_value:.2f}' for result in chosen)} |",
                ]
            ),
        ]
    if not places:
        parts.append("Not evaluated yet: `xmc evaluate RUN DATASET` adds its metrics here.")
    return "\n\n".join([*parts, _END])


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.").lower() or "dataset"
