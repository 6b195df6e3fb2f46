"""Clusters, mined negatives and the label memory in whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from tests.distributed.ranks import Ranks
from tests.training.test_trainer import losses
from tests.training.test_world import train_as_rank
from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError
from xmc.objectives import CATALOGUE, decoupled_softmax
from xmc.scoring import ExtraNegatives, FrozenLabels, RowsApart
from xmc.training import TrainConfig, Trainer, train
from xmc.training.batches import (
    ClustersConfig,
    MemoryConfig,
    MinedConfig,
    Moment,
    NegativesConfig,
    TemperedConfig,
)
from xmc.training.batches.mined.source import HardNegatives
from xmc.training.config import ObjectiveConfig, TermConfig
from xmc.training.run.interrupt import InterruptGuard, Verdict
from xmc.training.step import StepInputs, accumulate_gradients

MEMORY = MemoryConfig(enabled=True, refresh=5)
MINED = MinedConfig(count=2, last=6, every=4, wait=True)
CLUSTERS = ClustersConfig(largest=14, first=7, start_epoch=1)
TEMPERED = TemperedConfig(count=4)
SOURCES: dict[str, dict[str, Any]] = {
    "memory": {"memory": MEMORY},
    "sampled memory on disk": {"memory": MemoryConfig(enabled=True, refresh=5, storage="disk", sample=11)},
    "memory as moments": {"memory": MEMORY, "objective": "spherical_z_loss"},
    "mined": {"mined": MINED},
    "clusters": {"clusters": CLUSTERS},
    "two positives of each query and a memory": {"positives": 2, "memory": MEMORY},
    "two positives of each query": {"positives": 2, "tempered": TEMPERED},
    "everything": {
        "memory": MEMORY,
        "mined": replace(MINED, draw="score", margin=0.1),
        "clusters": CLUSTERS,
        "tempered": TEMPERED,
        "strata": 3,
    },
}
Change = Callable[..., TrainConfig]


@pytest.fixture
def sourced(config: TrainConfig, changed: Change) -> Callable[..., TrainConfig]:
    def make(objective: str = "decoupled_softmax", **sources: Any) -> TrainConfig:
        scaled = objective == "decoupled_softmax"
        named = {"name": objective, "label_offsets": scaled, "learn_scale": scaled}
        negatives = NegativesConfig(**{"mode": "sampled", "uniform": 12, **sources})
        return changed(replace(config, negatives=negatives), objective=named)

    return make


def logged(folder: str | Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES.keys())
def test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not(
    sources: dict[str, Any], sourced: Any, changed: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sourced(**sources)
    result = train(config)
    assert result.validation["P@1"] > 60
    assert not list(Path(config.run.dir).glob("*.bin"))
    cut = changed(config, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 13 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    train(changed(cut, run={"resume": True}))
    assert losses(config.run.dir) == losses(tmp_path / "cut")
    whole, resumed = (DualEncoder.load(Path(path) / "last") for path in (config.run.dir, tmp_path / "cut"))
    assert whole.fingerprint == resumed.fingerprint


def test_the_log_says_how_stale_everything_is(sourced: Any) -> None:
    config = sourced(memory=MEMORY, mined=MINED, clusters=CLUSTERS)
    train(config)
    lines = logged(config.run.dir)
    assert [line["clusters"]["size"] for line in lines[::7]] == [1, 7, 14, 14]
    assert [line["mined"]["stale_steps"] for line in lines[:6]] == [1, 2, 3, 4, 1, 2]
    oldest = [line["memory"]["stale_max"] for line in lines]
    # 40 labels, 5 per step in turn: after a round of 8 batches none is older, and those of pools are younger.
    assert 2 < max(oldest) <= 8
    assert all(1 <= line["memory"]["stale_mean"] <= line["memory"]["stale_max"] for line in lines)
    assert any(line["memory"]["drift"] > 1e-3 for line in lines)


def score(trainer: Trainer, inputs: StepInputs, step: int) -> torch.Tensor:
    """The loss of a step of one batch, whose gradients stay where they are."""
    trainer.learner.zero_grad()
    moment = Moment(step, step, inputs.frozen, trainer.learner.parameters)
    batch = trainer.batches.next(moment)
    loss, embeddings = accumulate_gradients(inputs, batch)
    trainer.batches.after(batch, embeddings, moment)
    return loss


def one_batch(config: TrainConfig) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of the third batch after two steps, and the gradients of the query tower."""
    trainer = Trainer(config)
    inputs = trainer.prepare_inputs()
    trainer.encoder.train()
    for step in range(2):
        score(trainer, inputs, step)
        with torch.no_grad():
            # The same change of the weights in every run, whatever its gradients are.
            generator = torch.Generator().manual_seed(step)
            for parameter in trainer.encoder.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    loss = score(trainer, inputs, 2)
    route = {id(p) for p in trainer.encoder.label_tower.modules[0].parameters()}
    named = trainer.encoder.model.named_parameters()
    return float(loss), {name: p.grad for name, p in named if id(p) not in route and p.grad is not None}


@pytest.mark.parametrize(
    ("objective", "storage"),
    [("decoupled_softmax", "device"), ("decoupled_softmax", "disk"), ("spherical_z_loss", "device")],
)
def test_a_memory_refreshed_each_step_equals_training_with_all_labels(
    objective: str, storage: Any, config: TrainConfig, changed: Change, sourced: Any, tmp_path: Path
) -> None:
    still = {"dropout": 0.0}
    scaled = objective == "decoupled_softmax"
    named = {"name": objective, "label_offsets": scaled, "learn_scale": scaled}
    everything = changed(
        replace(config, negatives=NegativesConfig(mode="all")), encoder=still, objective=named
    )
    expected, gradients = one_batch(changed(everything, run={"dir": str(tmp_path / "all")}))
    memory = MemoryConfig(enabled=True, refresh=40, dtype="float32", storage=storage)
    fresh = changed(sourced(objective, memory=memory), encoder=still, run={"dir": str(tmp_path / "memory")})
    loss, found = one_batch(fresh)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert set(found) == set(gradients) and found
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
    stale = changed(
        sourced(objective, memory=replace(memory, refresh=0)),
        encoder=still,
        run={"dir": str(tmp_path / "stale")},
    )
    assert abs(one_batch(stale)[0] - expected) > 1e-3, "without refreshing it is another loss"


@pytest.fixture
def filtered(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> sp.csr_matrix:
    """A filter of a tenth of all pairs, positives among them."""
    shape = dataset.relevance("train").shape
    pairs = sp.csr_matrix(np.random.default_rng(5).random(shape) < 0.1)
    monkeypatch.setattr(Dataset, "filter", lambda self, split: pairs if split == "train" else None)
    return pairs


def test_a_function_that_would_not_see_masked_pairs_is_refused_before_a_run_is_begun(
    config: TrainConfig, changed: Change, filtered: sp.csr_matrix
) -> None:
    simple = replace(changed(config, negatives={"mode": "all"}), objective=ObjectiveConfig())
    with pytest.raises(ConfigError, match="plain: the data set's filter has pairs .*`masked`"):
        Trainer(simple, objective=plain)
    assert not Path(config.run.dir).exists()
    Trainer(changed(simple, negatives={"filter_pairs": "negative"}), objective=plain)


@pytest.mark.parametrize("label_queries", [0.0, 0.5], ids=["rows", "labels as queries"])
def test_positives_that_are_not_kept_are_no_negatives_of_their_rows_in_a_memory(
    label_queries: float, config: TrainConfig, changed: Change, sourced: Any, dataset: Dataset
) -> None:
    """Scores are 60 at a row's positives, and 0 elsewhere: one among its negatives would cost some 60."""
    memory = MemoryConfig(enabled=True, refresh=0, dtype="float32")
    run = changed(sourced(positives=1, uniform=4, memory=memory), data={"label_queries": label_queries})
    trainer = Trainer(changed(run, encoder={"dropout": 0.0}))
    inputs = trainer.prepare_inputs()
    batch = trainer.batches.next(Moment(0, 0, inputs.frozen, trainer.learner.parameters))
    pool, frozen = batch.pool, batch.outside
    assert isinstance(frozen, FrozenLabels) and pool.dropped is not None
    own = torch.from_numpy(trainer.batches.relevance[batch.queries].toarray() > 0).double()
    apart = None if pool.apart is None else RowsApart(*map(torch.from_numpy, pool.apart))
    # Queries are unit vectors, labels their columns of the positives.
    loss = decoupled_softmax(
        torch.eye(len(own)).double(),
        own.T[pool.label_ids],
        pool.positives,
        scale=60.0,
        log_weights=torch.from_numpy(pool.log_weights),
        masked=pool.masked,
        extra=ExtraNegatives(frozen=replace(frozen, embeddings=own.T, offsets=None)),
        apart=apart,
    )
    assert float(loss) < 1e-9
    assert (np.diff(pool.dropped.indptr)[:14] > 0).any()


MASKING: dict[str, dict[str, Any]] = {
    "a sample of all labels": {"uniform": 40},
    "memory": {"memory": MemoryConfig(enabled=True, refresh=40, dtype="float32")},
    "memory of moments": {
        "memory": MemoryConfig(enabled=True, refresh=40, dtype="float32"),
        "objective": "spherical_z_loss",
    },
}


@pytest.mark.parametrize("sources", MASKING.values(), ids=MASKING.keys())
def test_filter_pairs_are_masked_as_in_training_with_all_labels(
    sources: dict[str, Any], config: TrainConfig, changed: Change, sourced: Any, filtered: Any, tmp_path: Path
) -> None:
    still, objective = {"dropout": 0.0}, sources.get("objective", "decoupled_softmax")
    scaled = objective == "decoupled_softmax"
    named = {"name": objective, "label_offsets": scaled, "learn_scale": scaled}

    def with_all(how: str) -> tuple[float, dict[str, torch.Tensor]]:
        negatives = NegativesConfig(mode="all", filter_pairs=how)  # type: ignore[arg-type]
        everything = changed(replace(config, negatives=negatives), encoder=still, objective=named)
        return one_batch(changed(everything, run={"dir": str(tmp_path / how)}))

    expected, gradients = with_all("mask")
    loss, found = one_batch(changed(sourced(**sources), encoder=still, run={"dir": str(tmp_path / "some")}))
    assert loss == pytest.approx(expected, rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)
    assert abs(with_all("negative")[0] - expected) > 1e-3


def test_what_is_masked_is_neither_positive_nor_brought_nor_missing_from_a_pool(
    config: TrainConfig,
    changed: Change,
    filtered: sp.csr_matrix,
    dataset: Dataset,
) -> None:
    negatives = NegativesConfig(mode="sampled", uniform=4, memory=MemoryConfig(enabled=True, refresh=5))
    trainer = Trainer(replace(changed(config, data={"label_queries": 0.5}), negatives=negatives))
    wanted = filtered.toarray() & (dataset.relevance("train").toarray() == 0)
    inputs = trainer.prepare_inputs()
    for index in range(3):
        batch = trainer.batches.next(Moment(index, index, inputs.frozen, trainer.learner.parameters))
        assert batch.pool.masked is not None and len(batch.queries) == 14 + 7
        found = np.zeros((len(batch.queries), 40), dtype=bool)
        found[:, batch.pool.label_ids] = batch.pool.masked.toarray()
        np.testing.assert_array_equal(found[:14], wanted[batch.queries[:14]])
        assert not found[14:].any(), "a label's own row masks nothing"


def test_mining_goes_on_in_the_background(
    config: TrainConfig, sourced: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lists come when they are ready, and training takes steps meanwhile."""
    import threading

    from xmc.training.batches.mined import source as hard_negatives

    released = threading.Event()
    mine = hard_negatives.mine_labels

    def slow(*arguments: Any, **options: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        assert released.wait(60)
        return mine(*arguments, **options)

    monkeypatch.setattr(hard_negatives, "mine_labels", slow)
    poll = HardNegatives.poll

    def polled(self: HardNegatives, step: int, *arguments: Any) -> bool:
        if step == 5:
            released.set()
            assert self._task is not None
            self._task.join()
        return poll(self, step, *arguments)

    monkeypatch.setattr(HardNegatives, "poll", polled)
    run = sourced(mined=replace(MINED, wait=False, every=100))
    train(run)
    lines = logged(run.run.dir)
    assert [line["mined"] for line in lines[:5]] == [{}] * 5
    assert lines[5]["mined"]["stale_steps"] == 6


def test_an_error_of_the_background_ends_the_training(sourced: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from xmc.training.batches.mined import source as hard_negatives

    def broken(*arguments: Any, **options: Any) -> Any:
        raise ConfigError("a broken search")

    monkeypatch.setattr(hard_negatives, "mine_labels", broken)
    with pytest.raises(ConfigError, match="a broken search"):
        train(sourced(mined=MINED))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("memory", 3),
        ("memory as moments", 3),
        ("everything", 2),
        ("two positives of each query and a memory", 2),
    ],
)
def test_ranks_follow_the_curve_of_one(
    name: str, size: int, sourced: Any, changed: Change, tmp_path: Path, ranks: Ranks
) -> None:
    alone = changed(sourced(**SOURCES[name]), encoder={"dropout": 0.0}, training={"epochs": 2})
    train(alone)
    shared = changed(alone, run={"dir": str(tmp_path / f"world{size}")})
    ranks.run(train_as_rank, shared, size=size, seconds=300)
    np.testing.assert_allclose(losses(shared.run.dir), losses(alone.run.dir), rtol=2e-3)


def test_moments_that_a_checkpoint_lacks_are_counted_anew(
    sourced: Any, changed: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of a softmax goes on as one of a spherical loss."""
    cut = changed(sourced(memory=MEMORY), objective={"label_offsets": False, "learn_scale": False})
    asked = iter([Verdict.GO_ON] * 10 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    result = train(
        changed(
            cut, run={"resume": True, "resume_with_changes": True}, objective={"name": "spherical_z_loss"}
        )
    )
    assert result.validation["P@1"] > 30


@pytest.mark.parametrize("name", ["everything", "memory as moments"])
def test_a_run_resumes_on_another_number_of_ranks(
    name: str, sourced: Any, changed: Change, tmp_path: Path, ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = changed(sourced(**SOURCES[name]), encoder={"dropout": 0.0}, training={"epochs": 2})
    train(whole)
    cut = changed(whole, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 10 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    ranks.run(train_as_rank, changed(cut, run={"resume": True}), size=2, seconds=300)
    np.testing.assert_allclose(losses(cut.run.dir), losses(whole.run.dir), rtol=2e-3)


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"objective": {"name": "soft_top_k"}, "sources": {"memory": MEMORY}}, "negatives.memory: expected"),
        ({"objective": {"name": "spherical_z_loss"}, "sources": {"mined": MINED}}, "weigh a label by row"),
        (
            {"objective": {"name": "taylor_softmax", "label_offsets": True}, "sources": {"memory": MEMORY}},
            "label_offsets false",
        ),
        (
            {
                "objective": {"name": "taylor_softmax", "label_offsets": False},
                "sources": {"memory": replace(MEMORY, sample=4)},
            },
            "negatives.memory.sample: expected null",
        ),
        (
            {
                "objective": {"name": "taylor_softmax", "label_offsets": False},
                "scoring": {"implementation": "dense"},
                "sources": {"memory": MEMORY},
            },
            "scoring.implementation: expected 'auto'",
        ),
        ({"sources": {"clusters": ClustersConfig(largest=4)}}, "a divisor of training.batch_size, got 4"),
    ],
)
def test_sources_that_do_not_fit_are_errors(
    sections: dict[str, Any], text: str, sourced: Any, changed: Change
) -> None:
    sources = sections.pop("sources")
    with pytest.raises(ConfigError, match=text):
        changed(sourced(**sources), **sections)


@pytest.mark.parametrize("name", sorted({*CATALOGUE} - {"decoupled_softmax", "binary_cross_entropy"}))
def test_objectives_that_need_all_positives_of_a_row_refuse_some(name: str, sourced: Any) -> None:
    with pytest.raises(ConfigError, match=f"negatives.positives: expected null with {name}, got 1"):
        sourced(name, positives=1)


def plain(queries: torch.Tensor, labels: torch.Tensor, positives: torch.Tensor) -> torch.Tensor:
    """A loss of one's own, which sees no weights of positives."""
    return -(queries @ labels.T)[positives].mean()


def test_what_is_known_of_an_objective_once_it_is_built(
    sourced: Any, changed: Change, tmp_path: Path
) -> None:
    """A prior that counts positives, a further term that needs all of them, a function of one's own."""
    some = sourced(positives=1)
    binary = {"name": "binary_cross_entropy"}
    with pytest.raises(
        ConfigError, match="expected null with binary_cross_entropy, .*objective.options.bias"
    ):
        Trainer(changed(some, objective=binary))
    Trainer(changed(some, objective={**binary, "options": {"bias": -3.0}}))
    with pytest.raises(ConfigError, match=r"expected null with decoupled_softmax \+ softmax"):
        Trainer(changed(some, objective={"terms": [TermConfig("softmax")]}))
    with pytest.raises(ConfigError, match="expected null with plain"):
        Trainer(some, objective=plain)
