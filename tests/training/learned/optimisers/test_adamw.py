from __future__ import annotations

import pytest
import torch

from xmc.training.learned.optimisers.adamw import AdamW, ParameterGroup


def trained(steps: int) -> tuple[torch.nn.Linear, AdamW]:
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 3)
    optimiser = AdamW([ParameterGroup([layer.weight], 0.5, 0.1), ParameterGroup([layer.bias], 0.2)])
    for step in range(steps):
        take(layer, optimiser, step)
    return layer, optimiser


def take(layer: torch.nn.Linear, optimiser: AdamW, step: int) -> None:
    optimiser.zero_grad()
    layer(torch.full((1, 2), step + 1.0)).square().sum().backward()
    optimiser.step(0.5)


def test_is_that_of_torch_at_the_share_of_each_peak_rate() -> None:
    layer, optimiser = trained(4)
    assert optimiser.rates == [0.25, 0.1]
    torch.manual_seed(0)
    other = torch.nn.Linear(2, 3)
    theirs = torch.optim.AdamW(
        [{"params": [other.weight], "lr": 0.25, "weight_decay": 0.1}, {"params": [other.bias], "lr": 0.1}],
        weight_decay=0.0,
    )
    for step in range(4):
        theirs.zero_grad()
        other(torch.full((1, 2), step + 1.0)).square().sum().backward()
        theirs.step()
    torch.testing.assert_close(layer.weight, other.weight)
    torch.testing.assert_close(layer.bias, other.bias)


def test_goes_on_from_its_tensors_to_the_same_bits() -> None:
    whole, _ = trained(5)
    layer, optimiser = trained(4)
    kept = {name: tensor.clone() for name, tensor in optimiser.tensors().items()}
    assert set(kept) == {f"{place}.{name}" for place in (0, 1) for name in ("step", "exp_avg", "exp_avg_sq")}
    again, resumed = trained(0)
    again.load_state_dict(layer.state_dict())
    resumed.load(kept)
    take(again, resumed, 4)
    assert torch.equal(again.weight, whole.weight) and torch.equal(again.bias, whole.bias)


def test_a_group_without_parameters_is_left_out() -> None:
    layer = torch.nn.Linear(2, 3)
    optimiser = AdamW([ParameterGroup([], 0.5), ParameterGroup([layer.bias], 0.2)])
    assert [p.shape for p in optimiser.dense] == [(3,)] and optimiser.rates == [0.2]


def test_what_is_kept_of_other_parameters_is_refused() -> None:
    optimiser = trained(2)[1]
    kept = {name: tensor.clone() for name, tensor in optimiser.tensors().items()}
    wrong = {"2.step": kept["1.step"], "0.exp_avg": torch.zeros(4, 4), "1.others": kept["1.step"]}
    for name, tensor in wrong.items():
        with pytest.raises(ValueError, match="expected"):
            optimiser.load({**kept, name: tensor})
    with pytest.raises(ValueError, match=r"two moments of each parameter: 1\.exp_avg"):
        optimiser.load({name: tensor for name, tensor in kept.items() if name != "1.exp_avg"})


@pytest.mark.parametrize("most", [None, 1e3, 0.5])
def test_a_step_by_a_norm_that_nobody_reads_is_that_of_one_who_does(most: float | None) -> None:
    asked, unasked = (trained_by_norm(most, read) for read in (True, False))
    for name, tensor in asked.items():
        torch.testing.assert_close(unasked[name], tensor, rtol=1e-6, atol=1e-7)
    assert {name for name in asked if name.endswith("step")} and float(asked["0.step"]) == 3


def trained_by_norm(most: float | None, read: bool) -> dict[str, torch.Tensor]:
    """Parameters and state after four steps, of which the third has a gradient that is no number."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 3)
    optimiser = AdamW(
        [ParameterGroup([layer.weight], 0.5, 0.1, clipped=True), ParameterGroup([layer.bias], 0.2)]
    )
    for step in range(4):
        optimiser.zero_grad()
        layer(torch.full((1, 2), step + 1.0)).square().sum().backward()
        if step == 2:
            assert layer.weight.grad is not None
            layer.weight.grad[0, 0] = torch.nan
        square = optimiser.clipped_square()
        assert square is not None
        norm = square.sqrt()
        if not read:
            optimiser.step_unasked(0.5, norm, most)
        elif torch.isfinite(norm):
            if most is not None and norm > most:
                optimiser.shrink(most / float(norm))
            optimiser.step(0.5)
    return {"weight": layer.weight.detach(), "bias": layer.bias.detach(), **optimiser.tensors()}
