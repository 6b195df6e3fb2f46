"""The methods that `benchmarks/methods.py` ranks: what each changes of a recipe."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from xmc.objectives.catalogue import facts_of

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """A recipe with other options.

    Attributes:
        title: In the table.
        words: As `xmc train` takes them, after the recipe's; `{teachers}` is a file of `xmc distill`.
        period: Steps after which what a method does between steps comes again, such as a mining; its cost is
            measured over that many. None where every step costs alike.
        recipe: One of the data set's other recipes, by the name of its file.
    """

    title: str
    words: str = ""
    period: int | None = None
    recipe: str | None = None

    @property
    def taught(self) -> bool:
        """Whether it learns from teachers."""
        return "{teachers}" in self.words

    def of_teachers(self, path: Path | None) -> Method:
        """The same with the teachers of a file."""
        return replace(self, words=self.words.replace("{teachers}", shlex.quote(str(path))))


def _objective(name: str, more: str = "") -> str:
    # The recipe may have a virtual negative, which these losses have no place for.
    plain = "" if facts_of(name).takes_virtual_negative else "--objective.virtual_negative null "
    return f"--objective.name {name} {plain}{more}"


def _spherical(name: str, more: str = "") -> str:
    return _objective(name, f"--objective.label_offsets false {more}")


def _margin(kind: str, **options: float | bool) -> str:
    words = (f"--objective.margin.{name} {str(value).lower()}" for name, value in options.items())
    return " ".join((f"--objective.margin.kind {kind}", *words))


_FROZEN = "--encoder.tied false --encoder.frozen_labels true"
_TRANSFORMER = (
    f"{_FROZEN} --residuals.enabled false --encoder.kind transformer "
    "--encoder.vocabulary null --encoder.dropout 0 --encoder.query_length 16 --encoder.label_length 12 "
    "--training.batch_size 32 --training.learning_rate null"
)


METHODS = {
    # Objectives.
    "recipe": Method("decoupled softmax, the recipe"),
    "softmax": Method("softmax (NormFace)", _objective("softmax")),
    "contrastive-outside": Method(
        "supervised contrastive, mean outside",
        _objective("supervised_contrastive", "--objective.options '{mean: out}'"),
    ),
    "contrastive-inside": Method(
        "supervised contrastive, mean inside",
        _objective("supervised_contrastive", "--objective.options '{mean: in}'"),
    ),
    "soft-top-5": Method("soft top-5", _objective("soft_top_k", "--objective.options '{k: 5, alpha: 1.0}'")),
    "binary": Method(
        "binary cross-entropy, scale 12", _objective("binary_cross_entropy", "--objective.scale 12")
    ),
    "z-loss": Method(
        "spherical Z-loss, a 1, b 10",
        _spherical("spherical_z_loss", "--objective.options '{a: 1.0, b: 10.0}'"),
    ),
    "taylor": Method("Taylor softmax", _spherical("taylor_softmax")),
    "spherical": Method("spherical softmax", _spherical("spherical_softmax")),
    "squared": Method("squared error, scale 1", _spherical("mean_squared_error", "--objective.scale 1")),
    "factored": Method("factored head, Z-loss", recipe="factored"),
    "discriminative": Method("discriminative alone", _objective("discriminative")),
    "and-discriminative": Method(
        "and discriminative, weight 1", "--objective.terms '[{name: discriminative, weight: 1.0}]'"
    ),
    "and-soft-top-5": Method(
        "and soft top-5, weight 0.1",
        "--objective.terms '[{name: soft_top_k, weight: 0.1, options: {k: 5, alpha: 1.0}}]'",
    ),
    # A virtual negative.
    "no-virtual": Method("no virtual negative", "--objective.virtual_negative null"),
    "virtual-0.5": Method("virtual negative at 0.5", "--objective.virtual_negative 0.5"),
    "virtual-0.6": Method("virtual negative at 0.6", "--objective.virtual_negative 0.6"),
    "virtual-0.7": Method("virtual negative at 0.7", "--objective.virtual_negative 0.7"),
    # Margins.
    "cosface-0.05": Method("CosFace 0.05", _margin("cosface", size=0.05)),
    "cosface-0.1": Method("CosFace 0.1", _margin("cosface", size=0.1)),
    "arcface-0.1": Method("ArcFace 0.1", _margin("arcface", size=0.1)),
    "elastic-cosface": Method(
        "ElasticFace, CosFace 0.05 ± 0.02", _margin("cosface", size=0.05, deviation=0.02)
    ),
    "elastic-cosface-plus": Method(
        "ElasticFace+, CosFace 0.05 ± 0.02", _margin("cosface", size=0.05, deviation=0.02, ranked=True)
    ),
    "elastic-arcface": Method(
        "ElasticFace, ArcFace 0.1 ± 0.03", _margin("arcface", size=0.1, deviation=0.03)
    ),
    "elastic-arcface-plus": Method(
        "ElasticFace+, ArcFace 0.1 ± 0.03", _margin("arcface", size=0.1, deviation=0.03, ranked=True)
    ),
    "l-softmax": Method("L-Softmax 2, plain 100", _margin("l_softmax", multiple=2, plain_start=100.0)),
    "softmax-arcface": Method("softmax, ArcFace 0.1", _objective("softmax", _margin("arcface", size=0.1))),
    # What is scored.
    "uniform-128": Method("128 uniform labels", "--negatives.uniform 128"),
    "uniform-4096": Method("4,096 uniform labels", "--negatives.uniform 4096"),
    "all": Method("all labels", "--negatives.mode all"),
    "uncorrected": Method("no correction of chances", "--negatives.corrected false"),
    "tempered": Method("and 512 labels by the root of their frequency", "--negatives.tempered.count 512"),
    "memory": Method(
        "and 2,048 labels of a label memory",
        "--negatives.memory.enabled true --negatives.memory.refresh 512 --negatives.memory.sample 2048",
    ),
    "mined": Method(
        "and 4 mined labels a query",
        "--negatives.mined.count 4 --negatives.mined.every 65 --negatives.mined.start 65 "
        "--negatives.mined.wait true",
        period=65,
    ),
    "clusters": Method(
        "clusters of 16 queries",
        "--negatives.clusters.largest 16 --negatives.clusters.first 4",
        period=65,
    ),
    "two-positives": Method("2 positives of a query", "--negatives.positives 2"),
    "filter-negative": Method("filter pairs as negatives", "--negatives.filter_pairs negative"),
    # Labels as queries, residuals.
    "label-queries": Method("labels as queries", "--data.label_queries 0.2"),
    "soft-label-queries": Method(
        "labels as queries, soft targets", "--data.label_queries 0.2 --data.co_labels 0.3"
    ),
    "first-label-queries": Method(
        "labels as queries, the first third", "--data.label_queries 4 --data.label_query_until 0.33"
    ),
    "half-label-queries": Method(
        "eight times as many labels as queries, the first half",
        "--data.label_queries 8 --data.label_query_until 0.5",
    ),
    "half-soft-label-queries": Method(
        "eight times as many labels as queries, the first half, soft targets, prior 5",
        "--data.label_queries 8 --data.label_query_until 0.5 --data.co_labels 0.3 --data.co_label_prior 5",
    ),
    "first-soft-label-queries": Method(
        "labels as queries, the first third, soft targets",
        "--data.label_queries 2 --data.co_labels 0.3 --data.label_query_until 0.33",
    ),
    "residuals": Method("residuals", "--residuals.enabled true --residuals.min_points 6"),
    "no-residuals": Method("no residuals", "--residuals.enabled false"),
    "no-offsets": Method("no label offsets", "--objective.label_offsets false"),
    # Towers and texts.
    "prefixes": Method("and the first 128 and 64 components", "--encoder.dimensions '[384, 128, 64]'"),
    "projection": Method("projection to 128 components", "--encoder.projection 128"),
    "several-texts": Method("a label's title and content apart, the best", "--data.label_texts fields"),
    "several-texts-top-2": Method(
        "a label's title and content apart, the mean", "--data.label_texts fields --data.label_fold top2"
    ),
    "frozen-labels": Method("frozen label side", f"{_FROZEN} --residuals.enabled false"),
    "frozen-labels-residuals": Method("frozen label side, residuals", f"{_FROZEN} --residuals.enabled true"),
    "prompts": Method("prompts", "--encoder.query_prompt 'query: ' --encoder.label_prompt 'label: '"),
    "transformer": Method("transformer, frozen label side", _TRANSFORMER),
    "adapters": Method("transformer, frozen label side, adapters", f"{_TRANSFORMER} --encoder.lora.rank 8"),
    # Other systems.
    "distilled": Method(
        "and teachers, weight 0.3",
        "--distillation.teachers {teachers} --distillation.weight 0.3 --distillation.hard_weight 1 "
        "--distillation.discriminator none",
    ),
    "distilled-alone": Method(
        "teachers alone", "--distillation.teachers {teachers} --distillation.discriminator none"
    ),
}
"""By the names that ``--methods`` takes, in the order in which they are measured."""
