"""What a search tries: every change goes with the rules' recipe, whatever the data are like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.tuning.test_rules import FACTS
from xmc.data import Dataset
from xmc.nested import flat
from xmc.training import TrainConfig, Trainer
from xmc.tuning.candidates import neighbours
from xmc.tuning.choice import with_options
from xmc.tuning.facts import DataFacts
from xmc.tuning.rules import choose
from xmc.tuning.trial import EncoderCache

ROWS = (3, 200, 1_000, 20_000, 100_000, 3_000_000)
OWN = ("encoder.model", "data.query_fields", "data.label_fields", "run.dir", "data.path")
"""Of the small data set and model that the recipes are tried with."""

NUM_LABELS = 40
"""Of that data set."""


def shapes() -> Iterator[DataFacts]:
    """Data of every size, each skewed and even, with and without what some changes ask for."""
    for rows in ROWS:
        yield replace(FACTS, num_rows=rows, num_labels=max(2, rows // 2), num_pairs=4 * rows, filter_pairs=7)
        yield replace(FACTS, num_rows=rows, num_labels=max(2, rows), pairs_per_label=1.2, head_share=0.02)
        yield replace(FACTS, num_rows=rows, num_labels=3, num_pairs=rows, pairs_per_label=rows / 3)
    yield replace(FACTS, num_rows=30_000, num_labels=30_001, both_ways=0.9)


def fitting(config: TrainConfig) -> TrainConfig:
    """No more labels drawn than the small data set has, and no tokens learned from it."""
    drawn = min(config.negatives.uniform, NUM_LABELS)
    joining = min(config.data.label_queries, NUM_LABELS / config.training.batch_size)
    fewer = {"negatives.uniform": drawn, "data.label_queries": joining}
    return with_options(config, {**fewer, "encoder.vocabulary": None})


def recipe(facts: DataFacts, config: TrainConfig) -> TrainConfig:
    """What the rules choose, for the small data set."""
    ruled = {c.option: c.value for c in choose(facts, accelerator=False) if c.option not in OWN}
    own = {"validation.rows": 2, "training.max_steps": 2}
    return fitting(with_options(config, {**ruled, **own}))


def test_of_equals_more_passes_are_tried_first_and_no_vectors_of_labels(config: TrainConfig) -> None:
    for both_ways in (0.0, 0.9):
        facts = replace(FACTS, both_ways=both_ways)
        tried = neighbours(flat(asdict(recipe(facts, config))), facts)
        first = tried[0] == {"training.epochs": 28.0}
        residuals = any("residuals.enabled" in changes for changes in tried)
        assert (first, residuals) == ((True, False) if both_ways else (False, True))
        assert ({"objective.virtual_negative": None} in tried) == bool(both_ways)
        assert sum("training.epochs" in changes for changes in tried) == 2


@pytest.mark.parametrize("facts", list(shapes()), ids=lambda facts: f"{facts.num_rows}-{facts.num_labels}")
def test_every_change_is_a_recipe_that_trains(
    dataset: Dataset, config: TrainConfig, tmp_path: Path, facts: DataFacts
) -> None:
    rules, cache = recipe(facts, config), EncoderCache(8)
    tried = neighbours(flat(asdict(rules)), facts)
    assert len(tried) >= 8 and dataset.num_labels == NUM_LABELS
    for number, changes in enumerate([{}, *tried]):
        changed = fitting(with_options(rules, changes))
        changed = replace(changed, run=replace(changed.run, dir=str(tmp_path / str(number))))
        trainer = Trainer(changed, dataset=dataset, encoder=cache.copy(changed, dataset))
        with closing(trainer.batches):
            trainer.prepare_inputs()


def test_nothing_is_nearer_than_the_same(config: TrainConfig) -> None:
    rules = flat(asdict(recipe(replace(FACTS, num_rows=200), config)))
    assert rules["objective.virtual_negative"] == 1.0
    found = [c["objective.virtual_negative"] for c in neighbours(rules, FACTS) if "virtual" in str(c)]
    assert found == [0.9]


def test_another_pool_is_tried_whatever_the_rules_draw(config: TrainConfig) -> None:
    rules = flat(asdict(recipe(FACTS, config)))
    for drawn, other in ((512, 8_192), (8_192, 2_048)):
        found = neighbours(rules | {"negatives.uniform": drawn, "negatives.mode": "sampled"}, FACTS)
        assert {"negatives.uniform": other} in found
