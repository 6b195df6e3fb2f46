from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xmc.errors import ConfigError
from xmc.random_streams import Stream, generator, seed_torch, torch_seed
from xmc.training.config import DataConfig, RunOptions, TrainConfig

ROOT = Path(__file__).parents[1] / "xmc"

# Of seed 7 and the counters 1, 2: what a stream draws is part of what a seed means.
GOLDEN = {
    Stream.VALIDATION_ROWS: 2021251017632032385,
    Stream.INITIAL_WEIGHTS: 8779501138110131270,
    Stream.LABEL_CLUSTERS: 3411976877185804603,
    Stream.QUERY_ORDER: 3318563387231164363,
    Stream.CLUSTER_CUTS: 2609058585206538698,
    Stream.CLUSTER_ORDER: 896910527399344574,
    Stream.UNIFORM_LABELS: 1026783091352400583,
    Stream.TEMPERED_LABELS: 1245090848826459810,
    Stream.LABEL_QUERIES: 2864403778226272459,
    Stream.MINED_LABELS: 5700392153767953749,
    Stream.MEMORY_SAMPLE: 3891186963577310839,
    Stream.DROPOUT: 7415097172656419858,
    Stream.RESIDUAL_DROPOUT: 4441613460414461512,
    Stream.MOMENT_PROBES: 3742640833429617652,
    Stream.ROWS_LEFT_OUT: 8073087306024858539,
    Stream.CANDIDATES: 2987062851183951830,
    Stream.POSITIVES: 1197983690546816197,
    Stream.MARGINS: 5263443333591607355,
    Stream.ROUNDING: 5306608977856119429,
    Stream.CLASSIFIER_ROWS: 5944873682672178138,
    Stream.TEACHER_CANDIDATES: 4067826521551291228,
    Stream.DISCRIMINATOR: 8895699151154858983,
    Stream.LABEL_TEXTS: 3328862922689257741,
}

# Files that draw beside the streams, and why they may.
ELSEWHERE = {
    "bench": "made-up inputs of a timing, whose numbers are of no interest",
    "corpora/synthetic": "defines data sets that figures are recorded on; its seed is not a run's",
    "reports/resampling.py": "intervals and p-values of a report, whose seed is not a run's",
}


def keys(seeds: int, counts: int) -> Iterator[tuple[int, Stream, tuple[int, ...]]]:
    for seed, stream in product(range(seeds), Stream):
        for counters in product(range(counts), repeat=len(stream.counters)):
            yield seed, stream, counters


def test_numbers_are_distinct_and_fit_a_word() -> None:
    numbers = [stream.number for stream in Stream]
    assert len(set(numbers)) == len(numbers) and all(0 < number < 1 << 32 for number in numbers)


def test_each_stream_draws_what_it_drew() -> None:
    assert {stream: torch_seed(7, stream, *(1, 2)[: len(stream.counters)]) for stream in Stream} == GOLDEN


def test_what_a_generator_makes_of_a_stream() -> None:
    drawn = generator(7, Stream.QUERY_ORDER, 1)
    assert drawn.bit_generator.random_raw(2).tolist() == [13606676243441687261, 9475351662906047634]
    assert generator(7, Stream.QUERY_ORDER, 1).permutation(8).tolist() == [6, 0, 4, 1, 7, 2, 3, 5]


@pytest.mark.parametrize("draw", [torch_seed, lambda *key: int(generator(*key).integers(1 << 63))])
def test_no_two_draws_are_alike(draw: Callable[..., int]) -> None:
    """Of some thousand keys two in 63 bits would agree by chance once in a trillion times."""
    drawn = [draw(seed, stream, *counters) for seed, stream, counters in keys(7, 9)]
    assert len(drawn) > 3000 and len(set(drawn)) == len(drawn)


@given(
    st.sampled_from(list(Stream)),
    st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=2),
    st.integers(0, 2**128 - 1),
    st.data(),
)
def test_a_change_of_one_number_is_another_draw(
    stream: Stream, counters: list[int], seed: int, data: st.DataObject
) -> None:
    key = [seed, *counters[: len(stream.counters)]]
    at = data.draw(st.integers(0, len(key) - 1))
    other = list(key)
    other[at] = data.draw(st.integers(0, 2**128 - 1 if at == 0 else 2**32 - 1).filter(key[at].__ne__))
    assert torch_seed(key[0], stream, *key[1:]) != torch_seed(other[0], stream, *other[1:])
    assert torch_seed(key[0], stream, *key[1:]) == torch_seed(key[0], stream, *key[1:]) < 2**63


def test_no_stream_is_what_made_data_and_reports_draw_from() -> None:
    """Theirs have keys of at most four words, which a spawn key never has."""
    theirs = [np.random.default_rng(7)]
    theirs += [np.random.default_rng([7, *rest]) for rest in ((1,), (2, 0), (3, 1))]
    drawn = [rng.bit_generator.random_raw() for rng in theirs]
    drawn += [generator(*key[:2], *key[2]).bit_generator.random_raw() for key in keys(8, 3)]
    assert len(set(drawn)) == len(drawn)


def test_a_huge_seed_counts_whole() -> None:
    drawn = [torch_seed(seed, Stream.QUERY_ORDER, 0) for seed in (0, 1, 2**32, 2**64, 2**127, 2**128 - 1)]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("seed", [-1, 2**128])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    said = rf"seed: expected a whole number from 0 to 2\*\*128 - 1, got {seed}"
    with pytest.raises(ConfigError, match=said):
        generator(seed, Stream.VALIDATION_ROWS)
    with pytest.raises(ConfigError, match=said):
        TrainConfig(DataConfig("data"), RunOptions("run"), seed=seed)


def test_a_configuration_takes_a_huge_seed() -> None:
    assert TrainConfig(DataConfig("data"), RunOptions("run"), seed=2**64).seed == 2**64


@pytest.mark.parametrize("counters", [(), (1,), (1, 2, 3), (-1, 0), (0, 2**32)])
def test_other_counters_than_the_stream_s_are_refused(counters: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"expected the counters \(batch_index, rank\) of DROPOUT"):
        torch_seed(0, Stream.DROPOUT, *counters)


def draws_outside(tree: ast.AST) -> list[str]:
    """Calls that make random numbers, or seed them, from anything but a stream; and ``hash`` of a tuple."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [name for name in names if name in ("random", "secrets", "numpy.random")]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        seeds = called.endswith(("manual_seed", "manual_seed_all")) and not (
            len(node.args) == 1
            and isinstance(node.args[0], ast.Call)
            and ast.unparse(node.args[0].func) == "torch_seed"
        )
        # Of a text it tells equal ones apart; of a tuple of numbers it was once taken for a seed.
        hashed = called == "hash" and any(isinstance(part, ast.Tuple) for part in node.args)
        if seeds or hashed or called.startswith(("np.random.", "numpy.random.")):
            found.append(called)
    return found


def test_nothing_else_in_the_package_makes_random_numbers() -> None:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search("random|secrets|manual_seed|hash", text):
            continue  # it has none of the names that are looked for: most files need not be parsed
        calls = draws_outside(ast.parse(text, str(path)))
        if calls and path.name != "random_streams.py":
            found[path.relative_to(ROOT).as_posix()] = calls
    assert {name: calls for name, calls in found.items() if not name.startswith(tuple(ELSEWHERE))} == {}
    for place in ELSEWHERE:
        assert any(name.startswith(place) for name in found), f"{place} draws nothing: take it off the list"


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("np.random.default_rng(seed)", True),
        ("np.random.SeedSequence([seed, 1])", True),
        ("np.random.permutation(4)", True),
        ("import random", True),
        ("from numpy.random import default_rng", True),
        ("torch.manual_seed(config.seed)", True),
        ("torch.Generator().manual_seed(0)", True),
        ("torch.manual_seed(hash((seed, 1)))", True),
        ("torch.manual_seed(torch_seed(seed, Stream.DROPOUT, 0, 0))", False),
        ("generator(seed, Stream.QUERY_ORDER, epoch).permutation(rows)", False),
        ("def f(draw: np.random.Generator): return draw.choice(4)", False),
    ],
)
def test_a_draw_outside_the_streams_is_seen(source: str, bad: bool) -> None:
    assert bool(draws_outside(ast.parse(source))) == bad


def test_torch_is_seeded_as_its_own_function_does() -> None:
    torch.manual_seed(torch_seed(3, Stream.DROPOUT, 5, 0))
    expected = torch.rand(4)
    seed_torch(torch.device("cpu"), 3, Stream.DROPOUT, 5, 0)
    assert torch.equal(torch.rand(4), expected)
