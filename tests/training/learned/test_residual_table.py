from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.distributed.ranks import Ranks
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.retrieval import LabelIndex
from xmc.training import ResidualConfig, train
from xmc.training.learned.optimisers.row_adagrad import RowAdagrad
from xmc.training.learned.optimisers.row_optimiser import RowOptimiser
from xmc.training.learned.residual_table import ResidualTable

ALONE = World(0, 1)


def table(dropout: float = 0.0, assignment: np.ndarray | None = None, num_labels: int = 50) -> ResidualTable:
    return ResidualTable(ResidualConfig(True, 0.1, dropout), assignment, num_labels, 4, seed=0)


def adagrad(residuals: ResidualTable) -> RowOptimiser:
    return RowOptimiser(residuals, RowAdagrad(residuals.table), 0.1)


def take_step(optimiser: RowOptimiser) -> None:
    optimiser.gather(ALONE)
    optimiser.step(1.0)
    optimiser.zero_grad()


def unit_rows(count: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 4, generator=torch.Generator().manual_seed(seed)))


def test_an_untrained_table_changes_no_label() -> None:
    labels = unit_rows(50)
    torch.testing.assert_close(table().join(labels, np.arange(50), (0, 50), 0), labels)


def test_a_step_moves_the_scored_labels_downhill_and_no_others() -> None:
    residuals, labels, target = table(), unit_rows(3), unit_rows(3, seed=1)
    ids = np.array([4, 7, 31])
    before = float((labels * target).sum())
    optimiser = adagrad(residuals)
    for batch_index in range(5):
        loss = -(residuals.join(labels, ids, (0, 3), batch_index) * target).sum()
        loss.backward()
        take_step(optimiser)
    after = float((residuals.join(labels, ids, (0, 3), 9) * target).sum().detach())
    assert after > before + 0.1
    assert set(residuals.table.norm(dim=1).nonzero().flatten().tolist()) == set(ids.tolist())


def test_dropout_leaves_out_a_share_that_depends_on_the_batch_alone() -> None:
    residuals = table(dropout=0.3, num_labels=2000)
    residuals.table += 1.0
    labels, ids = unit_rows(2000), np.arange(2000)

    def kept(batch_index: int) -> torch.Tensor:
        return (residuals.join(labels, ids, (0, 2000), batch_index) - labels).abs().sum(1) > 1e-6

    assert abs(float(kept(0).float().mean()) - 0.7) < 0.05
    assert torch.equal(kept(3), kept(3)) and not torch.equal(kept(3), kept(4))
    # A shard of the pool leaves out what the whole pool does.
    part = residuals.join(labels[700:900], ids, (700, 900), 3)
    torch.testing.assert_close(part, residuals.join(labels, ids, (0, 2000), 3)[700:900])


def test_a_step_that_leaves_all_out_changes_nothing() -> None:
    residuals = table(dropout=0.999, num_labels=2)
    residuals.join(unit_rows(2), np.arange(2), (0, 2), 0).sum().backward()
    optimiser = adagrad(residuals)
    assert residuals.gather(ALONE) is None
    take_step(optimiser)
    assert not residuals.table.any()


def test_labels_with_too_few_training_rows_have_none() -> None:
    config, points = ResidualConfig(True, 0.1, 0.0, min_points=3), np.array([5, 2, 3, 0])
    residuals = ResidualTable(config, None, 4, 4, seed=0, points=points)
    optimiser = adagrad(residuals)
    for batch_index in range(3):
        residuals.join(unit_rows(4), np.arange(4), (0, 4), batch_index).sum().backward()
        take_step(optimiser)
    assert residuals.of_labels().any(dim=1).tolist() == [True, False, True, False]
    shared = ResidualTable(
        ResidualConfig(True, 0.1, 0.0), np.array([0, 1, 0, 1]), 4, 4, seed=0, points=points
    )
    assert shared.frequent is None, "what is shared does not depend on a label's own rows"
    with pytest.raises(ConfigError, match="residuals.min_points: expected 1 with residuals.clusters"):
        ResidualConfig(True, clusters=2, min_points=3)


def test_labels_of_a_cluster_share_a_residual() -> None:
    residuals = table(assignment=np.array([1, 0, 1, 2]), num_labels=4)
    residuals.join(unit_rows(4), np.arange(4), (0, 4), 0).sum().backward()
    take_step(adagrad(residuals))
    each = residuals.of_labels()
    assert residuals.table.shape == (3, 4) and torch.equal(each[0], each[2])
    assert not torch.equal(each[0], each[1])


def learned(config, changed, **options: object):
    return changed(config, residuals={"enabled": True, "learning_rate": 0.3, **options})


def test_residuals_are_trained_saved_and_indexed(config, changed, dataset) -> None:
    # Frozen towers: what is learned is learned by the residuals.
    frozen = changed(learned(config, changed), training={"learning_rate": 1e-9, "epochs": 12})
    result = train(frozen)
    assert result.validation["P@1"] > 50
    model = DualEncoder.load(result.last_path)
    uids, texts = list(dataset.uids("labels")), dataset.texts("labels")
    joined, alone = model.encode_labels(texts, uids=uids), model.encode_labels(texts)
    assert np.abs(joined - alone).max() > 0.1
    np.testing.assert_allclose(np.linalg.norm(joined, axis=1), 1, atol=1e-5)
    index = LabelIndex.build(model, dataset, progress=False)
    # The same text under a new uid has no residual of its own.
    index.add([texts[0]], ["new"])
    vectors = index.vectors(np.arange(41))
    assert vectors is not None
    vectors = vectors[:, : model.dimension]
    np.testing.assert_allclose(vectors[:40], joined, atol=1e-6)
    np.testing.assert_allclose(vectors[40], alone[0], atol=1e-6)


def test_a_resumed_run_has_the_residuals_of_one_that_was_not_stopped(
    config, changed, tmp_path, monkeypatch
) -> None:
    from xmc.training.run.interrupt import InterruptGuard, Verdict

    whole = learned(config, changed)
    train(whole)
    cut = changed(whole, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 13 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    train(changed(cut, run={"resume": True}))
    models = [DualEncoder.load(Path(run.run.dir) / "last") for run in (whole, cut)]
    assert models[0].fingerprint == models[1].fingerprint
    models[0].label_residuals.table[0] += 1
    assert models[0].fingerprint != models[1].fingerprint


def test_two_ranks_learn_the_residuals_of_one(config, changed, tmp_path, ranks: Ranks) -> None:
    from tests.training.test_world import train_as_rank

    alone = changed(learned(config, changed, clusters=9), encoder={"dropout": 0.0}, training={"epochs": 2})
    train(alone)
    shared = changed(alone, run={"dir": str(tmp_path / "two")})
    ranks.run(train_as_rank, shared, size=2, seconds=120)
    one, two = (DualEncoder.load(Path(run.run.dir) / "last").label_residuals for run in (alone, shared))
    assert one.table.shape == (9, 24) and np.abs(one.table).max() > 0.01
    np.testing.assert_array_equal(one.rows, two.rows)
    np.testing.assert_allclose(one.table, two.table, atol=2e-3)


def test_more_clusters_than_labels_are_refused(config, changed) -> None:
    with pytest.raises(ConfigError, match="residuals.clusters: expected at most the 40 labels, got 41"):
        train(learned(config, changed, clusters=41))
