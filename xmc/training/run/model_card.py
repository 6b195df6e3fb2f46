"""The card of a saved model: README.md in the format of the Hugging Face hub."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from xmc.errors import ModelError
from xmc.files import atomic_file
from xmc.training.config import TrainConfig

if TYPE_CHECKING:
    from xmc.data import Dataset
    from xmc.encoders import DualEncoder
    from xmc.evaluation import Evaluation

__all__ = ["CARD_FILE", "add_evaluation", "model_card", "started_as", "write_model_card"]

CARD_FILE = "README.md"

_BEGIN, _END = "<!-- evaluation -->", "<!-- end of evaluation -->"
_KINDS = ("P", "nDCG", "PSP", "R")  # those a card shows
_METRIC_TYPES = {"P": "precision", "R": "recall", "PSP": "propensity_scored_precision"}
_TAGS = [
    "sentence-transformers",
    "feature-extraction",
    "dual-encoder",
    "extreme-multi-label-classification",
    "xmc",
]
_EMBEDDED = "sentence-transformers/all-MiniLM-L6-v2"


def model_card(
    config: TrainConfig,
    dataset: Dataset,
    encoder: DualEncoder,
    validation: Mapping[str, float],
    command: str | None = None,
) -> str:
    """The text of the card.

    Args:
        config: Of the run.
        dataset: Trained on.
        encoder: As it is saved.
        validation: Metrics of this very model on the held-out training rows, in percent; empty for none.
        command: What started the run, if known.
    """
    model = config.encoder.model
    results = _results(dataset.name, dataset.fingerprint, "validation", validation)
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        base_model=_EMBEDDED if model == "embedded" else model if _is_hub_name(model) else None,
        datasets=[dataset.name],
        tags=_TAGS,
        model_name=f"{dataset.name} dual encoder",
        eval_results=results or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
    )
    body = _BODY.format(
        name=dataset.name,
        what=_what(config, encoder),
        evaluation=_evaluation_section(results),
        data=_data(dataset, encoder),
        recipe=yaml.safe_dump(dataclasses.asdict(config), sort_keys=False).strip(),
        command=f"It was started as `{command}`." if command else "",
        limits=_limits(config, dataset, encoder),
    )
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def write_model_card(
    folder: Path,
    config: TrainConfig,
    dataset: Dataset,
    encoder: DualEncoder,
    validation: Mapping[str, float],
) -> None:
    """Put the card into a saved model's folder, in place of the one that is there."""
    with atomic_file(folder / CARD_FILE) as temporary:
        temporary.write_text(
            model_card(config, dataset, encoder, validation, started_as(sys.argv)), encoding="utf-8"
        )


def add_evaluation(card: str, evaluation: Evaluation) -> str:
    """The card with an evaluation's metrics in its front matter and, between its two marks, in its text.

    An earlier evaluation on the same split of a data set of the same name is replaced. A text without the
    marks (one that was rewritten by hand) is left as it is.

    Raises:
        ModelError: When the front matter cannot be read.
    """
    try:
        parsed = ModelCard(card)
        data = ModelCardData(**parsed.data.to_dict())
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ModelError(f"expected a model card with YAML front matter in {CARD_FILE}: {error}") from error
    added = _results(evaluation.dataset, evaluation.dataset_fingerprint, evaluation.split, evaluation.metrics)
    place = (_slug(evaluation.dataset), evaluation.split)
    kept = [r for r in data.eval_results or [] if (r.dataset_type, r.dataset_split) != place]
    results = [*kept, *added]
    data.model_name = data.model_name or f"{evaluation.dataset} dual encoder"
    data.eval_results = results
    data.metrics = list(dict.fromkeys(result.metric_type for result in results))
    marked = re.compile(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", re.DOTALL)
    body = marked.sub(lambda _: _evaluation_section(results), parsed.text.lstrip("\n"))
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def started_as(argv: Sequence[str]) -> str | None:
    """The shell command behind ``argv`` when it was this package's own, else None (a notebook, a script)."""
    program = Path(argv[0]) if argv else Path()
    if program.name == "xmc":
        return shlex.join(["xmc", *argv[1:]])
    if program.parts[-2:] == ("xmc", "__main__.py"):
        return shlex.join(["python", "-m", "xmc", *argv[1:]])
    return None


def _results(name: str, revision: str, split: str, metrics: Mapping[str, float]) -> list[EvalResult]:
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


def _metric_type(metric: str) -> str:
    """``precision_at_1`` for "P@1"."""
    kind, _, k = metric.partition("@")
    return f"{_METRIC_TYPES.get(kind, kind.lower())}_at_{k}"


def _evaluation_section(results: Sequence[EvalResult]) -> str:
    """A table a data set and split, between the marks."""
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


def _what(config: TrainConfig, encoder: DualEncoder) -> str:
    kind = "one encoder for both" if encoder.tied else "an encoder each"
    lengths = (encoder.metadata.query_length, encoder.metadata.label_length)
    read = " and ".join("any number of" if length is None else str(length) for length in lengths)
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    return (
        f"Queries and labels have {kind} ({config.encoder.kind}, initialised from `{config.encoder.model}`, "
        f"{weights:,} parameters) and meet in one space of {encoder.dimension} dimensions. At most {read} "
        "tokens of a query and of a label are read."
    )


def _data(dataset: Dataset, encoder: DualEncoder) -> str:
    manifest, metadata = dataset.manifest, encoder.metadata
    return (
        f"{dataset.name} (fingerprint `{dataset.fingerprint}`): {dataset.num_train:,} training rows, "
        f"{dataset.num_test:,} test rows, {dataset.num_labels:,} labels. A query's text is its "
        f"{' + '.join(metadata.query_fields)}, a label's its {' + '.join(metadata.label_fields)}. "
        f"Propensity constants A {manifest.propensity.a}, B {manifest.propensity.b}."
    )


def _limits(config: TrainConfig, dataset: Dataset, encoder: DualEncoder) -> str:
    lines = [
        "The metrics above are of one training run on one data set; another seed or another kind of text "
        "gives others.",
        "A score orders the labels of a query. It is not a probability.",
        f"Only relations like those of {dataset.name} were learned, with whatever gaps and biases its labels "
        "have; no licence of it is recorded here.",
    ]
    if encoder.label_residuals is not None or encoder.label_vectors is not None:
        lines.append(
            "Labels learned vectors of their own beside the encoder's (`label_*.safetensors`), which "
            "`SentenceTransformer` alone does not use: its rankings differ from those measured here."
        )
    if encoder.label_offsets is not None:
        lines.append(
            "Labels learned offsets (`label_offsets.parquet`), which `SentenceTransformer` alone does not "
            "add; a label that was not in training gets their median."
        )
    if config.encoder.kind == "static":
        lines.append("A static encoder adds up token vectors: word order and context are not seen.")
    return "\n".join(f"- {line}" for line in lines)


def _is_hub_name(model: str) -> bool:
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model)) and not Path(model).exists()


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.").lower() or "dataset"


_BODY = """# {name} dual encoder

A dual encoder for extreme multi-label classification: it ranks the labels of {name} for a text by the inner
product of two embeddings. {what}

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("path/to/this/folder")
queries = model.encode_query(["a text"])
labels = model.encode_document(["a label"])
print(model.similarity(queries, labels))
```

`xmc.json` holds the scale of a score and the fields the model was trained on. With
[xmc](https://pypi.org/project/xmc-dual-encoder/), `xmc index MODEL --labels DATASET --out INDEX` and
`xmc search INDEX "a text"` rank the labels, learned offsets included.

## Evaluation

P@k, nDCG@k, R@k and propensity-scored P@k (PSP@k) over all labels, ranked exactly.

{evaluation}

## Training data

{data}

## Recipe

Saved as `recipe.yaml`, this trains the model again with `xmc train recipe.yaml`. {command}

```yaml
{recipe}
```

## Limits

{limits}
"""
