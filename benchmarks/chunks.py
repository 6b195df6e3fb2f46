"""A data set whose labels' contents are broken into lines, to see what several texts a label do.

    python -m benchmarks.chunks data/debian-related-30k OUT --words 24
    xmc train debian-related-30k --data.path OUT --data.label_texts lines --run.dir runs/chunks

A line ends with the first sentence that brings it to that many words. Nothing but white space is changed, so
that `label_texts: joint` reads the words that it read before.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from xmc.data import Dataset
from xmc.data.copying import copy_rows
from xmc.data.manifest import SPLITS
from xmc.data.writer import DatasetWriter
from xmc.errors import XMCError

__all__ = ["chunks", "main", "write_chunks"]

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")


def chunks(text: str, words: int) -> list[str]:
    """Whole sentences of a text, in chunks of at least so many words, but for the last."""
    found: list[str] = []
    for sentence in filter(None, _SENTENCE_END.split(" ".join(text.split()))):
        if found and len(found[-1].split()) < words:
            found[-1] += f" {sentence}"
        else:
            found.append(sentence)
    return found


def write_chunks(dataset: Dataset, out: str, words: int) -> int:
    """Write the data set with a line for each chunk of a label's content; how many lines there are.

    Raises:
        XMCError: When ``out`` is taken.
    """
    manifest, count = dataset.manifest, 0
    writer = DatasetWriter(
        out,
        name=dataset.name,
        propensity=dataset.propensity,
        sources=[{"chunks_of_words": words, "from": dataset.fingerprint}, *manifest.sources],
        query_fields=manifest.query_fields,
        label_fields=manifest.label_fields,
    )
    writer.query_columns = manifest.query_columns
    titles, contents = (dataset.texts("labels", [field]) for field in ("title", "content"))
    with writer:
        for uid, title, content in zip(dataset.uids("labels"), titles, contents, strict=True):
            lines = chunks(content, words)
            count += len(lines)
            writer.add_label(uid, title, "\n".join(lines))
        for split in SPLITS:
            copy_rows(dataset, split, writer)
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Write, and say how many chunks there are."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("dataset")
    parser.add_argument("out")
    parser.add_argument("--words", type=int, default=24, help="the least words of a chunk but the last")
    options = parser.parse_args(arguments)
    try:
        dataset = Dataset.load(options.dataset)
        count = write_chunks(dataset, options.out, options.words)
    except XMCError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {dataset.num_labels:,} labels, {count:,} chunks of their contents")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
