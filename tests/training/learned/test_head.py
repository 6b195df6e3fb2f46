from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.distributed.ranks import Ranks
from tests.objectives.functions import FUNCTIONS
from tests.runs import losses
from tests.training.test_world import train_as_rank
from xmc import LabelIndex, evaluate
from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, ModelError
from xmc.heads import HeadConfig
from xmc.training import TrainConfig, Trainer, train
from xmc.training.batches import Moment, NegativesConfig
from xmc.training.config import ObjectiveConfig
from xmc.training.learned.head import build_head, ranking_of
from xmc.training.run.interrupt import InterruptGuard, Verdict
from xmc.training.step import optimise, step_head

RATES = {
    "spherical_z_loss": 20.0,
    "taylor_softmax": 20.0,
    "spherical_softmax": 20.0,
    "mean_squared_error": 0.5,
}


@pytest.fixture
def head_config(config: TrainConfig) -> TrainConfig:
    """A run with a head on the spherical Z-loss."""
    return with_objective(config, "spherical_z_loss")


def with_objective(config: TrainConfig, name: str, **head: object) -> TrainConfig:
    options = {"decoupled": True}
    scale = 1.0 if name == "mean_squared_error" else 4.0
    return replace(
        config,
        objective=ObjectiveConfig(name=name, options=options, scale=scale),
        negatives=NegativesConfig(),
        head=HeadConfig(**{"kind": "factored", "learning_rate": RATES[name], **head}),
    )


@pytest.mark.parametrize("name", RATES)
def test_learns_and_its_model_is_evaluated_indexed_and_searched(config, dataset, tmp_path, name):
    head_config = with_objective(config, name)
    result = train(head_config)
    first = json.loads((Path(head_config.run.dir) / "metrics.jsonl").read_text().splitlines()[0])
    assert first["validation"]["P@1"] < 30 < 40 < result.validation["P@1"]
    model = DualEncoder.load(result.model_path)
    assert model.label_vectors.table.dtype == np.float32
    measured = evaluate(result.model_path, dataset, progress=False)
    assert measured.metrics["P@1"] > 30

    scores = model.metadata.scale * model.encode_queries(["query3 query9"]) @ model.label_vectors.table.T
    likelihood = {"spherical_softmax": scores**2, "taylor_softmax": 1 + scores + scores**2 / 2}
    expected = np.argsort(-likelihood.get(name, scores)[0], kind="stable")[:12]
    index = LabelIndex.build(result.model_path, dataset, progress=False)
    index.save(tmp_path / "index")
    ids, _ = LabelIndex.load(tmp_path / "index").search("query3 query9", 12)
    assert ids.tolist() == expected.tolist()
    assert {3, 9} & set(ids[:3].tolist())


def test_the_step_is_that_of_autograd_on_the_whole_table(head_config, changed):
    learning = changed(
        head_config,
        objective={"learn_scale": True},
        encoder={"dropout": 0.0},
        training={"scale_learning_rate": 1e-3},  # the loss does not depend on the scale
    )
    trainer = Trainer(learning)
    inputs, head = trainer.prepare_inputs(), trainer.learner.head
    batch = trainer.batches.next(Moment(0, 0, inputs.frozen, trainer.learner.parameters))
    table = head.table().double().requires_grad_()
    parameters = [*trainer.encoder.parameters(), trainer.learner.parameters.log_scale]

    tokens = inputs.queries.gather(batch.queries)
    queries = trainer.encoder.query_tower(*tokens).double()
    scale = trainer.learner.parameters.scale
    loss = FUNCTIONS["spherical_z_loss"](
        queries,
        table,
        trainer.batches.relevance[batch.queries],
        scale=scale,
        implementation="dense",
        decoupled=True,
    )
    expected = torch.autograd.grad(loss, [*parameters, table], allow_unused=True)

    found = step_head(inputs, head, batch, 0.5)
    assert float(found) == pytest.approx(float(loss.detach()), rel=1e-6)
    for parameter, gradient in zip(parameters, expected, strict=False):
        if gradient is not None:
            torch.testing.assert_close(
                parameter.grad, gradient.to(parameter.grad.dtype), rtol=1e-4, atol=1e-7
            )
    moved = table.detach() - 0.5 * learning.head.learning_rate * expected[-1]
    torch.testing.assert_close(head.table().double(), moved, rtol=1e-5, atol=1e-6)


def test_queries_that_are_not_finite_are_skipped_and_leave_the_head_alone(head_config):
    trainer = Trainer(head_config)
    inputs, before = trainer.prepare_inputs(), trainer.learner.head.table()
    with torch.no_grad():
        for parameter in trainer.encoder.parameters():
            parameter.fill_(torch.nan)
    result = optimise(inputs, 0)
    assert result.skipped == (
        "expected finite embeddings of queries, got 14 of 14 that are not: lower the learning rate, or clip "
        "gradients"
    )
    assert torch.equal(trainer.learner.head.table(), before)


def test_a_run_that_was_interrupted_goes_on_as_if_it_was_not(head_config, changed, tmp_path, monkeypatch):
    train(head_config)
    cut = changed(head_config, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 13 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    train(changed(cut, run={"resume": True}))
    assert losses(head_config.run.dir) == losses(tmp_path / "cut")
    whole, resumed = (
        DualEncoder.load(Path(path) / "last") for path in (head_config.run.dir, tmp_path / "cut")
    )
    assert whole.fingerprint == resumed.fingerprint
    assert np.array_equal(whole.label_vectors.table, resumed.label_vectors.table)


def test_two_ranks_follow_the_curve_of_one(head_config, changed, tmp_path, ranks: Ranks):
    alone = changed(head_config, encoder={"dropout": 0.0}, training={"epochs": 2})
    single = train(alone)
    shared = replace(alone, run=replace(alone.run, dir=str(tmp_path / "world2")))
    metrics = ranks.run(train_as_rank, shared, size=2, seconds=120)
    np.testing.assert_allclose(losses(shared.run.dir), losses(alone.run.dir), rtol=1e-4)
    assert len(set(metrics)) == 1
    one, many = DualEncoder.load(single.last_path), DualEncoder.load(Path(shared.run.dir) / "last")
    np.testing.assert_allclose(one.label_vectors.table, many.label_vectors.table, atol=1e-3)


def test_starts_from_zeros_and_keeps_halves_where_asked(config, changed):
    result = train(with_objective(config, "taylor_softmax", start="zeros", table="fp16"))
    model = DualEncoder.load(result.model_path)
    assert model.label_vectors.table.dtype == np.float16
    assert result.validation["P@1"] > 45


def test_a_label_the_head_does_not_know_is_refused(head_config, changed):
    result = train(changed(head_config, training={"epochs": 0.3}))
    model = DualEncoder.load(result.model_path)
    with pytest.raises(ModelError, match="no vector for 'new'"):
        model.encode_labels(["a", "b"], uids=["l3", "new"])
    with pytest.raises(ModelError, match="expected uids of labels"):
        model.encode_labels(["a"])
    some = model.encode_labels(["", ""], uids=["l5", "l2"])
    np.testing.assert_array_equal(some, model.label_vectors.table[[5, 2]])


def test_ranking_follows_the_loss(config):
    assert ranking_of(config, 4.0) == ("score", 0.0)
    found = {name: ranking_of(with_objective(config, name), 4.0) for name in RATES}
    assert found == {
        "spherical_z_loss": ("score", 0.0),
        "mean_squared_error": ("score", 0.0),
        "spherical_softmax": ("magnitude", 0.0),
        "taylor_softmax": ("magnitude", 0.25),
    }


@pytest.mark.parametrize(
    ("section", "values", "text"),
    [
        ("objective", {"name": "softmax", "options": {}}, "objective.name 'softmax'"),
        ("objective", {"label_offsets": True}, "objective.label_offsets: expected to be left out"),
        ("negatives", {"mode": "sampled"}, "negatives.mode: expected to be left out"),
        ("residuals", {"enabled": True}, "residuals.enabled"),
        ("training", {"accumulation": 2}, "training.accumulation"),
        ("head", {"start": "zeros"}, "head.start: expected labels for spherical_z_loss"),
    ],
)
def test_sections_that_do_not_fit_a_head_are_refused(head_config, changed, section, values, text):
    with pytest.raises(ConfigError, match=text):
        build_head(changed(head_config, **{section: values}), None, [], torch.device("cpu"), None)


def test_options_of_a_head_are_checked():
    for wrong, text in (({"kind": "dense"}, "head.kind"), ({"learning_rate": 0.0}, "head.learning_rate")):
        with pytest.raises(ConfigError, match=text):
            HeadConfig(**wrong)
    with pytest.raises(ConfigError, match="head.weight_decay"):
        HeadConfig(learning_rate=10.0, weight_decay=0.1)


def test_residuals_of_encoded_labels_learn_with_a_spherical_loss(config, changed):
    """What a head trains instead of encoded labels, residuals train on top of them."""
    encoded = replace(config, objective=ObjectiveConfig(name="spherical_z_loss"), negatives=NegativesConfig())
    result = train(changed(encoded, residuals={"enabled": True}))
    model = DualEncoder.load(result.model_path)
    assert result.validation["P@1"] > 40
    assert np.abs(model.label_residuals.table).sum() > 0 and model.label_vectors is None
