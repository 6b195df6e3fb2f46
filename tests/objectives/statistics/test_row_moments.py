from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.largest import LargestTensor
from tests.objectives.batches import make_batch
from xmc.objectives import spherical_softmax, spherical_z_loss, taylor_softmax
from xmc.objectives.statistics.row_moments import dense_negative_moments, negative_moments
from xmc.scoring import LabelShard, ScoreInputs, as_positives


@pytest.mark.parametrize("sampled", [True, False])
def test_moments_without_scores_are_those_of_the_scores(sampled: bool) -> None:
    batch = make_batch(6, 11, sampled=sampled)
    pairs = as_positives(batch.positives, 6, 11)
    given = {"scale": batch.scale, "offsets": batch.offsets, "log_weights": batch.log_weights}
    scores, found = negative_moments(
        ScoreInputs(batch.queries, batch.labels, pairs, shard=LabelShard.whole(11), **given)
    )
    dense_scores, dense = dense_negative_moments(ScoreInputs(batch.queries, batch.labels, pairs, **given))
    torch.testing.assert_close(scores, dense_scores)
    for name in ("count", "mean", "scatter", "total", "squares"):
        torch.testing.assert_close(getattr(found, name), getattr(dense, name), msg=name)
    assert found.count[0] == 0, "the first row has nothing but positives"


def test_adding_positives_is_what_a_larger_set_has() -> None:
    batch = make_batch(6, 11, sampled=False)
    pairs = as_positives(batch.positives, 6, 11)
    scores = batch.queries @ batch.labels.T
    given = {"scale": torch.tensor(1.0), "offsets": None, "log_weights": None}
    positive_scores, negatives = dense_negative_moments(
        ScoreInputs(batch.queries, batch.labels, pairs, **given)
    )
    everything = negatives.with_all(positive_scores, pairs)
    torch.testing.assert_close(everything.mean, scores.mean(1))
    torch.testing.assert_close(everything.variance, scores.var(1, correction=0))
    own = negatives.with_own(positive_scores, pairs)
    for pair, (row, label) in enumerate(zip(pairs.rows.tolist(), pairs.labels.tolist(), strict=True)):
        others = set(pairs.labels[pairs.rows == row].tolist()) - {label}
        kept = scores[row][[j for j in range(11) if j not in others]]
        torch.testing.assert_close(own.mean[pair], kept.mean())
        torch.testing.assert_close(own.variance[pair], kept.var(correction=0))


def test_no_matrix_of_queries_by_labels_is_made_forward_or_backward() -> None:
    queries, labels = torch.randn(200, 4, requires_grad=True), torch.randn(3000, 4, requires_grad=True)
    pairs = as_positives([[row] for row in range(200)], 200, 3000)
    with LargestTensor() as seen:
        scores, moments = negative_moments(
            ScoreInputs(
                queries,
                labels,
                pairs,
                scale=torch.tensor(1.0),
                offsets=None,
                log_weights=None,
                shard=LabelShard.whole(3000),
            )
        )
        (scores.sum() + moments.scatter.sum() + moments.mean.sum()).backward()
    assert 0 < seen.elements <= 3000 * 5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("loss", [spherical_z_loss, taylor_softmax, spherical_softmax])
def test_the_query_gradient_of_halves_is_as_exact_as_a_half_is(loss: Any, dtype: torch.dtype) -> None:
    """Its parts nearly cancel where embeddings share a direction: in halves their sum was off."""
    generator = torch.Generator().manual_seed(0)
    queries, labels = (
        F.normalize(torch.randn(n, 64, generator=generator) + 4, dim=1).to(dtype) for n in (16, 2000)
    )
    gradients = []
    for kind in (dtype, torch.float64):
        leaf = queries.detach().to(kind).requires_grad_()
        loss(leaf, labels.to(kind), [[i, i + 1] for i in range(16)], scale=10.0).backward()
        gradients.append(leaf.grad.double())
    found, exact = gradients
    # Nothing but the rounding of the result itself, half a unit in its last place.
    assert (found - exact).abs().max() <= 0.51 * torch.finfo(dtype).eps * exact.abs().max()
