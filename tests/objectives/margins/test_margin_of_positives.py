"""Margins on a batch: against softmax cross-entropy of changed logits, over ranks, and what is drawn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.distributed.ranks import Ranks
from xmc.distributed import all_gather_rows, all_reduce_sum, current_world
from xmc.errors import ConfigError
from xmc.objectives import build_objective
from xmc.objectives.margins.config import MarginConfig
from xmc.objectives.margins.margin import CosineMargin, drawn_sizes, plain_weight, with_margin
from xmc.objectives.objective import PositiveScores
from xmc.scoring import LabelShard, ScoreInputs

NO_START = {"plain_start": 0.0, "plain_least": 0.0}
CONFIGS = {
    "cosface": MarginConfig("cosface", 0.35),
    "arcface": MarginConfig("arcface", 0.5),
    "elastic arcface": MarginConfig("arcface", 0.5, deviation=0.05),
    "elastic cosface+": MarginConfig("cosface", 0.35, deviation=0.05, ranked=True),
    "l_softmax": MarginConfig("l_softmax", multiple=3, **NO_START),
    "annealed l_softmax": MarginConfig("l_softmax", multiple=4, plain_start=30.0),
}
TAKES = ("softmax", "decoupled_softmax", "supervised_contrastive", "binary_cross_entropy")


def unit(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64))


def changed(cosine: float, config: MarginConfig, size: float, batch_index: int) -> float:
    """A cosine with its margin, by angles."""
    angle = math.acos(cosine)
    if config.kind == "cosface":
        return cosine - size
    if config.kind == "arcface":
        return math.cos(angle + size) if angle + size < math.pi else cosine - 1 + math.cos(size)
    k = min(int(angle * config.multiple / math.pi), config.multiple - 1)
    large = (-1) ** k * math.cos(config.multiple * angle) - 2 * k
    weight = plain_weight(config, batch_index)
    return (weight * cosine + large) / (1 + weight)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_with_one_positive_it_is_cross_entropy_of_the_changed_logit(config: MarginConfig) -> None:
    queries, labels, offsets = unit(9, 6, seed=0), unit(30, 6, seed=1), torch.linspace(-1, 1, 30).double()
    targets = torch.arange(9) * 3 + 1
    scale, batch_index = torch.tensor(12.0, dtype=torch.float64, requires_grad=True), 4
    queries.requires_grad_(), labels.requires_grad_(), offsets.requires_grad_()
    positives = sp.csr_matrix((np.ones(9), (np.arange(9), targets.numpy())), (9, 30))
    loss = with_margin(build_objective("softmax"), config, seed=7)
    found = loss(ScoreInputs(queries, labels, positives, scale, offsets=offsets, batch_index=batch_index))

    cosines = queries @ labels.T
    own = cosines[torch.arange(9), targets]
    sizes = [config.size] * 9
    if config.deviation:
        sizes = drawn_sizes(config, own.detach(), 7, batch_index).tolist()
    moved = [changed(float(c), config, m, batch_index) for c, m in zip(own.detach(), sizes, strict=True)]
    logits = scale * cosines + offsets
    with torch.no_grad():
        by_angles = logits.clone()
        by_angles[torch.arange(9), targets] = scale * torch.tensor(moved).double() + offsets[targets]
    assert float(found.detach()) == pytest.approx(float(F.cross_entropy(by_angles, targets)), rel=1e-6)
    leaves = [queries, labels, offsets, scale]
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(found, leaves))


@pytest.mark.parametrize("name", TAKES)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_gradients_are_those_of_differences(name: str, config: MarginConfig) -> None:
    positives = sp.random(4, 9, 0.4, format="csr", random_state=1, data_rvs=np.ones)
    loss = with_margin(build_objective(name), config, seed=1)

    def value(queries: Tensor, labels: Tensor, scale: Tensor, offsets: Tensor) -> Tensor:
        made = F.normalize(queries), F.normalize(labels)
        return loss(ScoreInputs(*made, positives, scale, offsets=offsets, batch_index=2))

    leaves = unit(4, 3, seed=2), unit(9, 3, seed=3), torch.tensor(3.0).double(), torch.randn(9).double()
    assert torch.autograd.gradcheck(value, [leaf.requires_grad_() for leaf in leaves])


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_no_margin_is_the_plain_softmax_and_no_deviation_the_fixed_margin(kind: str) -> None:
    inputs = ScoreInputs(unit(5, 4, seed=0), unit(12, 4, seed=1), [[0, 3], [1], [], [2, 4, 5], [11]], 10.0)
    plain = build_objective("decoupled_softmax")
    none = with_margin(plain, MarginConfig(kind, 0.0), 0)
    torch.testing.assert_close(none(inputs), plain(inputs), rtol=1e-12, atol=0)
    fixed = with_margin(plain, MarginConfig(kind, 0.2), 0)
    barely = with_margin(plain, MarginConfig(kind, 0.2, deviation=1e-9), 0)
    torch.testing.assert_close(barely(inputs), fixed(inputs), rtol=1e-7, atol=0)
    assert fixed(inputs) > plain(inputs)
    assert with_margin(plain, MarginConfig(), 0) is plain


@pytest.mark.parametrize("name", TAKES)
def test_an_angle_times_one_is_the_plain_loss(name: str) -> None:
    inputs = ScoreInputs(unit(5, 4, seed=0), unit(12, 4, seed=1), [[0, 3], [1], [], [2, 4, 5], [11]], 10.0)
    once = with_margin(build_objective(name), MarginConfig("l_softmax", multiple=1, **NO_START), 0)
    torch.testing.assert_close(once(inputs), build_objective(name)(inputs), rtol=1e-12, atol=0)
    twice = with_margin(build_objective(name), MarginConfig("l_softmax", multiple=2, **NO_START), 0)
    assert twice(inputs) > once(inputs)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_it_is_asked_of_the_positives_alone(config: MarginConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """O(P): of 3 x 5,000 scores five are moved, whatever the tiles."""
    moved: list[int] = []
    of_margin = CosineMargin._moved

    def counted(self: CosineMargin, cosines: Tensor, own: PositiveScores) -> Tensor:
        moved.append(cosines.numel())
        return of_margin(self, cosines, own)

    monkeypatch.setattr(CosineMargin, "_moved", counted)
    loss = with_margin(build_objective("decoupled_softmax"), config, 0)
    positives = [[0, 4_999], [17], [2, 3]]
    for memory_bytes in (None, 1 << 14):
        moved.clear()
        vectors = unit(3, 4, seed=0), unit(5_000, 4, seed=1)
        loss(ScoreInputs(*vectors, positives, 10.0, memory_bytes=memory_bytes))
        assert set(moved) == {5}


def test_draws_have_their_mean_and_deviation_and_follow_the_batch() -> None:
    config, cosines = MarginConfig("cosface", 0.35, deviation=0.05), torch.rand(20_000)
    sizes = drawn_sizes(config, cosines, 3, 5)
    assert float(sizes.mean()) == pytest.approx(0.35, abs=2e-3)
    assert float(sizes.std()) == pytest.approx(0.05, abs=2e-3)
    assert torch.equal(sizes, drawn_sizes(config, cosines, 3, 5))
    assert not torch.equal(sizes, drawn_sizes(config, cosines, 3, 6))
    assert not torch.equal(sizes, drawn_sizes(config, cosines, 4, 5))
    assert (drawn_sizes(replace(config, size=0.01), cosines, 3, 5) >= 0).all()


def test_the_harder_positive_gets_the_larger_margin() -> None:
    config, cosines = (
        MarginConfig("cosface", 0.35, deviation=0.05),
        torch.linspace(-1, 1, 4_096)[torch.randperm(4_096)],
    )
    ranked = drawn_sizes(replace(config, ranked=True), cosines, 0, 0)
    assert np.corrcoef(cosines, ranked)[0, 1] < -0.95
    assert (ranked[cosines.argsort()].diff() <= 0).all()
    plain = drawn_sizes(config, cosines, 0, 0)
    assert abs(np.corrcoef(cosines, plain)[0, 1]) < 0.05
    assert torch.equal(ranked.sort().values, plain.sort().values)


def test_products_beyond_the_cosines_keep_the_margin_of_the_end() -> None:
    """A residual on top of a text's vector may make it longer than 1."""
    loss = with_margin(build_objective("softmax"), MarginConfig("arcface", 0.3), 0)
    queries = torch.tensor([[1.0, 0.0]], requires_grad=True)
    labels = torch.tensor([[1.5, 0.0], [0.0, 1.0]], requires_grad=True)
    found = loss(ScoreInputs(queries, labels, [[0]], 2.0))
    own = 2 * (math.cos(0.3) + 0.5)
    assert float(found.detach()) == pytest.approx(math.log1p(math.exp(-own)), rel=1e-3)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(found, [queries, labels]))


def test_the_plain_cosine_s_weight_falls_to_the_least() -> None:
    config = MarginConfig("l_softmax", plain_start=1000.0, plain_decay=0.01, plain_power=2.0, plain_least=5.0)
    weights = [plain_weight(config, t) for t in (0, 100, 1000, 100_000)]
    assert weights == [1000.0, 250.0, pytest.approx(1000 / 121), 5.0]


@pytest.mark.parametrize("name", ["soft_top_k", "taylor_softmax", "mean_squared_error"])
def test_losses_that_see_positives_elsewhere_too_refuse(name: str) -> None:
    with pytest.raises(ConfigError, match=f"objective.margin: expected a loss .*got {name}"):
        with_margin(build_objective(name), MarginConfig("cosface"), 0)


def test_an_objective_with_a_margin_of_its_own_takes_no_other() -> None:
    own = with_margin(build_objective("softmax"), MarginConfig("cosface"), 0)
    with pytest.raises(ConfigError, match="objective.margin: expected none with softmax, which has one"):
        with_margin(own, MarginConfig("arcface"), 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "cosfase"}, "objective.margin.kind: expected one of none, cosface"),
        ({"kind": "arcface", "size": 2.0}, "objective.margin.size: expected 0 to 1.571"),
        ({"kind": "l_softmax", "multiple": 0}, "objective.margin.multiple: expected 1 or more"),
        ({"kind": "l_softmax", "deviation": 0.1}, "objective.margin.deviation: expected 0"),
        ({"kind": "cosface", "ranked": True}, "objective.margin.ranked: expected a deviation"),
        ({"kind": "cosface", "deviation": math.nan}, "objective.margin.deviation: expected 0 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        MarginConfig(**options)  # type: ignore[arg-type]


def of_all_ranks(config: MarginConfig) -> tuple[Tensor, list[Tensor]]:
    """The loss, and the gradients of this rank's queries and labels, and of the scale."""
    world = current_world()
    queries, labels, offsets = unit(7, 5, seed=0), unit(40, 5, seed=1), torch.randn(40).double() * 0 + 0.1
    positives = sp.random(7, 40, 0.1, format="csr", random_state=2, data_rvs=np.ones)
    first, last = world.shard(7)
    start, stop = world.shard(40)
    own = queries[first:last].requires_grad_(), labels[start:stop].requires_grad_()
    scale = torch.tensor(8.0, dtype=torch.float64, requires_grad=True)
    loss = with_margin(build_objective("decoupled_softmax"), config, seed=5)(
        ScoreInputs(
            all_gather_rows(own[0], 7, world),
            own[1],
            positives,
            scale,
            offsets=offsets[start:stop],
            shard=LabelShard(start, 40, world),
            batch_index=3,
        )
    )
    loss.backward()
    assert own[0].grad is not None and own[1].grad is not None and scale.grad is not None
    all_reduce_sum(scale.grad, world)
    return loss.detach(), [own[0].grad, own[1].grad, scale.grad]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_ranks_agree_with_one_process(ranks: Ranks, config: MarginConfig) -> None:
    value, (queries, labels, scale) = of_all_ranks(config)
    found = ranks.run(of_all_ranks, config, size=3)
    for loss, (_, _, of_scale) in found:
        torch.testing.assert_close(loss, value, rtol=1e-12, atol=0)
        torch.testing.assert_close(of_scale, scale, rtol=1e-9, atol=0)
    for place, whole in ((0, queries), (1, labels)):
        torch.testing.assert_close(torch.cat([g[place] for _, g in found]), whole, rtol=1e-9, atol=1e-12)
