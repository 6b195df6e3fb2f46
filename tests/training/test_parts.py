from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from xmc.distributed import World
from xmc.errors import ConfigError, DataError
from xmc.training.batches import MemoryConfig, NegativesConfig
from xmc.training.config import (
    DataConfig,
    ObjectiveConfig,
    OptimisationConfig,
    RunOptions,
    ScoringConfig,
    ValidationConfig,
)
from xmc.training.learned.optimiser import build_optimizer, set_rates, warmup_linear_decay
from xmc.training.learned.score_parameters import ScoreParameters
from xmc.training.run.checkpoint import Checkpointer
from xmc.training.run.estimate import estimate_cost
from xmc.training.run.folder import prepare_run_folder
from xmc.training.run.interrupt import InterruptGuard
from xmc.training.run.metrics_log import MetricsLog, check_trackers
from xmc.training.run.pace import Pace
from xmc.training.run.precision import mixed_precision


def test_schedule_rises_then_falls_to_zero():
    factors = [warmup_linear_decay(step, 20, 0.2) for step in range(21)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[-1] == 0.0 and all(a > b for a, b in zip(factors[4:], factors[5:], strict=False))
    assert warmup_linear_decay(0, 20, 0.0) == 1.0


def test_each_kind_of_parameter_has_its_own_rate():
    parameters = ScoreParameters(ObjectiveConfig(label_offsets=True, learn_scale=True), 5)
    config = OptimisationConfig(
        learning_rate=1.0, offset_learning_rate=2.0, scale_learning_rate=3.0, weight_decay=0.5
    )
    layer = torch.nn.Linear(2, 3)
    optimizer = build_optimizer(layer.parameters(), parameters, config)
    found = [(len(g["params"]), g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert found == [(1, 1.0, 0.5), (1, 1.0, 0.0), (1, 2.0, 0.0), (1, 3.0, 0.0)]
    set_rates(optimizer, 0.5)
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.5, 1.0, 1.5]


def test_a_fixed_scale_and_no_offsets_learn_nothing():
    parameters = ScoreParameters(ObjectiveConfig(scale=7.0), 5)
    optimizer = build_optimizer(torch.nn.Linear(2, 3).parameters(), parameters, OptimisationConfig())
    assert len(optimizer.param_groups) == 2
    assert float(parameters.scale) == pytest.approx(7.0) and parameters.offsets(torch.arange(2)) is None


def step_once(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()


def test_checkpoint_restores_weights_and_moments(tmp_path):
    layer = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    checkpointer = Checkpointer(tmp_path, {"encoder": layer}, optimizer)
    assert checkpointer.load_latest() is None
    for step in (1, 2, 3):
        step_once(layer, optimizer)
        checkpointer.save(step, {"note": step})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "step-00000002", "step-00000003"]
    other = torch.nn.Linear(2, 3)
    moments = torch.optim.AdamW(other.parameters(), fused=True)
    assert Checkpointer(tmp_path, {"encoder": other}, moments).load_latest() == {"step": 3, "note": 3}
    step_once(layer, optimizer)
    step_once(other, moments)
    assert torch.equal(layer.weight, other.weight)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    layer = torch.nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    step_once(layer, optimizer)
    Checkpointer(tmp_path, {"encoder": layer}, optimizer).save(1, {})
    other = torch.nn.Linear(2, 4)
    with pytest.raises(DataError, match="expected a checkpoint of this configuration"):
        Checkpointer(tmp_path, {"encoder": other}, torch.optim.AdamW(other.parameters())).load_latest()


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(5)) + '{"step": 5, "los')
    MetricsLog.truncate(path, 2)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


@pytest.fixture
def default_interrupt():
    """A background job of a shell starts with SIGINT ignored; these tests need Python's own handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_interrupt_asks_and_the_second_stops(default_interrupt):
    with InterruptGuard(World(), torch.device("cpu")) as guard:
        assert not guard.stop_now()
        os.kill(os.getpid(), signal.SIGINT)
        assert guard.stop_now()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 0.5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_run_folder_keeps_files_that_are_not_its_own(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ConfigError, match="notes.txt"):
        prepare_run_folder(RunOptions(dir=str(tmp_path), overwrite=True))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(ConfigError, match="expected an earlier run"):
        prepare_run_folder(RunOptions(dir=str(tmp_path), resume=True))
    with pytest.raises(ConfigError, match="is a file"):
        prepare_run_folder(RunOptions(dir=str(tmp_path / "notes.txt")))


@pytest.mark.parametrize(
    "make",
    [
        lambda: OptimisationConfig(epochs=0),
        lambda: OptimisationConfig(warmup=1.0),
        lambda: OptimisationConfig(clip_norm=0.0),
        lambda: ObjectiveConfig(scale=-1.0),
        lambda: ObjectiveConfig(name="triplet"),  # type: ignore[arg-type]
        lambda: ScoringConfig(implementation="fast"),  # type: ignore[arg-type]
        lambda: ScoringConfig(memory_mb=0),
        lambda: ValidationConfig(rows=-1),
        lambda: RunOptions(dir="x", resume=True, overwrite=True),
        lambda: DataConfig(path="x", query_fields=["titel"]),
        lambda: DataConfig(path="x", label_fields=[]),
    ],
)
def test_options_that_cannot_work_are_refused(make):
    with pytest.raises(ConfigError, match="expected"):
        make()


def test_precision_follows_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert mixed_precision("auto") == mixed_precision("fp32") == "no"
    with pytest.raises(ConfigError, match="emulates"):
        mixed_precision("bf16")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert mixed_precision("auto") == mixed_precision("bf16") == "bf16"


def test_the_estimate_grows_with_what_is_held(config):
    def memory(**changes: int) -> int:
        values = dict(
            num_steps=10,
            num_parameters=1_000_000,
            dimension=64,
            pool_size=1000,
            num_labels=5000,
            micro_batch_tokens=1000,
            world_size=1,
        )
        return estimate_cost(config, **{**values, **changes}).memory_bytes

    assert memory() > 16_000_000
    assert memory(pool_size=10_000) > memory() < memory(num_parameters=2_000_000)
    assert memory(pool_size=10_000, world_size=4) < memory(pool_size=10_000)
    assert memory(num_labels=1_005_000) - memory() == 1_000_000 * 64 * 4  # a validation's embeddings
    config = replace(
        config, negatives=NegativesConfig("sampled", uniform=9, memory=MemoryConfig(enabled=True))
    )
    assert memory(num_labels=1_005_000) - memory() == 1_000_000 * 64 * 6  # and a memory in float16


def test_the_time_left_counts_steps_and_validations():
    pace = Pace()
    assert pace.remaining(10, 1) == 0.0
    for seconds in (9.0, 2.0, 2.0, 2.0):  # the first step is slow and does not count for more than one
        pace.add_step(seconds, rows=30)
    pace.validation_seconds = 5.0
    assert pace.remaining(steps=10, validations=2) == 30.0
    assert pace.rows_per_second == 120 / 15


def test_validation_is_due_every_so_often_and_at_the_end():
    config = ValidationConfig(rows=5, every=4)
    assert [step for step in range(1, 11) if config.due(step, 10)] == [4, 8, 10]
    assert config.num_due(4, 10) == 2 and ValidationConfig(rows=0).num_due(0, 10) == 0


def test_unknown_trackers_are_named_with_the_known():
    check_trackers(["tensorboard"])
    with pytest.raises(ConfigError, match="tensorboard.* got nope"):
        check_trackers(["tensorboard", "nope"])


def test_a_finished_run_is_not_resumed(tmp_path):
    for name in ("config.yaml", "result.json"):
        (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match="it is finished"):
        prepare_run_folder(RunOptions(dir=str(tmp_path), resume=True))
