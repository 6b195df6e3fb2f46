from __future__ import annotations

import json

import pytest
import torch

from tests.objectives.functions import FUNCTIONS
from xmc.bench import bench_scoring, scoring_table
from xmc.bench.published import PUBLISHED
from xmc.bench.resources import peak_extra_bytes
from xmc.cli.main import main
from xmc.scoring import as_positives


def inputs():
    generator = torch.Generator().manual_seed(1)
    queries = torch.nn.functional.normalize(
        torch.randn(6, 8, generator=generator, dtype=torch.float64), dim=1
    )
    labels = torch.nn.functional.normalize(
        torch.randn(50, 8, generator=generator, dtype=torch.float64), dim=1
    )
    return queries, labels, as_positives([[0, 3], [1], [4, 9, 11], [2], [49], [5, 6]], 6, 50)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("softmax", {"over_positives": "sum"}),
        ("decoupled_softmax", {}),
        ("soft_top_k", {"k": 5, "alpha": 2.0}),
        ("binary_cross_entropy", {"bias": 0.0, "over_labels": "mean"}),
    ],
)
def test_the_published_formula_is_the_same_objective(name, options):
    # Normalised embeddings keep scores above -100, where the published mask is harmless.
    queries, labels, positives = inputs()
    ours = FUNCTIONS[name](queries, labels, positives, **options)
    torch.testing.assert_close(PUBLISHED[name](queries, labels, positives), ours, rtol=1e-6, atol=1e-8)


@pytest.fixture
def no_peak(monkeypatch):
    """Memory is not looked at: that takes a garbage collection of the whole process for each case."""
    monkeypatch.setattr("xmc.bench.scoring.peak_extra_bytes", lambda function: function())


def test_measures_every_objective_in_every_way(no_peak):
    cases = bench_scoring([8], [300], dimension=16, repeats=1)
    kinds = {(case.objective, case.implementation) for case in cases}
    for name in FUNCTIONS:
        assert {(name, "tiled"), (name, "tiled, labels frozen")} <= kinds
        assert (name, "dense") in kinds or (name, "published") in kinds
    assert {(name, "published") for name in PUBLISHED} <= kinds
    assert all(case.seconds > 0 and case.products > 0 for case in cases)
    assert scoring_table(cases).count("\n") == len(cases) + 1


def test_a_spherical_loss_is_also_measured_with_a_pool(no_peak, monkeypatch):
    monkeypatch.setattr("xmc.bench.scoring.POOL_LABELS", 64)
    cases = bench_scoring(
        [8], [64, 300], dimension=16, objectives=["softmax", "taylor_softmax"], repeats=1, memory_bytes=0
    )
    pools = [case for case in cases if "pool" in case.implementation]
    assert [(case.objective, case.num_labels) for case in pools] == [("taylor_softmax", 300)]


def test_what_does_not_fit_is_left_out():
    cases = bench_scoring([8], [300], dimension=16, objectives=["softmax"], repeats=1, memory_bytes=1000)
    assert [case.implementation for case in cases] == ["tiled", "tiled, labels frozen"]


def test_peak_memory_is_seen():
    def allocate() -> None:
        torch.ones(64 << 20, dtype=torch.uint8)

    extra = peak_extra_bytes(allocate)
    if extra is not None:
        assert 60 << 20 < extra < 120 << 20


def test_the_command_prints_a_table_and_writes_json(tmp_path, capsys):
    path = tmp_path / "scoring.json"
    words = ["--num_queries", "[4]", "--num_labels", "[64]", "--dimension", "8", "--objectives", "[softmax]"]
    assert main(["bench", "scoring", *words, "--repeats", "1", "--json", str(path)]) == 0
    assert "| softmax | tiled | 4 | 64 |" in capsys.readouterr().out
    assert len(json.loads(path.read_text())["cases"]) == 4
    assert main(["bench", "scoring", *words, "--repeats", "1", "--memory_gb", "0"]) == 0
    assert "dense" not in capsys.readouterr().out
    assert main(["bench", "scoring", *words, "--repeats", "0"]) == 2
    assert main(["bench", "scoring", *words, "--json", str(tmp_path)]) == 2
    assert "--json" in capsys.readouterr().err
    assert main(["bench", "scoring", "--objectives", "[triplet]"]) == 2
    assert "got triplet" in capsys.readouterr().err
