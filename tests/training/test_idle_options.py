from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xmc.training.config import DataConfig, RunOptions, TrainConfig
from xmc.training.idle_options import READ_WHERE, idle_options

READ_ALWAYS = """
seed
data.path data.query_fields data.label_fields data.label_texts data.label_queries
run.dir run.resume run.overwrite run.log_every run.keep_checkpoints run.trackers
encoder.model encoder.builder encoder.kind encoder.tied encoder.frozen_labels encoder.vocabulary
encoder.query_length encoder.label_length encoder.normalize encoder.dropout encoder.query_prompt
encoder.label_prompt encoder.lora.rank encoder.projection encoder.dimensions encoder.frozen_layers
objective.label_offsets objective.margin.kind
distillation.teachers
negatives.mode negatives.filter_pairs negatives.sources negatives.tempered.count negatives.mined.count
negatives.memory.enabled negatives.clusters.largest
training.epochs training.max_steps training.batch_size training.accumulation training.micro_batch_tokens
training.learning_rate training.weight_decay training.warmup training.clip_norm training.max_skipped
training.precision training.compile training.deterministic training.checkpoint_every
training.checkpoint_minutes training.callbacks
residuals.enabled head.kind validation.rows
""".split()
"""Options that every run reads."""

REFUSED = """
data.label_query_weight data.label_query_until data.co_labels data.co_label_prior
encoder.include_prompt encoder.dimension_weights encoder.frozen_cache
objective.margin.deviation objective.margin.ranked
negatives.strata negatives.positives
training.patience training.table_dtype
""".split()
"""Options that are errors where they are not read."""

OF_SEVERAL_PROCESSES = ["run.rank_timeout"]
"""Read where there are several processes, of which a configuration does not speak."""


def leaves(part: Any, prefix: str = "") -> Iterator[str]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


def with_options(**options: Any) -> TrainConfig:
    """A configuration with options by name, dots written as two underlines."""
    config: TrainConfig = replaced(TrainConfig(DataConfig("data"), RunOptions("run")), options)
    return config


def replaced(part: Any, options: dict[str, Any]) -> Any:
    inner: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        head, _, rest = name.partition("__")
        inner.setdefault(head, {})[rest] = value
    values = {
        head: found[""] if "" in found else replaced(getattr(part, head), found)
        for head, found in inner.items()
    }
    return dataclasses.replace(part, **values)


def test_every_option_is_in_the_table_or_read_by_every_run() -> None:
    told = {option for row in READ_WHERE for option in row.options}
    others = [*READ_ALWAYS, *REFUSED, *OF_SEVERAL_PROCESSES]
    every = set(leaves(with_options()))
    assert len(others) == len(set(others)) and not told & set(others)
    assert every - told - set(others) == set(), "say where a new option is read, in READ_WHERE or here"
    assert (told | set(others)) - every == set(), "no such option"


def test_defaults_are_not_told() -> None:
    assert idle_options(with_options()) == []
    assert idle_options(with_options(data__path="other", run__dir="elsewhere", seed=3)) == []


IDLE: list[tuple[dict[str, Any], str]] = [
    ({"data__label_fold": "top2"}, "data.label_fold = top2 has no effect with data.label_texts joint"),
    ({"data__label_text_draw": "first"}, "data.label_text_draw = first has no effect with data.label_texts"),
    (
        {"encoder__label_dropout": 0.2, "encoder__frozen_labels": True, "encoder__tied": False},
        "encoder.label_dropout = 0.2 has no effect with encoder.frozen_labels",
    ),
    (
        {"encoder__label_dropout": 0.2, "head__kind": "factored", "objective__name": "taylor_softmax"},
        "encoder.label_dropout = 0.2 has no effect with a factored head",
    ),
    (
        {"encoder__static_init": "distill", "encoder__kind": "transformer"},
        "encoder.static_init = distill has no effect with encoder.kind transformer",
    ),
    (
        {"encoder__pooling": "cls", "encoder__kind": "static"},
        "encoder.pooling = cls has no effect with encoder.kind static",
    ),
    (
        {"encoder__pooling": "cls", "encoder__kind": "transformer", "encoder__model": "embedded"},
        "encoder.pooling = cls has no effect with an encoder.model that brings its own",
    ),
    ({"encoder__lora__alpha": 8.0}, "encoder.lora.alpha = 8.0 has no effect without encoder.lora.rank"),
    (
        {"encoder__lora__target_modules": ["query", "value"]},
        "encoder.lora.target_modules = [query, value] has no effect without encoder.lora.rank",
    ),
    (
        {"objective__virtual_negative": 0.7, "distillation__teachers": "t.parquet"},
        "objective.virtual_negative = 0.7 has no effect with distillation.teachers and",
    ),
    (
        {"objective__scale": 5.0, "objective__name": "spherical_z_loss"},
        "objective.scale = 5.0 has no effect with an objective that does not depend on the scale",
    ),
    ({"objective__margin__size": 0.2}, "objective.margin.size = 0.2 has no effect without objective.margin"),
    (
        {"objective__margin__size": 0.2, "objective__margin__kind": "l_softmax"},
        "objective.margin.size = 0.2 has no effect without objective.margin.kind cosface or arcface",
    ),
    (
        {"objective__margin__multiple": 3, "objective__margin__kind": "cosface"},
        "objective.margin.multiple = 3 has no effect without objective.margin.kind l_softmax",
    ),
    (
        {"objective__margin__plain_least": 0.0},
        "objective.margin.plain_least = 0.0 has no effect without objective.margin.kind l_softmax",
    ),
    (
        {
            "objective__margin__kind": "l_softmax",
            "objective__margin__plain_start": 0.0,
            "objective__margin__plain_power": 3.0,
        },
        "objective.margin.plain_power = 3.0 has no effect with objective.margin.plain_start 0",
    ),
    ({"distillation__weight": 2.0}, "distillation.weight = 2.0 has no effect without distillation.teachers"),
    ({"distillation__hard_weight": 1.0}, "distillation.hard_weight = 1.0 has no effect without distillation"),
    (
        {
            "distillation__teachers": "t.parquet",
            "distillation__discriminator": "none",
            "distillation__discriminator_width": 4,
        },
        "distillation.discriminator_width = 4 has no effect with distillation.discriminator none",
    ),
    (
        {
            "scoring__implementation": "tiled",
            "head__kind": "factored",
            "objective__name": "taylor_softmax",
        },
        "scoring.implementation = tiled has no effect with a factored head",
    ),
    (
        {"scoring__memory_mb": 1, "objective__name": "taylor_softmax"},
        "scoring.memory_mb = 1 has no effect with an objective that knows labels by their moments",
    ),
    (
        {"scoring__precision": "bf16", "objective__name": "taylor_softmax"},
        "scoring.precision = bf16 has no effect with an objective that knows labels by their moments",
    ),
    (
        {"scoring__precision": "bf16", "head__kind": "factored", "objective__name": "taylor_softmax"},
        "scoring.precision = bf16 has no effect with a factored head",
    ),
    (
        {"scoring__memory_mb": 1, "scoring__implementation": "dense"},
        "scoring.memory_mb = 1 has no effect with scoring.implementation dense",
    ),
    ({"negatives__uniform": 7}, "negatives.uniform = 7 has no effect with negatives.mode all"),
    ({"negatives__corrected": False}, "negatives.corrected = false has no effect with negatives.mode all"),
    ({"negatives__tempered__alpha": 1.0}, "negatives.tempered.alpha = 1.0 has no effect without negatives."),
    (
        {"negatives__mined__margin": 0.1, "negatives__mode": "sampled"},
        "negatives.mined.margin = 0.1 has no effect without negatives.mined.count",
    ),
    (
        {"negatives__mined__sharpness": 9.0, "negatives__mined__count": 2, "negatives__mode": "sampled"},
        "negatives.mined.sharpness = 9.0 has no effect without negatives.mined.draw score",
    ),
    (
        {"negatives__memory__sample": 9},
        "negatives.memory.sample = 9 has no effect without negatives.memory",
    ),
    (
        {"negatives__memory__refresh": 9},
        "negatives.memory.refresh = 9 has no effect without negatives.",
    ),
    ({"negatives__clusters__first": 4}, "negatives.clusters.first = 4 has no effect without negatives.clus"),
    (
        {
            "negatives__clusters__first": 4,
            "negatives__clusters__largest": 4,
            "negatives__clusters__double_every": 2,
            "negatives__mode": "sampled",
        },
        "negatives.clusters.double_every = 2 has no effect with negatives.clusters.first as large",
    ),
    (
        {"training__offset_learning_rate": 0.1},
        "training.offset_learning_rate = 0.1 has no effect without objective.label_offsets",
    ),
    (
        {"training__scale_learning_rate": 0.1},
        "training.scale_learning_rate = 0.1 has no effect without objective.learn_scale",
    ),
    (
        {"training__token_optimiser": "adamw", "encoder__kind": "transformer"},
        "training.token_optimiser = adamw has no effect with encoder.kind transformer",
    ),
    ({"residuals__dropout": 0.1}, "residuals.dropout = 0.1 has no effect without residuals.enabled"),
    ({"head__learning_rate": 1.0}, "head.learning_rate = 1.0 has no effect without head.kind"),
    (
        {"validation__rows": 0, "validation__metric": "P@1"},
        "validation.metric = P@1 has no effect with validation.rows 0",
    ),
    ({"validation__rows": 0, "run__keep_best": 3}, "run.keep_best = 3 has no effect with validation.rows 0"),
    ({"run__trackers": [], "run__name": "first"}, "run.name = first has no effect without run.trackers"),
    (
        {"run__resume_with_changes": True},
        "run.resume_with_changes = true has no effect without run.resume",
    ),
]


@pytest.mark.parametrize(("options", "line"), IDLE, ids=lambda part: part[:40] if type(part) is str else "")
def test_an_option_that_is_not_read_is_told(options: dict[str, Any], line: str) -> None:
    [told] = idle_options(with_options(**options))
    assert told.startswith(line)


def test_every_row_of_the_table_is_tried() -> None:
    tried = [(with_options(**options), line.partition(" ")[0]) for options, line in IDLE]
    for row in READ_WHERE:
        assert any(option in row.options and not row.holds(config) for config, option in tried), row


@pytest.mark.parametrize(
    "options",
    [
        {"data__label_fold": "top2", "data__label_texts": "lines"},
        {"encoder__label_dropout": 0.2},
        {"encoder__lora__alpha": 8.0, "encoder__lora__rank": 4},
        {"encoder__pooling": "cls", "encoder__model": "google-bert/bert-base-uncased"},
        {"encoder__static_init": "distill"},
        {"objective__scale": 5.0},
        {"objective__scale": 5.0, "objective__name": "spherical_z_loss", "objective__label_offsets": True},
        {"objective__scale": 5.0, "objective__name": "taylor_softmax", "head__kind": "factored"},
        {"objective__scale": 5.0, "objective__name": "./mine.py:loss", "scoring__memory_mb": 9},
        {
            "objective__virtual_negative": 0.7,
            "distillation__teachers": "t.parquet",
            "distillation__hard_weight": 1.0,
        },
        {"objective__margin__kind": "arcface", "objective__margin__size": 0.2},
        {"objective__margin__kind": "l_softmax", "objective__margin__plain_power": 3.0},
        {"scoring__memory_mb": 9},
        {"scoring__memory_mb": 9, "scoring__implementation": "dense", "objective__name": "discriminative"},
        {"negatives__mode": "sampled", "negatives__uniform": 7, "negatives__corrected": False},
        {"negatives__mode": "sampled", "negatives__memory__enabled": True, "negatives__memory__sample": 9},
        {"training__offset_learning_rate": 0.1, "objective__label_offsets": True},
        {"training__scale_learning_rate": 0.1, "objective__learn_scale": True},
        {"training__token_optimiser": "adamw"},
        {"residuals__dropout": 0.1, "residuals__enabled": True},
        {"validation__metric": "P@1", "run__keep_best": 3, "run__name": "first"},
        {"run__resume_with_changes": True, "run__resume": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_option_that_is_read_is_not_told(options: dict[str, Any]) -> None:
    assert idle_options(with_options(**options)) == []


def test_what_a_run_records_of_itself_is_not_told() -> None:
    """config.yaml of a run has the rate of a scale that is not learned."""
    assert idle_options(with_options(training__scale_learning_rate=1e-3)) == []


def test_one_line_an_option() -> None:
    config = with_options(
        encoder__label_dropout=0.2,
        encoder__frozen_labels=True,
        encoder__tied=False,
        residuals__dropout=0.1,
        residuals__min_points=2,
    )
    told = [line.partition(" ")[0] for line in idle_options(config)]
    assert told == ["encoder.label_dropout", "residuals.dropout", "residuals.min_points"]


@pytest.mark.parametrize("place", ["", "model"])
def test_a_folder_says_whether_it_brings_its_pooling(tmp_path: Path, place: str) -> None:
    """A model's folder, or that of a run; a bare transformer has config.json alone."""
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    config = with_options(encoder__pooling="cls", encoder__model=str(tmp_path))
    assert idle_options(config) == []
    (folder / "modules.json").write_text("[]")
    assert len(idle_options(config)) == 1


def test_of_a_bare_transformer_s_folder_that_holds_another_model_its_own_files_count(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "modules.json").write_text("[]")
    (tmp_path / "config.json").write_text("{}")
    assert idle_options(with_options(encoder__pooling="cls", encoder__model=str(tmp_path))) == []
