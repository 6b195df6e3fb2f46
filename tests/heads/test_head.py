from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, load_model, save_model

from tests.heads.dense import LOSSES, DenseHead, draw_batch, draw_table
from xmc.errors import ConfigError
from xmc.heads import FactoredHead, IllConditionedError, StabilityPolicy, factor, factored_step, plain_table
from xmc.heads.stabilise import moment_drift
from xmc.objectives import build_objective

OFF = StabilityPolicy(enabled=False)


def zipfian(num_steps, num_labels, dimension, num_rows=16, seed=0):
    """Batches whose queries share a direction and whose positives are Zipfian."""
    generator, random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    chances = np.cumsum(1 / np.arange(1, num_labels + 1))
    for _ in range(num_steps):
        queries = torch.randn(num_rows, dimension, generator=generator, dtype=torch.float64) + 0.5
        drawn = np.searchsorted(chances, random.random((num_rows, 3)) * chances[-1])
        yield torch.nn.functional.normalize(queries, dim=1), [np.unique(row) for row in drawn]


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def run_in_both_types(name, options, lr, num_steps, num_labels=2000, dimension=64):
    table = draw_table(num_labels, dimension)
    heads = [
        FactoredHead(table.to(t), name, options, weight_decay=1e-5) for t in (torch.float64, torch.float32)
    ]
    for queries, positives in zipfian(num_steps, num_labels, dimension):
        for head in heads:
            head.step(queries.to(head.factor.dtype), positives, lr)
    return heads


@pytest.mark.parametrize("decoupled", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize(("name", "options", "lr"), LOSSES)
def test_float32_stays_with_float64(name, options, lr, decoupled):
    exact, single = run_in_both_types(name, {**options, "decoupled": decoupled}, 4 * lr, 150, 400, 16)
    assert distance(single.table(), exact.table()) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(("name", "options", "lr"), LOSSES)
def test_float32_stays_with_float64_for_5000_steps(name, options, lr, decoupled):
    exact, single = run_in_both_types(name, {**options, "decoupled": decoupled}, 4 * lr, 5000)
    assert distance(single.table(), exact.table()) < 1e-4
    assert max(record.condition for record in single.records) < 1e4


def test_squared_error_without_stabilising_diverges_and_the_guard_trips_first():
    table = draw_table(200, 16).float()
    head = FactoredHead(table.clone(), "mean_squared_error", policy=OFF)
    dense = DenseHead(table.double(), "mean_squared_error", {})
    with pytest.raises(IllConditionedError, match="stabilise the head"):
        for queries, positives in zipfian(3000, 200, 16):
            head.step(queries, positives, 0.2)
            dense.step(queries, positives, 0.2)
    steps = int(head.steps)
    assert 100 < steps < 3000 and distance(head.table(), dense.table.detach()) < 1e-2
    # Without the guard the same steps go on to a table of rounding errors.
    state, value = factor(table.clone()), head.loss
    for number, (queries, positives) in enumerate(zipfian(2 * steps, 200, 16)):
        state = factored_step(state, queries, positives, value, 0.2, limit=float("inf")).state
        if number >= steps:
            dense.step(queries, positives, 0.2)
    assert not distance(plain_table(state), dense.table.detach()) < 0.1


def test_with_the_policy_the_same_run_is_that_of_the_dense_table():
    table = draw_table(200, 16).float()
    head = FactoredHead(table.clone(), "mean_squared_error")
    dense = DenseHead(table.double(), "mean_squared_error", {})
    for queries, positives in zipfian(200, 200, 16):
        head.step(queries, positives, 0.2)
        dense.step(queries, positives, 0.2)
    assert distance(head.table(), dense.table.detach()) < 1e-5
    assert any(record.rebalanced or record.unfactored for record in head.records)
    assert all(record.moment_drift is None or record.moment_drift < 1e-4 for record in head.records)


def test_a_rate_that_makes_a_step_singular_costs_a_pass_over_the_table_and_no_error():
    table, queries = draw_table(10, 4), torch.eye(4, dtype=torch.float64)[:1]
    head, dense = (
        FactoredHead(table.clone(), "mean_squared_error"),
        DenseHead(table, "mean_squared_error", {}),
    )
    for _ in range(3):
        head.step(queries, [[3]], 0.5)
        dense.step(queries, [[3]], 0.5)
    torch.testing.assert_close(head.table(), dense.table.detach(), rtol=1e-12, atol=1e-12)
    assert head.records[0].unfactored and head.records[1].unfactored


def test_diverged_training_is_an_error():
    head = FactoredHead(draw_table(10, 4).float(), "mean_squared_error")
    with pytest.raises(IllConditionedError):
        for queries, positives in zipfian(500, 10, 4):
            head.step(queries, positives, 50.0)


def test_periods_and_records(tmp_path: Path):
    policy = StabilityPolicy(check_every=5, probe_every=10, unfactor_every=20)
    head = FactoredHead(draw_table(50, 8).float(), "taylor_softmax", policy=policy)
    for queries, positives in zipfian(40, 50, 8):
        head.step(queries, positives, 0.1)
    assert [record.step for record in head.records] == list(range(5, 41, 5))
    assert [record.unfactored for record in head.records] == [
        record.step % 20 == 0 for record in head.records
    ]
    probed = [record.moment_drift is not None for record in head.records]
    assert probed == [record.step % 10 == 0 for record in head.records]
    assert all(record.condition >= 1 and record.inverse_drift < 1e-9 for record in head.records)
    assert head.records[-1].as_dict()["step"] == 40


def test_what_runs_over_all_labels_is_spaced_by_their_number():
    policy = StabilityPolicy()
    for num_labels in (1000, 100_000, 3_000_000):
        probes = sum(policy.due(step, 0, num_labels, 1.0).probe for step in range(1, 60_001))
        assert probes == 60_000 // max(100, num_labels // 500)
        assert not policy.due(1, 999, num_labels, 1.0).unfactor
        assert policy.due(1, max(1000, num_labels // 100), num_labels, 1.0).unfactor
    assert policy.due(1, 0, 1000, 4.1).check and not policy.due(1, 0, 1000, 3.9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_goes_on_to_the_same_bits(tmp_path: Path, dtype):
    def new() -> FactoredHead:
        policy = StabilityPolicy(check_every=7, unfactor_every=25)
        return FactoredHead(draw_table(60, 8).to(dtype), "spherical_z_loss", weight_decay=1e-3, policy=policy)

    batches = list(zipfian(40, 60, 8))
    straight, first = new(), new()
    for queries, positives in batches:
        straight.step(queries, positives, 0.5)
    for queries, positives in batches[:18]:
        first.step(queries, positives, 0.5)
    save_model(first, str(tmp_path / "head.safetensors"))
    second = new()
    second.restart(torch.zeros_like(second.factor))
    load_model(second, tmp_path / "head.safetensors")
    for queries, positives in batches[18:]:
        second.step(queries, positives, 0.5)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


def test_saves_a_plain_matrix(tmp_path: Path):
    table = draw_table(30, 8).float()
    head = FactoredHead(table.clone(), "spherical_z_loss")
    for queries, positives in zipfian(5, 30, 8):
        head.step(queries, positives, 1.0)
    head.save(tmp_path / "table.safetensors")
    saved = load_file(tmp_path / "table.safetensors")["table"]
    assert saved.shape == (30, 8) and torch.equal(saved, head.table())
    head.consolidate()
    torch.testing.assert_close(head.factor, saved)
    assert moment_drift(head.state) < 1e-6
    head.save(tmp_path / "half.safetensors", torch.float16)
    assert load_file(tmp_path / "half.safetensors")["table"].dtype == torch.float16


def test_a_batch_without_scipy_and_the_gradient_of_the_queries_fits_them():
    head = FactoredHead(draw_table(30, 8), "taylor_softmax", {"decoupled": True})
    queries, positives = draw_batch(5, 30, 8, 3)
    assert head.step(queries, positives, 0.1).gradient.shape == queries.shape


@pytest.mark.parametrize(
    ("loss", "options", "text"),
    [
        ("softmax", {}, "knows the labels by their moments"),
        ("spherical_z_loss", {"eps": 1.0}, "spherical_z_loss has no option 'eps'"),
        ("spherical_z_loss", {"a": 0.0}, "a above 0"),
    ],
)
def test_losses_that_do_not_fit_are_refused(loss, options, text):
    with pytest.raises(ConfigError, match=text):
        FactoredHead(draw_table(5, 3), loss, options)


def test_what_a_head_would_leave_out_is_refused(monkeypatch):
    objective = build_objective("spherical_z_loss")
    with pytest.raises(ConfigError, match="got a with a function"):
        FactoredHead(draw_table(5, 3), objective.value, {"a": 2.0})
    with_margin = replace(objective, margin=lambda own: own.scores - 1.0)
    monkeypatch.setattr("xmc.heads.head.build_objective", lambda name, options: with_margin)
    with pytest.raises(ConfigError, match="a loss without a margin.*spherical_z_loss"):
        FactoredHead(draw_table(5, 3), "spherical_z_loss")


def test_policies_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="check_every of at least 1"):
        StabilityPolicy(check_every=0)
    with pytest.raises(ConfigError, match="span above 1"):
        StabilityPolicy(span=1.0)
