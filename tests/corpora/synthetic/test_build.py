from __future__ import annotations

import numpy as np
import pytest

from xmc.cli.main import main
from xmc.corpora import Law, build_synthetic
from xmc.data import Dataset, describe
from xmc.errors import ConfigError, XMCError


def _build(out, **changes):
    sizes = {"num_labels": 300, "num_queries": 500, "num_test": 200, "progress": False}
    return build_synthetic(out, **(sizes | changes))


def test_the_same_arguments_give_the_same_data_set(tmp_path):
    one, same, other = (_build(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert one.ceiling == same.ceiling and set(one.ceiling) == {"P@1", "P@3", "P@5"}


def test_the_first_rows_stay_when_there_are_more(tmp_path):
    few, many = _build(tmp_path / "few"), _build(tmp_path / "many", num_queries=9000, num_test=201)
    assert few.texts("train")[:] == many.texts("train")[:500]
    assert (few.relevance("train") != many.relevance("train")[:500]).nnz == 0
    assert few.texts("test")[:] == many.texts("test")[:200] != few.texts("train")[:200]
    assert few.label_fingerprint == many.label_fingerprint


def test_what_is_written(tmp_path):
    built = _build(tmp_path / "out")
    assert (built.num_labels, built.num_train, built.num_test) == (300, 500, 200)
    assert built.uids("labels")[7] == "l7" and built.rows_without_labels == 0
    (source,) = built.manifest.sources
    assert source["seed"] == 0 and source["law"]["noise"] == 0.1
    measured, expected = source["best_ranking_on_the_labels_drawn"], built.ceiling
    assert all(abs(measured[name] - expected[name]) < 10 for name in expected)  # 200 rows: 2.8 is one sigma
    assert "best possible" in describe(built).table() and describe(built).ceiling == expected
    positives = built.relevance("train")[0].indices
    query = set(built.texts("train")[0].split())
    assert any(len(query & set(title.split())) >= 2 for title in built.texts("labels")[positives])


def test_noise_lowers_the_ceiling_as_it_should(tmp_path):
    clean, noisy = (_build(tmp_path / str(noise), law=Law(noise=noise)) for noise in (0.0, 0.5))
    # Half of the labels are noise, a few of which fall on the best label all the same.
    assert noisy.ceiling["P@1"] / clean.ceiling["P@1"] == pytest.approx(0.5, abs=0.03)
    assert noisy.ceiling["P@1"] / clean.ceiling["P@1"] > 0.5


def test_counts_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="at least one query"):
        _build(tmp_path / "out", num_queries=0)
    with pytest.raises(ConfigError, match="seed of at least 0"):
        _build(tmp_path / "out", seed=-1)
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_kept(tmp_path):
    _build(tmp_path / "out")
    with pytest.raises(XMCError, match="overwrite"):
        _build(tmp_path / "out", seed=1)
    assert _build(tmp_path / "out", seed=1, overwrite=True).num_labels == 300


def test_the_command(tmp_path, capsys):
    sizes = ["--labels", "200", "--queries", "100", "--test", "50", "--seed", "3", "--noise", "0.2"]
    assert main(["data", "synthetic", str(tmp_path / "out"), *sizes]) == 0
    assert "best possible" in capsys.readouterr().out
    built = Dataset.load(tmp_path / "out")
    assert (built.num_labels, built.num_train, built.num_test) == (200, 100, 50)
    assert built.manifest.sources[0]["law"]["noise"] == 0.2
    assert main(["data", "synthetic", str(tmp_path / "bad"), "--labels", "3"]) == 2
    assert "expected 10 to" in capsys.readouterr().err
    assert np.all([path.name != "bad" for path in tmp_path.iterdir()])
