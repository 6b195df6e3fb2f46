"""Every way of asking is timed on all test queries, as often as there are rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import teacher_speed
from xmc.data import Dataset
from xmc.encoders import DualEncoder


def test_three_ways_are_timed(
    dataset: Dataset, static_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    threads: list[int] = []
    asked: list[int] = []
    encode = DualEncoder.encode_queries

    def counted(self: DualEncoder, texts: Any, *more: Any, **options: Any) -> Any:
        asked.append(len(texts))
        return encode(self, texts, *more, **options)

    monkeypatch.setattr(teacher_speed.torch, "set_num_threads", threads.append)
    monkeypatch.setattr(DualEncoder, "encode_queries", counted)
    words = [str(dataset.path), str(static_model), str(static_model), "--rounds", "3"]
    assert teacher_speed.main(words) == 0 and threads == [1]
    # One model to begin with; in each round one, two, and two for the mean.
    assert asked == [dataset.num_test] * (1 + 3 * 5)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == ["one", "in turn", "mean of probabilities"]
    assert all(float(line.split()[-4].replace(",", "")) > 0 for line in said)
