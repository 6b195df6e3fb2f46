from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "encode.py"


def test_padding_and_ratio() -> None:
    spec = importlib.util.spec_from_file_location("encode", PATH)
    assert spec is not None and spec.loader is not None
    encode = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(encode)
    lengths = np.array([4, 1, 2, 1])
    assert encode.padding(lengths, np.arange(4), 2) == (4 + 4 + 2 + 2) / 8
    assert encode.padding(lengths, np.argsort(-lengths), 1) == 1
    calls: list[str] = []
    seconds = encode.ratio(lambda: calls.append("a"), lambda: calls.append("b"), 2)
    assert calls == ["a", "b"] * 2 and all(second >= 0 for second in seconds)
