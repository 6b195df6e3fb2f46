from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import Term, WeightedTerms, build_objective, plain_objective
from xmc.objectives.statistics.log_partition import LogPartition
from xmc.scoring import ScoreInputs


def spread(queries: Tensor, labels: Tensor, positives: Tensor) -> Tensor:
    """A regulariser: the squared length of the mean query."""
    return queries.mean(0).square().sum() + 0 * labels.sum()


def given() -> ScoreInputs:
    batch = make_batch(4, 9)
    return ScoreInputs(
        batch.queries.requires_grad_(), batch.labels.requires_grad_(), batch.positives, batch.scale
    )


def test_it_is_the_weighted_sum_with_its_gradient() -> None:
    inputs = given()
    names = ["decoupled_softmax", "spherical_z_loss", "binary_cross_entropy"]
    losses = [*map(build_objective, names), plain_objective("spread", spread)]
    weights = [1.0, 0.3, 0.01, 2.0]
    whole = WeightedTerms(tuple(Term(*pair) for pair in zip(losses, weights, strict=True)))
    expected = sum(weight * loss(inputs) for loss, weight in zip(losses, weights, strict=True))
    torch.testing.assert_close(whole(inputs), expected)
    found, wanted = (torch.autograd.grad(part, inputs.queries)[0] for part in (whole(inputs), expected))
    torch.testing.assert_close(found, wanted)
    rows = WeightedTerms(whole.terms[:3])(inputs, "none")
    torch.testing.assert_close(rows.mean(), WeightedTerms(whole.terms[:3])(inputs))


def test_terms_on_one_statistic_share_its_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    reduce = LogPartition.reduce_in_place
    monkeypatch.setattr(LogPartition, "reduce_in_place", lambda *a: passes.append(1) or reduce(*a))
    names = ["decoupled_softmax", "softmax", "supervised_contrastive"]
    WeightedTerms(tuple(Term(build_objective(name)) for name in names))(given())
    assert len(passes) == 1


def test_it_takes_what_every_term_takes() -> None:
    def facts(*names: str):  # type: ignore[no-untyped-def]
        return WeightedTerms(tuple(Term(build_objective(name)) for name in names)).facts

    assert facts("softmax", "decoupled_softmax").takes_frozen
    assert not facts("softmax", "binary_cross_entropy").takes_frozen
    assert facts("softmax", "binary_cross_entropy").takes_certain
    assert not facts("softmax", "taylor_softmax").takes_moments
    assert facts("softmax", "taylor_softmax").name == "softmax + taylor_softmax"


def test_no_terms_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one term"):
        WeightedTerms(())
