"""``xmc data synthetic``: a data set of any size, whose best possible precision is known.

The seed is the data set's own, apart from the streams of training (`xmc.random_streams`). What it draws is
part of the data sets that figures are recorded on, so these keys stay: ``[seed, 0]`` the vocabulary,
``[seed, 1]`` the catalogue, ``[seed, 2 + split, chunk]`` the queries (split 0 for training).
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from xmc.corpora.synthetic.catalogue import Catalogue, make_catalogue
from xmc.corpora.synthetic.law import Law
from xmc.corpora.synthetic.oracle import Oracle
from xmc.corpora.synthetic.queries import QueryBatch, draw_queries
from xmc.corpora.synthetic.vocabulary import ABSENT, Vocabulary, join_words, make_vocabulary
from xmc.data.dataset import Dataset
from xmc.data.manifest import SPLITS, Split, check_place
from xmc.data.writer import DatasetWriter
from xmc.errors import ConfigError
from xmc.progress import each

__all__ = ["CEILING_AT", "CHUNK", "Source", "build_synthetic"]

CEILING_AT = (1, 3, 5)
CHUNK = 8192


def build_synthetic(
    out: str | Path,
    *,
    num_labels: int,
    num_queries: int,
    num_test: int = 10_000,
    seed: int = 0,
    law: Law | None = None,
    crowding: int = 1,
    names: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Dataset:
    """Build the data set in the folder ``out`` and open it.

    A label is an article of a made-up catalogue, a query a noisy view of one: it leaves words out, changes
    their order, says half of them by an alias that no title has, and adds words that say nothing. Its labels
    are members of the article's family; a share of them is noise (see :class:`Law`). The same arguments give
    the same data set; the first queries do not depend on how many there are.

    ``dataset.json`` gets the *ceiling*: the expected P@1, P@3 and P@5 of the best ranking there is of the
    test queries, in percent (see :class:`Oracle`), and under ``sources`` what that ranking gets on the labels
    that were drawn, which chance moves a little above or below.

    Args:
        out: The folder to make.
        num_labels: L.
        num_queries: Training rows.
        num_test: Test rows, drawn by the same law.
        seed: Of the catalogue and of all draws.
        law: How noisy queries and labels are; :class:`Law`'s own defaults when None.
        crowding: Families of articles that differ in one word alone. 1 draws every family on its own.
        names: Made-up lines in place of the words there are: rare words, by which crowded families differ.
            The fewer training queries there are for a name, the harder. 0 for none.
        overwrite: Replace a prepared data set that is there.
        progress: Show a bar.

    Raises:
        XMCError: When ``out`` is taken and ``overwrite`` is false, or holds anything but a prepared data set.
        ConfigError: For counts that cannot be.
    """
    if num_queries < 1 or num_test < 1 or seed < 0:
        raise ConfigError(
            "expected at least one query, one test query and a seed of at least 0, got "
            f"{num_queries:,}, {num_test:,} and {seed}"
        )
    check_place(out, overwrite=overwrite)
    started = time.perf_counter()
    law = law or Law()
    catalogue = make_catalogue(num_labels, law.zipf_offset, seed, crowding, names)
    source = Source(catalogue, make_vocabulary(seed, names), law, seed)
    made_by = {"law": asdict(law), "seed": seed, "families": catalogue.num_families, "crowding": crowding}
    if names:
        made_by["names"] = names
    with DatasetWriter(
        out,
        name=f"synthetic-{num_labels}",
        sources=[made_by],
        query_fields=("title",),
        label_fields=("title",),
        overwrite=overwrite,
    ) as writer:
        _write_labels(writer, source, progress)
        judged = _Judged(Oracle(source.catalogue, law))
        for split, count in zip(SPLITS, (num_queries, num_test), strict=True):
            _write_queries(writer, source, split, count, judged, progress)
        writer.ceiling = judged.expected()
        made_by["best_ranking_on_the_labels_drawn"] = judged.measured()
    if progress:
        ceiling = ", ".join(f"{name} {value:.2f}" for name, value in writer.ceiling.items())
        tqdm.write(f"synthetic: {time.perf_counter() - started:.0f} s, best possible {ceiling}")
    return Dataset.load(out)


@dataclass(frozen=True)
class Source:
    """What a data set is drawn from."""

    catalogue: Catalogue
    vocabulary: Vocabulary
    law: Law
    seed: int

    def queries(self, split: Split, chunk: int) -> QueryBatch:
        """A chunk of queries: it depends on the seed, the split and its number alone."""
        rng = np.random.default_rng([self.seed, 2 + SPLITS.index(split), chunk])
        return draw_queries(CHUNK, self.catalogue, self.vocabulary, self.law, rng)


class _Judged:
    """What the best ranking is expected to get on the test queries, and what it gets."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._most = max(CEILING_AT)
        self._chance = np.zeros(self._most)
        self._hits = np.zeros(self._most)
        self._rows = 0

    def add(self, queries: QueryBatch, count: int) -> None:
        """Judge the first ``count`` queries."""
        ids, chances = self._oracle.rank(queries.observed[:count], self._most)
        self._chance += chances.sum(axis=0)
        self._hits += (ids[:, :, None] == queries.labels[:count, None, :]).any(axis=2).sum(axis=0)
        self._rows += count

    def expected(self) -> dict[str, float]:
        """P@k in percent, by name."""
        return self._precision(self._chance)

    def measured(self) -> dict[str, float]:
        """P@k in percent, by name, on the labels drawn."""
        return self._precision(self._hits)

    def _precision(self, by_rank: np.ndarray) -> dict[str, float]:
        summed = np.cumsum(by_rank)
        return {f"P@{k}": round(float(100 * summed[k - 1] / k / self._rows), 4) for k in CEILING_AT}


def _write_labels(writer: DatasetWriter, source: Source, progress: bool) -> None:
    places = np.argsort(source.catalogue.id_of)
    for start in each(range(0, len(places), CHUNK), "labels", "chunk", shown=progress):
        words = source.catalogue.title_words(places[start : start + CHUNK])
        titles = join_words(source.vocabulary.words, words + source.vocabulary.facet_start)
        for label, title in enumerate(titles, start):
            writer.add_label(f"l{label}", title)


def _write_queries(
    writer: DatasetWriter, source: Source, split: Split, num_rows: int, judged: _Judged, progress: bool
) -> None:
    chunks = -(-num_rows // CHUNK)
    for chunk in each(range(chunks), f"{split} queries", "chunk", shown=progress):
        start = chunk * CHUNK
        count = min(CHUNK, num_rows - start)
        queries = source.queries(split, chunk)
        texts = join_words(source.vocabulary.words, queries.text[:count])
        for row, (text, labels) in enumerate(zip(texts, queries.labels[:count].tolist(), strict=True), start):
            writer.add_row(split, f"{split}{row}", text, "", [label for label in labels if label != ABSENT])
        if split == "test":
            judged.add(queries, count)
