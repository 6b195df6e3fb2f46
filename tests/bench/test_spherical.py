from __future__ import annotations

import json

import pytest

from tests.largest import LargestTensor
from xmc.bench.spherical import HeadCase, bench_spherical, growth_lines, head_table
from xmc.bench.spherical_plot import plot_heads
from xmc.cli.main import main
from xmc.errors import ConfigError


def case(num_labels: int, seconds: float, dense: float | None = None, tiled: float | None = None) -> HeadCase:
    return HeadCase(num_labels, 16, 8, seconds, 0.25 * seconds, None, dense, tiled, 0)


def test_measures_every_shape_on_both_sides():
    cases = bench_spherical([300, 600], [8], [4, 12], steps=2, repeats=1)
    shapes = [(found.num_queries, found.num_labels) for found in cases]
    assert shapes == [(4, 300), (4, 600), (12, 300), (12, 600)]
    for found in cases:
        assert (
            min(found.step_seconds, found.stabilising_seconds, found.dense_seconds, found.tiled_seconds) > 0
        )
        assert found.seconds == found.step_seconds + found.stabilising_seconds
    assert head_table(cases).count("\n") == 5


def test_a_softmax_that_does_not_fit_is_left_out_and_said_so():
    (found,) = bench_spherical([300], [8], [4], steps=1, repeats=1, memory_bytes=1000)
    assert found.dense_seconds is None and found.tiled_seconds is None and found.speedup is None
    assert head_table([found]).count("does not fit") == 2
    with LargestTensor(ignored=(5000, 4)) as seen:
        bench_spherical([5000], [4], [100], steps=2, repeats=1, memory_bytes=1000)
    assert seen.elements < 100 * 5000, "no score matrix"


def test_the_speedup_is_over_the_faster_softmax_and_includes_stabilising():
    assert case(10, 1.0, dense=5.0, tiled=10.0).speedup == pytest.approx(4.0)
    assert case(10, 1.0, tiled=10.0).speedup == pytest.approx(8.0)
    assert growth_lines([case(10, 1.0), case(99, 1.2)]) == [
        "D=16, B=8: a factored step on 99 labels takes 1.20 times one on 10"
    ]


def test_the_command_writes_figures_and_a_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    shape = ["--num_labels", "[200, 400]", "--dimensions", "[8]", "--num_queries", "[4]", "--steps", "1"]
    files = ["--json", str(tmp_path / "heads.json"), "--plot", str(tmp_path / "heads.svg")]
    assert main(["bench", "spherical", *shape, "--repeats", "1", *files]) == 0
    assert "| 8 | 4 | 400 |" in capsys.readouterr().out
    content = json.loads((tmp_path / "heads.json").read_text())
    assert [found["num_labels"] for found in content["cases"]] == [200, 400]
    assert content["cases"][0]["speedup"] > 0
    drawn = (tmp_path / "heads.svg").read_text()
    assert "factored head" in drawn and "ms per step" in drawn


def test_a_png_and_no_other_kind(tmp_path):
    pytest.importorskip("matplotlib")
    plot_heads([case(10, 1.0, 2.0), case(100, 1.0)], tmp_path / "heads.png")
    assert (tmp_path / "heads.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="end in .svg or .png"):
        plot_heads([case(10, 1.0)], tmp_path / "heads.pdf")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--num_labels", "[0]"], "numbers of at least 1"),
        (["--objective", "softmax"], "--objective: expected one of"),
        (["--plot", "heads.pdf"], "--plot: expected a file that ends in"),
    ],
)
def test_the_command_refuses_what_it_cannot_measure(options, text, capsys):
    assert main(["bench", "spherical", *options]) == 2
    assert text in capsys.readouterr().err
