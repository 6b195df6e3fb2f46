from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.distributed.ranks import Ranks
from tests.objectives.batches import make_batch
from xmc.distributed import all_gather_rows, current_world, sum_gradients
from xmc.errors import ConfigError
from xmc.objectives import build_objective, plain_objective
from xmc.objectives.plain import is_plain_loss
from xmc.scoring import ExtraNegatives, LabelShard, ScoreInputs


def hinge(queries: Tensor, labels: Tensor, positives: Tensor, scale: float, margin: float = 0.5) -> Tensor:
    """The hardest negative within a margin of each positive, the mean over positives."""
    scores = scale * queries @ labels.T
    hardest = scores.masked_fill(positives, -torch.inf).amax(1, keepdim=True)
    return (F.relu(margin + hardest - scores) * positives).sum(1) / positives.sum(1).clamp_min(1)


def weighted(
    queries: Tensor, labels: Tensor, positives: Tensor, offsets: Tensor, log_weights: Tensor
) -> Tensor:
    scores = queries @ labels.T + offsets
    return ((scores + log_weights).exp() * ~positives - scores * positives).sum() / len(queries)


def test_what_a_function_names_is_what_it_gets() -> None:
    batch = make_batch(4, 9, seed=2)
    mask = torch.from_numpy(batch.positives.toarray() > 0)
    given = ScoreInputs(batch.queries, batch.labels, batch.positives, 2.0)
    rows = plain_objective("hinge", hinge, {"margin": 0.1})(given, "none")
    expected = hinge(batch.queries, batch.labels, mask, 2.0, margin=0.1)
    expected[0] = rows[0]  # the first row has no negative, so its hardest is -inf and its loss 0
    torch.testing.assert_close(rows, expected)
    assert rows[0] == 0 or torch.isfinite(rows[0])
    both = ScoreInputs(batch.queries, batch.labels, batch.positives, 2.0, batch.offsets, batch.log_weights)
    found = plain_objective("weighted", weighted)(both)
    torch.testing.assert_close(
        found, weighted(batch.queries, batch.labels, mask, batch.offsets, batch.log_weights)
    )


def on_shards() -> tuple[Tensor, list[Tensor]]:
    world, batch = current_world(), make_batch(5, 13, seed=3)
    start, stop = (0, 1, 8, 13)[world.rank : world.rank + 2]
    first, last = world.shard(5)
    queries = batch.queries[first:last].clone().requires_grad_()
    labels = batch.labels[start:stop].clone().requires_grad_()
    offsets = batch.offsets[start:stop].clone().requires_grad_()
    scale = torch.nn.Parameter(batch.scale.clone())
    shard = LabelShard(start, 13, world)
    gathered = all_gather_rows(queries, 5, world)
    given = ScoreInputs(
        gathered, labels, batch.positives, scale, offsets, batch.log_weights[start:stop], shard=shard
    )
    loss = plain_objective("scaled", scaled)(given)
    loss.backward()
    sum_gradients([scale], world)
    return loss.detach(), [queries.grad, labels.grad, offsets.grad, scale.grad]


def scaled(
    queries: Tensor, labels: Tensor, positives: Tensor, scale: Tensor, offsets: Tensor, log_weights: Tensor
) -> Tensor:
    return weighted(0.1 * scale * queries, labels, positives, offsets, log_weights)


def test_shards_give_what_one_process_gives(ranks: Ranks) -> None:
    batch = make_batch(5, 13, seed=3)
    leaves = [t.clone().requires_grad_() for t in (batch.queries, batch.labels, batch.offsets, batch.scale)]
    queries, labels, offsets, scale = leaves
    loss = plain_objective("scaled", scaled)(
        ScoreInputs(queries, labels, batch.positives, scale, offsets, batch.log_weights)
    )
    expected = torch.autograd.grad(loss, leaves)
    answers = ranks.run(on_shards, size=3)
    for found, parts in answers:
        torch.testing.assert_close(found, loss.detach())
        torch.testing.assert_close(parts[3], expected[3])
    for number in range(3):
        torch.testing.assert_close(torch.cat([parts[number] for _, parts in answers]), expected[number])


@pytest.mark.parametrize(
    ("function", "given", "text"),
    [
        (
            hinge,
            {"log_weights": torch.zeros(9)},
            "hinge: the labels of a step are a sample.*negatives.corrected",
        ),
        (hinge, {"offsets": torch.zeros(9)}, "labels learn offsets.*label_offsets false"),
        (hinge, {"extra": ExtraNegatives()}, "takes no extra negatives.*docs/extending.md"),
        (lambda queries, labels, positives: queries, {}, "one number per query.*got \\[4, 3\\]"),
        (lambda queries, labels, positives: 1.0, {}, "got float"),
        (lambda queries, labels, positives: torch.tensor(1.0), {}, "hinge: .* got one without a gradient"),
    ],
)
def test_what_it_would_not_see_is_refused(function: Any, given: dict[str, Any], text: str) -> None:
    batch = make_batch(4, 9)
    queries = batch.queries.clone().requires_grad_()
    with pytest.raises(ConfigError, match=text):
        plain_objective("hinge", function)(ScoreInputs(queries, batch.labels, batch.positives, 2.0, **given))


def test_an_argument_that_nobody_gives_is_named() -> None:
    def loss(queries: Tensor, labels: Tensor, positives: Tensor, temperature: float) -> Tensor:
        return queries.sum() * temperature

    with pytest.raises(ConfigError, match="got temperature with neither"):
        plain_objective("mine", loss)
    assert plain_objective("mine", loss, {"temperature": 2.0}).wants == ("queries", "labels", "positives")


def test_a_scalar_has_no_rows() -> None:
    batch = make_batch(4, 9)
    objective = plain_objective("sum", lambda queries, labels, positives: queries.sum())
    with pytest.raises(ConfigError, match="one loss per query"):
        objective(ScoreInputs(batch.queries, batch.labels, batch.positives), "none")


def test_other_names_of_arguments_are_no_builder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def loss(a, b, gap=1.0):\n    return a @ b\n", encoding="utf-8")
    expected = "arguments named queries, labels and positives, or .* got one that asks for a, b"
    with pytest.raises(ConfigError, match=expected):
        build_objective(f"{tmp_path / 'mine.py'}:loss")


def test_a_plain_loss_is_told_from_a_builder() -> None:
    assert is_plain_loss(hinge)
    assert not is_plain_loss(lambda k=5: None) and not is_plain_loss(int) and not is_plain_loss(3)
