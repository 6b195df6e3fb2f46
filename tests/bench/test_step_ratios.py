from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from xmc.bench import step_ratios
from xmc.bench.step_ratios import bench_step, ratios_table
from xmc.cli.main import main
from xmc.errors import ConfigError
from xmc.training import TrainConfig


class Ticks:
    """A clock that goes on by 1 when it is read, and by what work says it took."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_ratios_are_parts_of_the_step_over_plain_work(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, shapes = Ticks(), []

    def product(queries: torch.Tensor, labels: torch.Tensor) -> None:
        shapes.append((*queries.shape, *labels.shape))
        clock.now += 100

    def bag(table: torch.Tensor, ids: torch.Tensor, offsets: torch.Tensor) -> None:
        clock.now += 10

    monkeypatch.setattr(step_ratios, "plain_product", product)
    monkeypatch.setattr(step_ratios, "plain_bag", bag)
    profile, ratios = bench_step(config, 1, repeats=2, clock=clock)
    assert shapes == [(14, 24, profile.scores // 14, 24)] * 2
    assert ratios.scoring == pytest.approx(profile.parts["scoring"] / 101)
    assert ratios.step == pytest.approx(profile.seconds / 101)
    # One bag for each tower. Each query has three tokens and each label one, so that counts agree.
    encoding = profile.parts["encode"] + profile.parts["replay"]
    assert ratios.encoding == pytest.approx(encoding / 21)
    assert ratios.optimiser == pytest.approx(profile.parts["optimiser"] / 21)
    assert ratios.optimiser_share == pytest.approx(profile.parts["optimiser"] / profile.seconds)
    assert not Path(config.run.dir).exists()


def test_processor_time_does_not_count_waiting(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from xmc.bench import training_steps

    real = training_steps.optimise

    def slow(*arguments: Any) -> Any:
        time.sleep(0.1)
        return real(*arguments)

    monkeypatch.setattr(training_steps, "optimise", slow)
    waited, ratios = bench_step(config, 2)
    assert waited.seconds > 0.2 and ratios.cores < 0.8
    assert bench_step(config, 2, clock=time.process_time)[0].seconds < 0.2


def test_a_transformer_is_compared_with_a_product(
    config: TrainConfig, changed: Any, bert_folder: Path
) -> None:
    _, ratios = bench_step(
        changed(
            config,
            encoder={
                "model": str(bert_folder),
                "kind": "transformer",
                "tied": True,
                "query_length": 8,
                "label_length": 8,
            },
        ),
        1,
    )
    assert ratios.encoding > 1


def test_a_head_has_no_products(config: TrainConfig, changed: Any) -> None:
    head = {
        "objective": {
            "name": "spherical_z_loss", "label_offsets": False, "learn_scale": False, "options": {}
        },
        "negatives": {"mode": "all"},
        "head": {"kind": "factored"},
    }  # fmt: skip
    _, ratios = bench_step(changed(config, **head), 1)
    assert ratios.step is None and ratios.scoring is None and ratios.encoding > 0
    assert "| scoring, in plain products of its scores |  |" in ratios_table(ratios)


def test_a_run_too_short_is_told_by_the_option(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="--steps: expected at most the run's 28 steps"):
        bench_step(config, 26)


@pytest.fixture
def recipe(config: TrainConfig, tmp_path: Path) -> str:
    keys = {
        "data": {"path": config.data.path},
        "encoder": {"model": config.encoder.model, "kind": "static"},
        "negatives": {"mode": "sampled", "uniform": 12},
        "training": {"batch_size": 14, "epochs": 4},
        "validation": {"rows": 20},
        "run": {"dir": str(tmp_path / "run")},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(keys))
    return str(tmp_path / "recipe.yaml")


def test_the_command_prints_both_tables(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "step.json"
    words = ["bench", "step", recipe, "--steps=2", "--training.batch_size", "10", "--json", str(file)]
    assert main([*words, "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    assert "2 steps: " in printed and "| scoring |" in printed and "| scoring, in plain products" in printed
    profile, ratios = json.loads(file.read_text())["cases"]
    assert profile["rows"] == 2 * 10 and ratios["scoring"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "3"], "give --steps"),
        (["--steps", "0"], "--steps: expected at least 1 step, got 0"),
        (["--repeats", "0"], "--repeats: expected a number of at least 1"),
        (["--steps"], "--steps"),
    ],
)
def test_what_the_command_refuses(
    recipe: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "step", recipe, *words]) == 2
    assert said in capsys.readouterr().err
