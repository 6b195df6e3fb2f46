from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import SoftTopK, soft_top_k
from xmc.objectives.statistics.soft_threshold import SoftThreshold
from xmc.scoring import ScoreInputs, as_positives, reduce_scores

MANY = 1_305_265


def test_indicators_of_equal_scores_add_up_to_k_for_a_million_labels() -> None:
    queries, labels = torch.full((2, 1), 3.0), torch.ones(MANY, 1)
    statistic = SoftThreshold(torch.tensor([5.0, 100.0]), 2.0, torch.zeros(2), torch.zeros(2))
    pairs = as_positives([[1], []], 2, MANY)
    threshold = reduce_scores(ScoreInputs(queries, labels, pairs, scale=1.0), statistic)[1][:, 0].double()
    totals = MANY * torch.sigmoid(2.0 * (3.0 + threshold))
    torch.testing.assert_close(totals, torch.tensor([5.0, 100.0], dtype=torch.float64), rtol=1e-5, atol=0)
    published = MANY * torch.sigmoid(torch.tensor(2.0 * (3.0 - 3.0 - 10 / 2.0)))
    assert published > 59, "the published bracket does not reach down to the root"


def test_large_alpha_gives_the_hard_top_k() -> None:
    batch = make_batch(6, 50, seed=1)
    scores = batch.queries @ batch.labels[:-1].T  # the last label equals the first
    pairs = as_positives([[]] * 6, 6, 49)
    for alpha in (1e3, 1e5):
        statistic = SoftThreshold(torch.full((6,), 5.0), alpha, scores.amin(1), scores.amax(1))
        threshold = reduce_scores(ScoreInputs(batch.queries, batch.labels[:-1], pairs, scale=1.0), statistic)[
            1
        ][:, :1]
        chosen = torch.sigmoid(alpha * (scores + threshold))
        hard = torch.zeros_like(scores).scatter_(1, scores.topk(5).indices, 1.0)
        torch.testing.assert_close(chosen.round(), hard)


def cases() -> Iterator[Any]:
    for name, scale, alpha, normalised, pull in (
        ("cosine at the start", 20.0, 2.0, True, 0.0),
        ("cosine trained", 20.0, 2.0, True, 2.0),
        ("raw", 1.0, 2.0, False, 0.0),
        ("raw trained", 1.0, 2.0, False, 1.0),
        ("raw at +-300", 12.0, 2.0, False, 0.0),
        ("steep", 1.0, 50.0, False, 0.0),
        ("flat", 20.0, 0.1, True, 0.0),
        ("collapsed", 1e-4, 2.0, True, 0.0),
    ):
        for k in (5, "positives"):
            yield pytest.param(scale, alpha, normalised, pull, k, id=f"{name}, k={k}")


@pytest.mark.parametrize(("scale", "alpha", "normalised", "pull", "k"), list(cases()))
def test_at_most_eight_passes_and_collectives_to_float32_accuracy(
    monkeypatch: pytest.MonkeyPatch, scale: float, alpha: float, normalised: bool, pull: float, k: Any
) -> None:
    counted = {"passes": 0, "collectives": 1}  # one for the range of the scores
    reduce = SoftThreshold.reduce

    def counting_reduce(self: SoftThreshold, walk: Any, *rest: Any) -> torch.Tensor:
        def counting_walk() -> Any:
            counted["passes"] += 1
            counted["collectives"] += 1
            return walk()

        counted["collectives"] += 1  # the smallest and largest score, with the first histogram
        return reduce(self, counting_walk, *rest)

    monkeypatch.setattr(SoftThreshold, "reduce", counting_reduce)
    generator = torch.Generator().manual_seed(0)
    queries, labels = (torch.randn(n, 16, generator=generator) for n in (24, 6000))
    positives = [torch.randperm(6000, generator=generator)[: 1 + row % 4].tolist() for row in range(24)]
    if normalised:
        queries, labels = F.normalize(queries, dim=1), F.normalize(labels, dim=1)
    for row, ids in enumerate(positives):
        queries[row] += pull * labels[ids].sum(0)
    options = {"scale": scale, "alpha": alpha, "k": k, "reduction": "none"}
    rows = soft_top_k(queries, labels, positives, memory_bytes=1 << 20, **options)
    exact = soft_top_k(queries.double(), labels.double(), positives, implementation="dense", **options)
    assert counted["passes"] <= 8 and counted["collectives"] <= 8, counted
    magnitude = max(1.0, alpha * scale * (queries @ labels.T).abs().max().item())
    assert (rows.double() - exact).abs().max() <= 2e-7 * magnitude + 1e-6 * exact.max()


def test_a_row_whose_k_reaches_all_labels_has_no_loss_and_no_gradient() -> None:
    labels = torch.randn(3, 2, requires_grad=True)
    loss = soft_top_k(torch.randn(2, 2), labels, [[0, 1, 2], []], k="positives")
    loss.backward()
    assert loss == 0 and (labels.grad == 0).all()


def test_the_module_passes_its_options_on() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    arguments = batch.queries, batch.labels, batch.positives
    loss = SoftTopK(scale=3.0, k=2, alpha=0.5)(*arguments)
    torch.testing.assert_close(loss, soft_top_k(*arguments, scale=3.0, k=2, alpha=0.5))


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 9}, {"k": "all"}, {"alpha": 0.0}], ids=str)
def test_impossible_targets_are_refused(options: dict[str, Any]) -> None:
    batch = make_batch(5, 9)
    with pytest.raises(ConfigError, match="expected"):
        soft_top_k(batch.queries, batch.labels, batch.positives, **options)


@pytest.mark.parametrize(("gap", "refused"), [(80.0, False), (400.0, True)])
def test_a_gradient_that_underflows_is_refused(gap: float, refused: bool) -> None:
    """One positive under a gap, with k = 1: half of the pull is on it, half on the label above."""
    queries, labels = torch.ones(1, 1), torch.tensor([[gap], [0.0]], requires_grad=True)

    def loss() -> torch.Tensor:
        return soft_top_k(queries, labels, [[1]], scale=1.0, k=1, alpha=1.0)

    if refused:
        with pytest.raises(ConfigError, match="alpha = 1 times the gap.*below about 175.*lower alpha"):
            loss()
        assert torch.isfinite(soft_top_k(queries, labels.detach(), [[1]], scale=1.0, k=1, alpha=1.0))
        return
    loss().backward()
    torch.testing.assert_close(labels.grad, torch.tensor([[0.5], [-0.5]]), rtol=1e-3, atol=0)


def test_a_row_with_nothing_to_learn_is_not_refused() -> None:
    labels = torch.tensor([[400.0], [0.0]], requires_grad=True)
    loss = soft_top_k(torch.ones(1, 1), labels, [[0]], scale=1.0, k=1, alpha=1.0)
    loss.backward()
    assert loss == 0 and (labels.grad == 0).all()
