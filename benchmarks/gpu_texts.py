"""From texts to ranked labels on a GPU: a smoke test, exact search, a training end to end, encoding."""

from __future__ import annotations

import importlib
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.gpu_cases import CheckCase
from benchmarks.gpu_data import cut_data
from benchmarks.gpu_files import case_folder
from benchmarks.gpu_models import build_encoder, words
from benchmarks.gpu_shapes import SHAPES
from benchmarks.gpu_timing import matrix_rate, wait_for
from xmc.data import Dataset
from xmc.retrieval import exact_search

__all__ = ["EncodeCase", "SearchCase", "SmokeCase", "TrainCase"]

NEEDED = (
    "transformers", "sentence_transformers", "accelerate", "pyarrow", "scipy", "benchmarks.gpu_steps",
    "benchmarks.gpu_parts", "xmc.training.trainer", "xmc.evaluation",
    "transformers.models.bert.modeling_bert",
)  # fmt: skip
"""What later stages import, some of it when a model is made: a machine that lacks one says so at once."""


@dataclass(frozen=True)
class SmokeCase:
    """Whether there is anything to measure: imports, the rate of a product, one loss by each way."""

    kind: ClassVar[str] = "smoke"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        found: dict[str, Any] = {
            "python": platform.python_version(),
            "bfloat16_flops_per_second": matrix_rate(device, torch.bfloat16),
            "float32_flops_per_second": matrix_rate(device, torch.float32, 4096),
            "copied_bytes_per_second": _copy_rate(device),
        }
        for way in ("triton", "tiled"):
            check = CheckCase("decoupled_softmax", way, "bfloat16", 33, 150, 40).measure(device)
            if not check["within_tolerance"]:
                raise ValueError(f"expected {way} to be right, got errors {check['errors']}")
        started = time.perf_counter()
        versions = {}
        for name in NEEDED:
            module = importlib.import_module(name)
            versions[name] = getattr(module, "__version__", "")
        found["versions"] = {name: version for name, version in versions.items() if version}
        return found | {"import_seconds": time.perf_counter() - started}


@dataclass(frozen=True)
class SearchCase:
    """The exact best labels of many queries, end to end, and whether a few of them are right.

    Attributes:
        num_queries: N.
        num_labels: L.
        dimension: D.
        k: Labels of a list.
        memory_mb: Of a tile; what the search takes by itself when None.
    """

    num_queries: int
    num_labels: int
    dimension: int
    k: int = 100
    memory_mb: int | None = None
    kind: ClassVar[str] = "search"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        generator = torch.Generator(device).manual_seed(0)
        queries, labels = (
            F.normalize(torch.randn(count, self.dimension, generator=generator, device=device), dim=1)
            for count in (self.num_queries, self.num_labels)
        )
        warm = min(64, self.num_queries)
        memory = None if self.memory_mb is None else self.memory_mb << 20
        exact_search(queries[:warm], labels, self.k, memory_bytes=memory)
        wait_for(device)
        started = time.perf_counter()
        ids, _ = exact_search(queries, labels, self.k, memory_bytes=memory)
        seconds = time.perf_counter() - started
        # In float64, of a few queries: the same labels but for those that float32 cannot tell apart.
        few = queries[:8].double() @ labels.double().T
        best = few.topk(self.k, dim=1).values
        listed = few.gather(1, torch.from_numpy(ids[:8].astype(np.int64)).to(few.device))
        flops = 2.0 * self.num_queries * self.num_labels * self.dimension / seconds
        return {
            "seconds": seconds,
            "queries_per_second": self.num_queries / seconds,
            "flops_per_second": flops,
            "share_of_matrix_rate": flops / matrix_rate(device, torch.float32, 4096),
            "largest_error": float((best - listed).abs().max()),
            "within_tolerance": bool((best - listed).abs().max() < 1e-5),
        }


@dataclass(frozen=True)
class TrainCase:
    """A transformer trained on a data set and evaluated on its test rows.

    Attributes:
        tower: A name of :data:`benchmarks.gpu_shapes.SHAPES`, or a model's folder.
        data: A prepared data set, cut to ``labels`` and ``queries``; one is made with a known best precision
            when None.
        epochs: Of training, at most.
        train_seconds: Of training, about: no step begins after them.
        labels: Of a data set that is made, and at most.
        queries: Training rows, in the same way; of test rows a tenth.
    """

    tower: str
    data: str | None = None
    epochs: float = 20.0
    train_seconds: float = 20.0
    labels: int = 2_000
    queries: int = 10_000
    batch: int = 512
    length: int = 64
    kind: ClassVar[str] = "train"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        from benchmarks.gpu_clock import StopAfter
        from xmc.evaluation import evaluate
        from xmc.training import TrainConfig, Trainer
        from xmc.training.config import (
            DataConfig,
            ObjectiveConfig,
            OptimisationConfig,
            RunOptions,
            ValidationConfig,
        )

        with case_folder() as folder:
            whole = Dataset.load(self._data(Path(folder)))
            dataset = cut_data(whole, Path(folder) / "cut", labels=self.labels, queries=self.queries)
            fewest = SHAPES[self.tower].vocabulary if self.tower in SHAPES else None
            known = None if fewest is None else _frequent_words(dataset, fewest)
            encoder = build_encoder(self.tower, Path(folder), length=self.length, vocabulary=known)
            # Before anything is encoded: an encoder is opened on the CPU.
            encoder.to(device)
            config = TrainConfig(
                data=DataConfig(str(dataset.path)),
                run=RunOptions(str(Path(folder) / "run"), trackers=[]),
                objective=ObjectiveConfig(learn_scale=True),
                training=OptimisationConfig(
                    epochs=self.epochs, batch_size=self.batch, learning_rate=3e-4, checkpoint_minutes=0
                ),
                validation=ValidationConfig(rows=min(200, dataset.num_train // 10), every=1_000_000),
            )
            before = evaluate(encoder, dataset, ks=(1, 5), recall_ks=(10,), progress=False).metrics
            started = time.perf_counter()
            clock = StopAfter(self.train_seconds)
            result = Trainer(config, dataset=dataset, encoder=encoder, callbacks=[clock]).fit()
            seconds = time.perf_counter() - started
            after = evaluate(encoder, dataset, ks=(1, 5), recall_ks=(10,), progress=False)
            return {
                "dataset": dataset.name,
                "rows": {"train": dataset.num_train, "test": dataset.num_test, "labels": dataset.num_labels},
                "rows_of": {"train": whole.num_train, "test": whole.num_test, "labels": whole.num_labels},
                "seconds": seconds,
                "stopped": result.stopped,
                "steps": result.num_steps,
                "rows_per_second": result.rows_per_second,
                "skipped_steps": result.skipped_steps,
                "before": {name: before[name] for name in ("P@1", "P@5", "R@10")},
                "after": {name: after.metrics[name] for name in ("P@1", "P@5", "R@10")},
                "ceiling": dataset.ceiling,
                "evaluation_seconds": after.seconds,
                "within_tolerance": after.metrics["P@1"] > before["P@1"] and not result.skipped_steps,
            }

    def _data(self, folder: Path) -> Path:
        if self.data is not None:
            return Path(self.data)
        from xmc.corpora.synthetic import build_synthetic

        made = folder / "synthetic"
        build_synthetic(
            made,
            num_labels=self.labels,
            num_queries=self.queries,
            num_test=max(100, self.queries // 10),
            progress=False,
        )
        return made


@dataclass(frozen=True)
class EncodeCase:
    """Texts a second, from strings to numpy, of this package and of ``SentenceTransformer.encode``."""

    tower: str
    texts: int = 20_000
    longest: int = 64
    batch: int = 256
    kind: ClassVar[str] = "encode"

    def measure(self, device: str) -> dict[str, Any]:
        """See :class:`benchmarks.gpu_cases.Case`."""
        draw = np.random.default_rng(0)
        with case_folder() as folder:
            encoder = build_encoder(self.tower, Path(folder), length=self.longest).to(device).eval()
        known = np.array(words(SHAPES[self.tower]) if self.tower in SHAPES else ["house", "river", "bird"])
        lengths = np.minimum(1 + draw.poisson(self.longest / 6, self.texts), self.longest - 2)
        texts = [" ".join(draw.choice(known, size)) for size in lengths]
        model = encoder.model
        ours, theirs = (
            lambda some: encoder.encode_queries(some),
            lambda some: model.encode(some, batch_size=self.batch, convert_to_numpy=True),
        )
        vectors, seconds = {}, {}
        for name, encode in (("xmc", ours), ("sentence_transformers", theirs)):
            encode(texts[: self.batch])
            wait_for(device)
            started = time.perf_counter()
            vectors[name] = encode(texts)
            seconds[name] = time.perf_counter() - started
        error = float(np.abs(vectors["xmc"] - vectors["sentence_transformers"]).max())
        return {
            "texts_per_second": {name: self.texts / taken for name, taken in seconds.items()},
            "times_as_fast": seconds["sentence_transformers"] / seconds["xmc"],
            "largest_difference": error,
            # Of unit vectors; padded to other lengths, a batch rounds otherwise.
            "within_tolerance": error < 1e-3,
        }


def _copy_rate(device: str) -> float:
    size = 1 << (30 if device == "cuda" else 20)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    wait_for(device)
    started = time.perf_counter()
    for _ in range(5):
        target.copy_(source)
    wait_for(device)
    # Each byte is read and written.
    return 2 * 5 * size / (time.perf_counter() - started)


def _frequent_words(dataset: Dataset, count: int) -> list[str]:
    """The words and marks of the data set's labels and training queries, most frequent first."""
    from collections import Counter

    from tokenizers.pre_tokenizers import Whitespace

    seen, cut = Counter[str](), Whitespace()
    for split in ("labels", "train"):
        for text in dataset.texts(split):
            seen.update(word for word, _ in cut.pre_tokenize_str(text.lower()))
    return [word for word, _ in seen.most_common(count - 4)]
