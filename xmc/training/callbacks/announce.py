"""Says what a run will cost before its first step."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from xmc.counted import agreeing, counted
from xmc.data import Dataset, text_facts
from xmc.durations import duration
from xmc.training.batches.batches import Batches
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.config import DataConfig
from xmc.training.learned.trained_tensors import count_parameters
from xmc.training.run.estimate import estimate_cost

__all__ = ["Announce", "announce_texts"]

SAMPLE = 16
"""Texts whose encoding is timed."""


class Announce(Callback):
    """Lines on steps, labels and memory, on the texts that are read and the queries that are skipped."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def on_start(self, run: RunState) -> None:
        """See :class:`.callback.Callback`."""
        if not run.world.is_main:
            return
        tower, config, dataset = run.encoder.query_tower, run.config, run.dataset
        trained, every = count_parameters(run.encoder.module)
        estimate = estimate_cost(
            config,
            num_steps=run.num_steps,
            batch_size=self.batches.sampler.batch_size,
            num_parameters=trained,
            num_frozen=every - trained,
            dimension=run.encoder.dimension,
            pool_size=self.batches.pools.expected_size(),
            num_labels=dataset.num_labels,
            micro_batch_tokens=config.training.micro_batch_tokens or tower.micro_batch_tokens,
            token_bytes=tower.token_bytes,
            world_size=run.world.size,
            device=run.device,
        )
        tqdm.write(f"{dataset.name}: {estimate}")
        if trained < every:
            share = 100 * trained / every
            tqdm.write(f"{trained:,} of the encoder's {every:,} parameters are trained ({share:.2g} %)")
        if self.batches.masked is not None:
            pairs = self.batches.masked.nnz
            tqdm.write(f"{pairs:,} filter pairs are neither positive nor negative (negatives.filter_pairs)")
        announce_texts(dataset, config.data)
        if run.encoder.kind == "transformer" and run.device.type == "cpu":
            rows = self.batches.sampler.batch_size
            seconds = transformer_step_seconds(run, rows, self.batches.pools.expected_size())
            tqdm.write(
                f"a transformer on a CPU: about {duration(seconds)} a step, "
                f"{duration(run.num_steps * seconds)} in all; --encoder.kind static trains in minutes"
            )
        if dataset.rows_without_labels:
            count = dataset.rows_without_labels
            told = counted(count, "training row has", "training rows have")
            tqdm.write(f"{told} no label and {agreeing(count, 'is', 'are')} skipped")


def transformer_step_seconds(run: RunState, batch_size: int, pool_size: int) -> float:
    """What encoding takes in a step of this rank, from the time of a few texts; seconds.

    Args:
        run: Its texts and encoder.
        batch_size: Queries of a batch, over all ranks.
        pool_size: Labels of a batch, over all ranks.
    """
    dataset, data, training = run.dataset, run.config.data, run.config.training
    sides: tuple[Any, ...] = (
        (run.encoder.encode_queries, dataset.texts("train", data.query_fields), batch_size),
        (run.encoder.encode_labels, dataset.texts("labels", data.label_fields), pool_size),
    )
    if run.config.encoder.frozen_labels:
        sides = sides[:1]  # encoded once, and not in a step
    seconds = 0.0
    for encode, texts, number in sides:
        sample = texts[np.linspace(0, len(texts) - 1, min(len(texts), SAMPLE)).astype(np.int64)]
        encode(sample[:1])  # the first call of a process sets libraries up
        started = time.perf_counter()
        encode(sample)
        seconds += (time.perf_counter() - started) * number / len(sample)
    # Through the gradient cache a text goes forward twice, and backward costs two of that.
    return 4 * seconds * training.accumulation / run.world.size


def announce_texts(dataset: Dataset, config: DataConfig) -> None:
    """Say which fields make a query and a label, and which labels have no content, a repeated or no text."""
    labels = text_facts(dataset, "labels", config.label_fields)
    queries = " + ".join(dataset.texts("train", config.query_fields).fields)
    tqdm.write(f"a query is its {queries}, a label its {' + '.join(labels.fields)}")
    for note in labels.notes():
        tqdm.write(note)
