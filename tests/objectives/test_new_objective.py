"""A new objective is one file and one line of the catalogue: nothing else has to know it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives import cubic
from tests.objectives.batches import Batch, make_batch
from xmc.bench import bench_scoring
from xmc.cli.main import main
from xmc.distributed import current_world
from xmc.errors import ConfigError
from xmc.objectives import CATALOGUE, build_objective, register_objective
from xmc.scoring import LabelShard, ScoreInputs
from xmc.training import train


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(CATALOGUE)
    register_objective(cubic.FACTS)
    yield
    CATALOGUE.clear()
    CATALOGUE.update(before)


def inputs(batch: Batch, **options: Any) -> ScoreInputs:
    return ScoreInputs(
        batch.queries, batch.labels, batch.positives, batch.scale, batch.offsets, batch.log_weights, **options
    )


def by_hand(batch: Batch) -> torch.Tensor:
    scores = batch.scale * batch.queries @ batch.labels.T + batch.offsets
    rows = []
    for i, row in enumerate(scores):
        found = batch.positives[i].tocoo()
        own = {int(c): float(w) for c, w in zip(found.col, found.data, strict=True)}
        total = sum(
            float(batch.log_weights[j].exp()) * max(float(row[j]), 0.0) ** 3
            for j in range(len(row))
            if j not in own
        )
        losses = [(w, torch.log1p(torch.tensor(total, dtype=torch.float64)) - row[c]) for c, w in own.items()]
        rows.append(sum((w * x for w, x in losses), torch.tensor(0.0)) / max(sum(own.values()), 1e-30))
    return torch.stack([torch.as_tensor(row, dtype=torch.float64) for row in rows])


@pytest.mark.parametrize("implementation", ["dense", "tiled"])
def test_it_is_computed_like_any_other(registered: None, implementation: str) -> None:
    batch = make_batch(5, 300)
    rows = build_objective("cubic_loss")(inputs(batch, implementation=implementation, memory_bytes=1), "none")
    torch.testing.assert_close(rows, by_hand(batch), rtol=1e-6, atol=1e-8)


def on_shards() -> torch.Tensor:
    register_objective(cubic.FACTS)
    world, batch = current_world(), make_batch(5, 13)
    start, stop = world.shard(13)
    shard = LabelShard(start, 13, world)
    parts = batch.labels[start:stop], batch.offsets[start:stop], batch.log_weights[start:stop]
    given = ScoreInputs(batch.queries, parts[0], batch.positives, batch.scale, *parts[1:], shard=shard)
    return build_objective("cubic_loss")(given, "none")


def test_it_runs_on_shards(ranks: Ranks) -> None:
    for rows in ranks.run(on_shards, size=2):
        torch.testing.assert_close(rows, by_hand(make_batch(5, 13)), rtol=1e-6, atol=1e-8)


def test_recipes_modules_benchmarks_and_messages_know_it(
    registered: None, config: Any, changed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(changed(config, objective={"name": "cubic_loss", "options": {"weight": 2.0}}))
    assert result.validation["P@1"] > 15
    assert cubic.loss_class()(scale=2.0, weight=3.0).objective.facts.name == "cubic_loss"
    measured = bench_scoring([4], [50], dimension=4, objectives=["cubic_loss"], repeats=1)
    assert {case.implementation for case in measured} == {"tiled", "tiled, labels frozen", "dense"}
    with pytest.raises(ConfigError, match="cubic_loss has no option 'wait': did you mean 'weight'"):
        build_objective("cubic_loss", {"wait": 1})
    with pytest.raises(ConfigError, match="negatives.mined.*got cubic_loss"):
        changed(
            config,
            objective={"name": "cubic_loss"},
            negatives={"mined": replace(config.negatives.mined, count=2)},
        )
    assert main(["bench", "scoring", "--objectives", "[cubic_los]"]) == 2
    assert "cubic_loss" in capsys.readouterr().err


def of_any_option(queries: Tensor, labels: Tensor, positives: Tensor, **options: float) -> Tensor:
    return (queries @ labels.T).sum() * options.get("weight", 1.0)


def test_what_a_step_gives_is_no_option_even_of_a_function_that_takes_any() -> None:
    assert build_objective(f"{__name__}:of_any_option", {"weight": 2.0})
    with pytest.raises(ConfigError, match="has no option 'scale'"):
        build_objective(f"{__name__}:of_any_option", {"scale": 2.0})


def test_a_name_is_given_once(registered: None) -> None:
    with pytest.raises(ConfigError, match="name that no objective has, got 'cubic_loss'"):
        register_objective(cubic.FACTS)


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'soft_top_k'"):
        build_objective("soft_topk")
