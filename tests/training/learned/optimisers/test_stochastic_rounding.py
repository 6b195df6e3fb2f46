from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.distributed.ranks import Ranks
from xmc.distributed import World, current_world
from xmc.encoders.static_modules import bag_of_rows, row_leaf
from xmc.training.learned.optimisers import stochastic_rounding
from xmc.training.learned.optimisers.lazy_adam import LazyAdam
from xmc.training.learned.optimisers.row_adagrad import RowAdagrad
from xmc.training.learned.optimisers.row_optimiser import RowOptimiser, RowRMSProp, RowRule, SparseGradient
from xmc.training.learned.optimisers.stochastic_rounding import StochasticRounding, round_stochastically


def test_the_mean_over_all_noise_is_the_value_itself() -> None:
    """For numbers of either sign, small and large, each with each of the 65,536 noises: exact, no draw."""
    noise = torch.arange(1 << 16, dtype=torch.int32)
    for value in (1.0039, -1.0039, 3.14159e-5, -2.7e8, 0.1, 1 / 3):
        rounded = round_stochastically(torch.full(noise.shape, value), noise.clone()).double()
        exact = torch.tensor(value, dtype=torch.float32).double()
        assert len(rounded.unique()) == 2, "its two neighbours"
        assert float(rounded.mean()) == pytest.approx(float(exact), rel=1e-9)


def test_what_bfloat16_can_say_stays() -> None:
    values = torch.tensor([0.0, -0.0, 1.0, -1.5, 2.0**-100, 3.0e38]).bfloat16().float()
    for noise in (0, 1, 65_535):
        rounded = round_stochastically(values, torch.full(values.shape, noise, dtype=torch.int32))
        assert torch.equal(rounded.float(), values)


def test_steps_below_the_last_bit_add_up() -> None:
    """A hundred steps of a tenth of what bfloat16 tells apart; rounded to the nearest it would not move."""
    table, rounding = torch.ones(4, 5_000, dtype=torch.bfloat16), StochasticRounding(0, 0)
    rows, factors = torch.tensor([0, 2]), torch.full((2,), 2.0**-8 / 10)
    for _ in range(100):
        rounding.begin()
        rounding.subtract_(table, rows, factors, torch.ones(2, 5_000))
    assert float(table[rows].float().mean()) == pytest.approx(1 - 10 * 2**-8, abs=4e-4)
    assert torch.equal(table[[1, 3]].float(), torch.ones(2, 5_000)), "rows that are not touched"


def test_noise_of_any_two_components_is_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one row, of one column, and of two blocks, over many steps: a table of their classes is flat."""
    monkeypatch.setattr(stochastic_rounding, "_BLOCK", 3)
    rounding, seen = StochasticRounding(4, 0), []
    monkeypatch.setattr(
        stochastic_rounding,
        "round_stochastically",
        lambda values, noise: drawn.append(noise.clone()) or values,
    )
    rows, factors, values = torch.arange(6), torch.zeros(6), torch.zeros(6, 2)
    for _ in range(1_600):
        drawn: list[torch.Tensor] = []
        rounding.begin()
        rounding.subtract_(torch.zeros(6, 2), rows, factors, values)
        seen.append(torch.cat(drawn)[[0, 0, 1, 3, 5], [0, 1, 0, 0, 1]])
    noise = torch.stack(seen)
    assert 0 <= int(noise.min()) and int(noise.max()) < 1 << 16
    classes = noise >> 14
    for i, j in itertools.combinations(range(5), 2):
        counts = torch.bincount(4 * classes[:, i] + classes[:, j], minlength=16)
        assert (counts - 100).abs().max() < 5 * 100**0.5


def test_a_row_has_the_same_noise_however_many_are_changed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(2_000, 3, generator=draw).bfloat16()
    rows = torch.randperm(2_000, generator=draw)[:1_500]
    factors, values = torch.rand(1_500, generator=draw), torch.randn(1_500, 3, generator=draw)

    def changed() -> torch.Tensor:
        table, rounding = start.clone(), StochasticRounding(0, 0)
        rounding.begin()
        rounding.subtract_(table, rows, factors, values)
        return table

    in_small_blocks = changed()
    for blocks in (2, 4, 100):
        monkeypatch.setattr(stochastic_rounding, "_rows_at_once", lambda device, n=blocks: 256 * n)
        assert torch.equal(changed(), in_small_blocks)
    assert not torch.equal(in_small_blocks, start)


class Writes(TorchDispatchMode):
    """Counts what is written into a table by rows."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.index_copy_.default:
            self.sizes.append(len(args[2]))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("device", "sizes"), [("cpu", [256] * 4 + [76]), ("meta", [1_024, 76])])
def test_a_gpu_changes_more_rows_at_once_than_a_core_s_cache_holds(
    device: str, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stochastic_rounding, "GPU_ROWS", 1_100)
    count = sum(sizes)
    table = torch.zeros(2_000, 3, dtype=torch.bfloat16, device=device)
    rows = torch.arange(count, device=device)
    rounding = StochasticRounding(0, 0)
    rounding.begin()
    with Writes() as writes:
        rounding.subtract_(table, rows, torch.ones(count, device=device), torch.ones(count, 3, device=device))
    assert writes.sizes == sizes


def stepped(
    steps: list[int], rule: Callable[[torch.Tensor], RowRule], world: World, *, seed: int = 0, split: int = 9
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A table after some steps, and what its optimiser keeps; from a checkpoint before step ``split``."""

    def optimiser(start: torch.Tensor) -> tuple[torch.nn.Parameter, torch.Tensor, RowOptimiser]:
        table = torch.nn.Parameter(start)
        leaf, rounding = row_leaf(table), StochasticRounding(seed, 1)
        source = SparseGradient(leaf, table)
        return (
            table,
            leaf,
            RowOptimiser(source, rule(start), 0.01, clipped=True, decay=0.1, rounding=rounding),
        )

    generator = torch.Generator().manual_seed(3)
    table, leaf, mine = optimiser(torch.randn(9, 40, generator=generator).bfloat16())
    for step in steps:
        if step == split:
            kept = {name: tensor.clone() for name, tensor in mine.tensors().items()}
            table, leaf, mine = optimiser(table.detach().clone())
            mine.load(kept)
        texts = torch.tensor([[step % 9, 4], [2, step % 5], [7, 7]], dtype=torch.int32)
        start, stop = world.shard(3)
        ids = texts[start:stop].flatten()
        mine.zero_grad()
        if len(ids):
            offsets = torch.arange(0, len(ids) + 1, 2, dtype=torch.int32)
            bags = bag_of_rows(table, ids, offsets, leaf=leaf)
            assert bags.dtype == torch.float32
            (bags * torch.arange(1.0, 41)).sum().backward()
            assert leaf.grad is not None and leaf.grad.dtype == torch.float32 and table.grad is None
        mine.gather(world)
        mine.shrink(0.5)
        mine.step(1.0)
    return table.detach(), mine.tensors()


@pytest.mark.parametrize("rule", [RowRMSProp, RowAdagrad, LazyAdam])
def test_a_table_goes_on_from_a_checkpoint_to_the_last_bit(rule: type[RowRule]) -> None:
    whole, kept = stepped(list(range(6)), rule, World())
    resumed, again = stepped(list(range(6)), rule, World(), split=3)
    assert whole.dtype == torch.bfloat16 and torch.equal(whole, resumed)
    assert all(torch.equal(kept[name], again[name]) for name in kept) and kept["rounded_steps"] == 6
    assert all(tensor.dtype != torch.bfloat16 for tensor in kept.values())
    other, _ = stepped(list(range(6)), rule, World(), seed=1)
    assert not torch.equal(whole, other), "another seed, other noise"
    torch.testing.assert_close(whole.float(), other.float(), rtol=0.05, atol=0.05)


def as_rank() -> torch.Tensor:
    return stepped(list(range(4)), RowRMSProp, current_world())[0].float()


def test_ranks_round_alike(ranks: Ranks) -> None:
    one = stepped(list(range(4)), RowRMSProp, World())[0].float()
    first, second = ranks.run(as_rank, size=2)
    assert torch.equal(first, second) and torch.equal(first, one)
