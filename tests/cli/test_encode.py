"""Shards of embeddings as the command writes them, by one process and by several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from xmc import DualEncoder
from xmc.cli.main import main
from xmc.data import Dataset

ROOT = Path(__file__).parents[2]


def vectors(place: Path) -> np.ndarray:
    tables = [pq.read_table(file) for file in sorted(place.glob("shard-*.parquet"))]
    assert [row for table in tables for row in table["row"].to_pylist()] == list(range(60))
    return np.array([v for table in tables for v in table["vector"].to_pylist()], dtype=np.float32)


def test_three_ranks_of_which_one_died_and_two_that_go_on(
    model_folder: Path, dataset_folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    out = tmp_path / "shards"
    encode = ["encode", str(model_folder), str(dataset_folder), "--out", str(out), "--rows", "13"]
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in (0, 2):
        monkeypatch.setenv("RANK", str(rank))
        assert main(encode) == 0
    assert "rank 2 of 3: 1 shard written, 0 were there; 3 of 5" in capsys.readouterr().out
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    assert main([*encode, "--shard", "1/2"]) == 0
    assert "rank 0 of 2: 1 shard written, 2 were there; 4 of 5" in capsys.readouterr().out
    assert main(encode) == 0
    said = capsys.readouterr().out
    assert "rank 0 of 1: 1 shard written, 4 were there; 5 of 5" in said and "all 60 texts" in said
    encoder = DualEncoder.load(model_folder)
    assert (vectors(out) == encoder.encode_queries(Dataset.load(dataset_folder), "train")).all()
    assert main([*encode[:-1], "14"]) == 2
    assert "shards of another rows: 13" in capsys.readouterr().err


def test_a_size_without_a_rank(
    model_folder: Path, dataset_folder: Path, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.delenv("RANK", raising=False)
    assert main(["encode", str(model_folder), str(dataset_folder), "--out", str(tmp_path / "out")]) == 2
    assert "expected a rank of 3 in RANK" in capsys.readouterr().err


@pytest.mark.slow
def test_accelerate_launch(model_folder: Path, dataset_folder: Path, tmp_path: Path) -> None:
    words = [str(model_folder), str(dataset_folder), "--rows", "13", "--out"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    program = [str(ROOT / "scripts" / "encode.py"), *words, str(tmp_path / "two")]
    done = subprocess.run([*launch, *program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "rank 0 of 2: 3 shards written" in done.stdout and "rank 1 of 2: 2 shards written" in done.stdout
    assert main(["encode", *words, str(tmp_path / "one")]) == 0
    for shard in range(5):
        name = f"shard-{shard:05d}.parquet"
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
