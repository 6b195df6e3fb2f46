"""benchmarks/dexml_formulas.py: this package's losses where formulas agree, and where they do not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.dexml_formulas import LEFT_OUT, PairDraw, decoupled, decoupled_rows, soft_top_k
from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import build_objective
from xmc.objectives.objective import Loss
from xmc.scoring import ScoreInputs
from xmc.scoring.positives import PositivesLike


def value_and_gradients(
    loss: Loss, queries: Tensor, labels: Tensor, positives: PositivesLike
) -> list[Tensor]:
    queries, labels = queries.clone().requires_grad_(), labels.clone().requires_grad_()
    value = loss(ScoreInputs(queries, labels, positives, 1.0))
    value.backward()
    assert queries.grad is not None and labels.grad is not None
    return [value.detach(), queries.grad, labels.grad]


def by_hand(name: str, last_label: str) -> Loss:
    if name == "decoupled_softmax":
        return decoupled(per_row=None, last_label=last_label)
    # The published 32 halvings leave an error of the bracket over 2^32.
    return soft_top_k(sampled=False, last_label=last_label, halvings=60)


@pytest.mark.parametrize("name", ["decoupled_softmax", "soft_top_k"])
@pytest.mark.parametrize("implementation", ["tiled", "dense"])
def test_value_and_gradients_are_ours_in_float64(name: str, implementation: str) -> None:
    batch = make_batch(6, 40, seed=1, weighted=False)
    # Row 0 has no negatives: a score of -100 for each positive is then all there is, ours has none.
    given = batch.queries[1:], batch.labels, batch.positives[1:]
    ours = value_and_gradients(build_objective(name), *given)
    theirs = value_and_gradients(by_hand(name, "mended"), *given)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", ["decoupled_softmax", "soft_top_k"])
def test_as_published_the_last_label_is_pushed_away_by_its_own_query(name: str) -> None:
    query, labels = (
        torch.ones(1, 1, dtype=torch.float64),
        torch.linspace(0, 1, 9, dtype=torch.float64)[:, None],
    )
    gradients = {
        bound: value_and_gradients(by_hand(name, bound), query, labels, [[2, 8]])[2][-1].item()
        for bound in ("published", "mended")
    }
    assert gradients["mended"] < 0 < gradients["published"]


def test_a_row_of_the_last_label_alone_has_no_loss_as_published() -> None:
    query, labels = torch.ones(1, 1), torch.ones(4, 1)
    assert value_and_gradients(decoupled(), query, labels, [[3]])[0] == 0
    assert value_and_gradients(decoupled(last_label="mended"), query, labels, [[3]])[0] > 1


def test_the_published_bracket_misses_the_root_of_many_equal_scores() -> None:
    """Soft top-5 of 131,072 equal scores gives away 5.95: the loss is that of sigmoid(-10)."""
    query, labels = torch.ones(1, 1), torch.zeros(131_072, 1)
    theirs = value_and_gradients(soft_top_k(), query, labels, [[0]])[0].item()
    assert theirs == pytest.approx(10.0, abs=1e-3)
    ours = value_and_gradients(build_objective("soft_top_k"), query, labels, [[0]])[0].item()
    assert ours == pytest.approx(torch.tensor(131_072 / 5 - 1).log().add(5 / 131_072).item(), abs=1e-3)


def test_minus_100_is_no_mask_for_scores_below_it() -> None:
    """One positive at -250, all negatives at -300: next to no loss, and 150 with what stands in for -inf."""
    scores, positives = torch.tensor([[-250.0, -300.0]]), torch.tensor([[True, False]])
    assert decoupled_rows(scores, positives, PairDraw(None, 0)).item() == pytest.approx(250 + LEFT_OUT)
    assert decoupled_rows(scores + 300, positives, PairDraw(None, 0)).item() < 1e-6


def test_a_draw_keeps_some_positives_of_each_row_and_every_one_in_turn() -> None:
    positives = torch.tensor([[True, True, True, False], [False, False, True, False], [False] * 4])
    draw, seen = PairDraw(2, seed=0), set()
    for _ in range(40):
        rows, labels = draw(positives)
        assert torch.bincount(rows, minlength=3).tolist() == [2, 1, 0] and positives[rows, labels].all()
        seen.add(tuple(sorted(labels[rows == 0].tolist())))
    assert seen == {(0, 1), (0, 2), (1, 2)}


def test_one_positive_a_step_is_the_whole_loss_in_the_mean() -> None:
    batch = make_batch(6, 40, seed=1, weighted=False)
    scores = batch.queries @ batch.labels.T
    positives = torch.from_numpy(batch.positives.toarray() > 0)
    draw = PairDraw(1, seed=0)
    drawn = torch.stack([decoupled_rows(scores, positives, draw) for _ in range(100)])
    whole = decoupled_rows(scores, positives, PairDraw(None, 0))
    error = drawn.std(0) / 10
    assert ((drawn.mean(0) - whole).abs() <= 4 * error + 1e-12).all() and (error > 1e-3).any()


def test_options_that_say_nothing_are_refused() -> None:
    query, labels = torch.ones(1, 1), torch.ones(4, 1)
    with pytest.raises(ConfigError, match="published or mended, got 'fixed'"):
        decoupled(last_label="fixed")(ScoreInputs(query, labels, [[0]], 1.0))
    with pytest.raises(ConfigError, match="at least 1 positive"):
        decoupled(per_row=0)
