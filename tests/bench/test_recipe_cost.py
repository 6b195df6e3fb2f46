from __future__ import annotations

import pytest

from xmc.bench.known_towers import DISTILBERT
from xmc.bench.recipe_cost import DataCounts, cost_table, recipe_cost, recipe_shape
from xmc.bench.step_time import Rates
from xmc.cli.config import load_train_config
from xmc.cli.main import main
from xmc.data.public import public_sets
from xmc.errors import ConfigError
from xmc.objectives import build_objective
from xmc.recipes import shipped_recipes

MADE_UP = DataCounts(rows=20_000, labels=5_000, labels_per_row=4.0)
WITHOUT_PAPER = {"debian-related-30k/factored", "yso-finnatitles-24k/factored"}


@pytest.mark.parametrize("recipe", shipped_recipes(), ids=lambda recipe: recipe.name)
def test_every_recipe_is_dry_run_on_made_up_counts(recipe) -> None:
    config = load_train_config([recipe.name])
    build_objective(config.objective.name, config.objective.options)
    if recipe.name in WITHOUT_PAPER:
        with pytest.raises(ConfigError, match="head.kind"):
            recipe_cost(config, MADE_UP)
        return
    one, eight = (recipe_cost(config, MADE_UP, ranks) for ranks in (1, 8))
    assert 0 < one.pool <= MADE_UP.labels and one.pool == eight.pool
    assert one.steps * min(config.training.batch_size, MADE_UP.rows) == pytest.approx(MADE_UP.rows)
    assert sum(eight.step.flops.values()) < sum(one.step.flops.values())
    assert min(one.hours, eight.hours, one.gigabytes, eight.gigabytes) > 0
    assert eight.step.collectives and not one.step.collectives
    assert cost_table(config, MADE_UP).count("\n") == 3


def test_the_largest_costs_what_the_page_on_scaling_says() -> None:
    largest = next(one for one in public_sets() if one.name == "LF-AmazonTitles-1.3M")
    counts = DataCounts(largest.num_train, largest.num_labels, largest.labels_per_row)
    config = load_train_config([largest.recipe])
    assert (config.encoder.normalize, config.objective.scale) == (False, 1.0)
    shape = recipe_shape(config, counts)
    assert shape.tower == DISTILBERT and shape.pool == 1_305_265
    one, eight = (recipe_cost(config, counts, ranks) for ranks in (1, 8))
    # The tables of docs/scaling.md: 52.22 s and 6.53 s a step, 14.3 and 7.3 GB a card.
    assert [sum(cost.seconds.values()) for cost in (one, eight)] == pytest.approx([52.22, 6.53], abs=0.01)
    assert [cost.gigabytes for cost in (one, eight)] == pytest.approx([14.3, 7.3], abs=0.06)


def test_a_sampled_pool_is_what_scaling_counts() -> None:
    counts = DataCounts(2_248_619, 1_305_265, 22.2)
    words = ["--negatives.mode", "sampled", "--negatives.uniform", "8192", "--training.batch_size", "3000"]
    config = load_train_config(["lf-amazontitles-1.3m/distilbert", *words])
    assert recipe_shape(config, counts).pool == 72_756
    one = load_train_config(["lf-amazontitles-1.3m/distilbert", *words, "--negatives.positives", "1"])
    assert recipe_shape(one, counts).pool == 11_172


def test_a_clustering_encodes_every_query_unless_vectors_are_kept() -> None:
    fresh = load_train_config(["lf-amazon-131k/lora"])
    kept = load_train_config(["lf-amazon-131k/lora", "--negatives.clusters.vectors", "kept"])
    cost = recipe_cost(fresh, MADE_UP)
    assert recipe_cost(kept, MADE_UP).seconds == {n: s for n, s in cost.seconds.items() if n != "clusters"}
    # From the epoch 4 on every second one of 30: 13 times, spread over all steps.
    shape = recipe_shape(fresh, MADE_UP)
    seconds = 13 * shape.tower.forward(MADE_UP.rows, 128) / Rates().encoding
    assert cost.seconds["clusters"] * cost.steps * cost.epochs == pytest.approx(seconds)


def test_what_the_paper_does_not_know_is_refused() -> None:
    config = load_train_config(["lf-amazontitles-131k/distilbert", "--encoder.model", "some/other"])
    with pytest.raises(ConfigError, match="encoder: expected .*distilbert-base-uncased.*some/other"):
        recipe_cost(config, MADE_UP)
    with pytest.raises(ConfigError, match="at least one row"):
        DataCounts(0, 1, 1.0)
    with pytest.raises(ConfigError, match="0 to L labels a row"):
        DataCounts(1, 2, 3.0)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "cost", "eurlex-4k/distilbert", "--cards", "1,2"]) == 0
    out = capsys.readouterr().out
    assert "15,449 rows, 3,956 labels" in out and "| 2 | 30 | 3,956 |" in out
    assert "DEXML (DistilBERT): P@1 86.78" in out and "MatchXML" not in out, "of another division"
    words = ["recipes", "cost", "api-docs", "--rows", "1000", "--labels", "500", "--labels_per_row", "3"]
    assert main([*words, "--cards", "1", "--training.epochs", "2"]) == 0
    assert "2 epochs" in capsys.readouterr().out
    assert main(["recipes", "cost", "api-docs"]) == 2
    assert "expected all three" in capsys.readouterr().err
