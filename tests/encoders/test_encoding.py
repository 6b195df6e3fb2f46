from __future__ import annotations

import logging
from pathlib import Path

import pytest

from xmc.encoders import CutCount, DualEncoder, EncoderConfig


@pytest.mark.parametrize("kind", ["static", "transformer"])
def test_only_texts_longer_than_the_tower_reads_are_counted(
    kind: str, static_folder: Path, bert_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, words = (static_folder, 4) if kind == "static" else (bert_folder, 2)
    encoder = DualEncoder.build(EncoderConfig(str(folder), kind=kind, query_length=4, label_length=8))  # type: ignore[arg-type]
    texts = [" ".join(["red"] * count) for count in (words + 1, words, 0, words + 3)]
    cuts = CutCount()
    encoder.encode_queries(texts, cuts=cuts)
    encoder.encode_queries(texts[:1], cuts=cuts)
    assert (cuts.num_cut, cuts.num_texts, cuts.max_length) == (3, 5, 4)
    with caplog.at_level(logging.WARNING, logger="xmc"):
        cuts.warn("queries")
        CutCount().warn("queries")
    assert caplog.messages == [
        "3 of 5 queries have more tokens than the 4 the model reads: the rest of them was left out"
    ]
