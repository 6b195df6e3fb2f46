from __future__ import annotations

import pytest
import torch

from tests.objectives.batches import make_batch
from xmc.errors import ConfigError
from xmc.objectives import SupervisedContrastive, softmax, supervised_contrastive


def test_out_is_the_softmax_averaged_over_positives() -> None:
    batch = make_batch(5, 9)
    arguments = batch.queries, batch.labels, batch.positives
    assert supervised_contrastive(*arguments, mean="out") == softmax(*arguments, over_positives="mean")


def test_in_is_never_larger_and_equal_for_one_positive() -> None:
    batch = make_batch(7, 9)
    arguments = batch.queries, batch.labels
    rows = {
        mean: supervised_contrastive(*arguments, batch.positives, mean=mean, reduction="none")
        for mean in ("out", "in")
    }
    assert (rows["in"] <= rows["out"] + 1e-12).all() and (rows["in"] < rows["out"] - 1e-3).any()
    single = [[row] for row in range(7)]
    torch.testing.assert_close(
        supervised_contrastive(*arguments, single, mean="in"),
        supervised_contrastive(*arguments, single, mean="out"),
    )


def test_in_is_content_with_one_strong_positive() -> None:
    queries, labels = torch.ones(1, 1), torch.tensor([[9.0], [0.0], [0.0]], requires_grad=True)
    supervised_contrastive(queries, labels, [[0, 1]], scale=1.0, mean="in").backward()
    inner = labels.grad.clone()
    labels.grad = None
    supervised_contrastive(queries, labels, [[0, 1]], scale=1.0, mean="out").backward()
    assert abs(inner[1]) < 1e-3 and labels.grad[1] < -0.4


def test_the_module_passes_its_options_on() -> None:
    batch = make_batch(5, 9).to(torch.float32)
    loss = SupervisedContrastive(scale=3.0, mean="in")(batch.queries, batch.labels, batch.positives)
    expected = supervised_contrastive(batch.queries, batch.labels, batch.positives, scale=3.0, mean="in")
    torch.testing.assert_close(loss, expected)


def test_an_unknown_position_is_refused() -> None:
    with pytest.raises(ConfigError, match="mean"):
        supervised_contrastive(torch.ones(1, 2), torch.ones(2, 2), [[0]], mean="between")  # type: ignore[arg-type]
