"""The card of a trained model: README.md in the format of the Hugging Face hub."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import ModelCardData

from xmc.encoders.adapters import num_adapter_parameters
from xmc.encoders.card import CARD_FILE, USE
from xmc.evaluation.card import evaluation_results, evaluation_section, metric_types
from xmc.files import atomic_file
from xmc.training.config import TrainConfig
from xmc.training.learned.trained_tensors import count_parameters
from xmc.training.parts import GIVEN
from xmc.training.run.folder import recipe_text

if TYPE_CHECKING:
    from xmc.data import Dataset
    from xmc.encoders import DualEncoder

__all__ = ["model_card", "started_as", "write_model_card"]

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
    model = config.encoder.model if config.encoder.builder is None else ""
    results = evaluation_results(dataset.name, dataset.fingerprint, "validation", validation)
    data = ModelCardData(
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        base_model=_EMBEDDED if model == "embedded" else model if _is_hub_name(model) else None,
        datasets=[dataset.name],
        tags=_TAGS,
        model_name=f"{dataset.name} dual encoder",
        eval_results=results or None,
        metrics=metric_types(results) or None,
    )
    recipe = recipe_text(config)
    body = _BODY.format(
        name=dataset.name,
        what=_what(config, encoder),
        use=USE,
        evaluation=evaluation_section(results),
        data=_data(dataset, encoder),
        recipe=recipe.strip(),
        command=f"It was started as `{command}`." if command else "",
        limits=_limits(recipe, dataset, encoder),
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


def started_as(argv: Sequence[str]) -> str | None:
    """The shell command behind ``argv`` when it was this package's own, else None (a notebook, a script)."""
    program = Path(argv[0]) if argv else Path()
    if program.name == "xmc":
        return shlex.join(["xmc", *argv[1:]])
    if program.parts[-2:] == ("xmc", "__main__.py"):
        return shlex.join(["python", "-m", "xmc", *argv[1:]])
    return None


def _what(config: TrainConfig, encoder: DualEncoder) -> str:
    kind = "one encoder for both" if encoder.tied else "an encoder each"
    lengths = (encoder.metadata.query_length, encoder.metadata.label_length)
    read = " and ".join("any number of" if length is None else str(length) for length in lengths)
    architecture = encoder.kind
    builder, model = config.encoder.builder, config.encoder.model
    origin = f"initialised from `{model}`" if builder is None else f"built by `{builder}`"
    trained, every = count_parameters(encoder.module)
    adapters = num_adapter_parameters(encoder.module)
    only = ""
    if trained < every:
        only = f" Of its parameters {trained:,} were trained"
        merged = f", adapters of rank {config.encoder.lora.rank} that are merged into the weights here."
        only += merged if adapters else "."
    return (
        f"Queries and labels have {kind} ({architecture}, {origin}, "
        f"{every - adapters:,} parameters) and meet in one space of {encoder.dimension} dimensions.{only} "
        f"At most {read} tokens of a query and of a label are read."
    )


def _data(dataset: Dataset, encoder: DualEncoder) -> str:
    manifest, metadata = dataset.manifest, encoder.metadata
    return (
        f"{dataset.name} (fingerprint `{dataset.fingerprint}`): {dataset.num_train:,} training rows, "
        f"{dataset.num_test:,} test rows, {dataset.num_labels:,} labels. A query's text is its "
        f"{' + '.join(metadata.query_fields or manifest.query_fields)}, a label's its "
        f"{' + '.join(metadata.label_fields or manifest.label_fields)}. "
        f"Propensity constants A {manifest.propensity.a}, B {manifest.propensity.b}."
    )


def _limits(recipe: str, dataset: Dataset, encoder: DualEncoder) -> str:
    lines = [
        "The metrics above are of one training run on one data set; another seed or another kind of text "
        "gives others.",
        "A score orders the labels of a query. It is not a probability.",
        f"Only relations like those of {dataset.name} were learned, with whatever gaps and biases its labels "
        "have; no licence of it is recorded here.",
    ]
    if GIVEN in recipe:
        lines.append(
            f"Parts that the recipe calls `{GIVEN}` were handed over by a script; the recipe alone does not "
            "make them."
        )
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
    if encoder.kind == "static":
        lines.append("A static encoder adds up token vectors: word order and context are not seen.")
    return "\n".join(f"- {line}" for line in lines)


def _is_hub_name(model: str) -> bool:
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model)) and not Path(model).exists()


_BODY = """# {name} dual encoder

A dual encoder for extreme multi-label classification: it ranks the labels of {name} for a text by the inner
product of two embeddings. {what}

{use}
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
