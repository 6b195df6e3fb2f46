"""Says what a run will cost before its first step."""

from __future__ import annotations

from tqdm.auto import tqdm

from xmc.data import Dataset, text_facts
from xmc.training.batches.batches import Batches
from xmc.training.callbacks.callback import Callback
from xmc.training.callbacks.run_state import RunState
from xmc.training.config import DataConfig
from xmc.training.run.estimate import estimate_cost

__all__ = ["Announce", "announce_texts"]


class Announce(Callback):
    """Lines on steps, labels and memory, on the texts that are read and the queries that are skipped."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def on_start(self, run: RunState) -> None:
        """See :class:`.callback.Callback`."""
        if not run.world.is_main:
            return
        tower, config, dataset = run.encoder.query_tower, run.config, run.dataset
        estimate = estimate_cost(
            config,
            num_steps=run.num_steps,
            batch_size=self.batches.sampler.batch_size,
            num_parameters=sum(p.numel() for p in run.encoder.parameters()),
            dimension=run.encoder.dimension,
            pool_size=self.batches.pools.expected_size(),
            num_labels=dataset.num_labels,
            micro_batch_tokens=config.training.micro_batch_tokens or tower.micro_batch_tokens,
            padded=tower.padded,
            world_size=run.world.size,
        )
        tqdm.write(f"{dataset.name}: {estimate}")
        if self.batches.masked is not None:
            pairs = self.batches.masked.nnz
            tqdm.write(f"{pairs:,} filter pairs are neither positive nor negative (negatives.filter_pairs)")
        announce_texts(dataset, config.data)
        if dataset.rows_without_labels:
            tqdm.write(f"{dataset.rows_without_labels:,} training rows have no label and are skipped")


def announce_texts(dataset: Dataset, config: DataConfig) -> None:
    """Say which fields make a query and a label, and which labels have no content, a repeated or no text."""
    labels = text_facts(dataset, "labels", config.label_fields)
    queries = " + ".join(dataset.texts("train", config.query_fields).fields)
    tqdm.write(f"a query is its {queries}, a label its {' + '.join(labels.fields)}")
    for note in labels.notes():
        tqdm.write(note)
