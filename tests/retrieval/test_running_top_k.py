from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xmc.retrieval import running_top_k
from xmc.retrieval.running_top_k import RunningTopK
from xmc.retrieval.top_k import CHUNK


def taken(scores: torch.Tensor, k: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The lists after all tiles of ``width`` columns of scores."""
    best = RunningTopK(len(scores), k, scores.device)
    given_all(best, scores, width)
    return best.lists()


def given_all(best: RunningTopK, scores: torch.Tensor, width: int) -> None:
    for first in range(0, scores.shape[1], width):
        tile = scores[:, first : first + width].contiguous()
        best.add(tile, tile.view(len(tile), -1, CHUNK).amax(2), first)


def sorted_whole(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    best, ids = torch.sort(scores, dim=1, descending=True, stable=True)
    missing = max(0, k - scores.shape[1])
    best = torch.nn.functional.pad(best[:, :k], (0, missing), value=-torch.inf)
    ids = torch.nn.functional.pad(ids[:, :k], (0, missing), value=-1)
    return best, ids.masked_fill(best == -torch.inf, -1)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 24),
    st.sampled_from([1, 2, 30, 64, 130, 700]),
    st.sampled_from([1, 3, 7]),
    st.sampled_from([2, 9, 1_000_000]),
    st.sampled_from(["as drawn", "rising", "falling"]),
    st.integers(0, 2**31),
)
def test_equals_sorting_all_scores(num_rows, num_chunks, k, chunks_a_tile, values, order, seed):
    """Few distinct values make ties; in rising order every tile fills all lists anew."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(values, (num_rows, num_chunks * CHUNK), generator=generator).float()
    if order != "as drawn":
        scores = scores.sort(1, descending=order == "falling").values
    scores[torch.rand(scores.shape, generator=generator) < 0.2] = -torch.inf
    best, ids = taken(scores, k, chunks_a_tile * CHUNK)
    wanted, wanted_ids = sorted_whole(scores, k)
    assert torch.equal(best, wanted) and torch.equal(ids, wanted_ids)


@pytest.mark.parametrize("crowded", [0, 3])
def test_a_row_that_many_scores_of_one_tile_belong_to(crowded):
    """Too many for the room beside its list, in one tile of many, the other rows having few."""
    scores = torch.zeros(4, 40 * CHUNK)
    scores[:, ::97] = torch.arange(scores[0, ::97].numel()) / 100 + 1
    scores[crowded, 20 * CHUNK : 28 * CHUNK] = torch.arange(8.0 * CHUNK) + 50
    best, ids = taken(scores, 5, 10 * CHUNK)
    wanted, wanted_ids = sorted_whole(scores, 5)
    assert torch.equal(best, wanted) and torch.equal(ids, wanted_ids)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 24),
    st.sampled_from([1, 3, 30, 130]),
    st.sampled_from([1, 7]),
    st.sampled_from([2, 9, 1_000_000]),
    st.sampled_from([0.2, 0.9, 0.98, 1.0]),
    st.integers(0, 2**31),
)
def test_lists_from_a_floor_on_are_right_or_short(num_rows, num_chunks, k, chunks, values, height, seed):
    """Whatever the floor: a row that is not said to be short has the list that it has without one."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(values, (num_rows, num_chunks * CHUNK), generator=generator).float()
    floor = (height * (values - 1) * torch.rand(num_rows, generator=generator)).floor()
    floor[0] = -torch.inf
    best = RunningTopK(num_rows, k, scores.device, floor)
    given_all(best, scores, chunks * CHUNK)
    short = (scores > floor[:, None]).sum(1) < k
    short[0] = False
    assert best.short().tolist() == short.nonzero()[:, 0].tolist()
    right = ~short
    for got, wanted in zip(best.lists(), sorted_whole(scores, k), strict=True):
        assert torch.equal(got[right], wanted[right])


def test_a_floor_spares_most_candidates(monkeypatch):
    """Random scores, as the first tiles have nearly all of the best so far."""
    scores = torch.rand(40, 100 * CHUNK, generator=torch.Generator().manual_seed(0))
    looked_at = []
    places = running_top_k._places
    monkeypatch.setattr(
        running_top_k, "_places", lambda flags: looked_at.append(flags.numel()) or places(flags)
    )
    best = RunningTopK(40, 20, scores.device, scores.topk(60, dim=1).values[:, -1])
    given_all(best, scores, 10 * CHUNK)
    assert not len(best.short())
    # Of each tile the 40 x 10 chunks, and of the 59 candidates a row the chunks that they are in.
    assert sum(looked_at) <= 10 * 40 * 10 + 59 * 40 * CHUNK
    assert torch.equal(best.lists()[1], sorted_whole(scores, 20)[1])


def test_without_a_row_or_a_tile():
    assert RunningTopK(0, 3, torch.device("cpu")).lists()[0].shape == (0, 3)
    scores, ids = RunningTopK(2, 3, torch.device("cpu")).lists()
    assert ids.tolist() == [[-1] * 3] * 2 and bool((scores == -torch.inf).all())


def test_a_tile_of_no_rows_is_taken():
    assert RunningTopK(0, 3, torch.device("cpu")).add(torch.empty(0, CHUNK), torch.empty(0, 1), 0)


def test_a_tile_with_a_score_that_is_no_number_is_refused():
    best = RunningTopK(2, 3, torch.device("cpu"))
    tile = torch.arange(2.0 * CHUNK).view(2, CHUNK)
    assert best.add(tile, tile.amax(1, keepdim=True), 0)
    before = best.lists()
    wrong = (tile + 1000).index_fill(1, torch.tensor([5]), torch.nan)
    assert not best.add(wrong, wrong.amax(1, keepdim=True), CHUNK)
    assert all(map(torch.equal, best.lists(), before))


def test_a_tile_is_taken_with_few_reads(monkeypatch):
    """A GPU is waited for at each: two of numbers, and two of how many scores are looked at."""
    best = RunningTopK(2, 3, torch.device("cpu"))
    tile = torch.arange(40.0 * CHUNK).view(2, -1).flip(1).contiguous()
    best.add(tile, tile.view(2, -1, CHUNK).amax(2), 0)
    higher = tile.clone()
    higher[0, 7] = 1e6
    peaks, reads = higher.view(2, -1, CHUNK).amax(2), []
    places = running_top_k._places
    monkeypatch.setattr(running_top_k, "_places", lambda flags: reads.append("places") or places(flags))
    for name in ("__int__", "__bool__", "__float__", "__index__", "item", "tolist", "nonzero", "bincount"):
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda *given, name=name, read=read: reads.append(name) or read(*given)
        )
    best.add(higher, peaks, tile.shape[1])
    assert reads == ["tolist", "places", "places", "tolist"]
