"""What a run says on the terminal before its first step."""

from __future__ import annotations

from tqdm.auto import tqdm

from xmc.data import Dataset, TokenStore, text_facts
from xmc.encoders import DualEncoder
from xmc.training.batches.tokens import truncated_note
from xmc.training.config import DataConfig, TrainConfig
from xmc.training.run.estimate import estimate_cost

__all__ = ["announce", "announce_cuts", "announce_texts"]


def announce(
    config: TrainConfig,
    dataset: Dataset,
    encoder: DualEncoder,
    *,
    num_steps: int,
    pool_size: int,
    world_size: int,
) -> None:
    """Say what the run will cost, what texts it reads, and how many training queries it skips."""
    estimate = estimate_cost(
        config,
        num_steps=num_steps,
        num_parameters=sum(p.numel() for p in encoder.parameters()),
        dimension=encoder.dimension,
        pool_size=pool_size,
        num_labels=dataset.num_labels,
        micro_batch_tokens=config.training.micro_batch_tokens or encoder.query_tower.micro_batch_tokens,
        world_size=world_size,
    )
    tqdm.write(f"{dataset.name}: {estimate}")
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


def announce_cuts(queries: TokenStore, labels: TokenStore, encoder: DualEncoder) -> None:
    """Say how many texts fill the length that is read."""
    lengths = encoder.query_tower.max_length, encoder.label_tower.max_length
    for note in (
        truncated_note(queries, "training queries", lengths[0], "encoder.query_length"),
        truncated_note(labels, "labels", lengths[1], "encoder.label_length"),
    ):
        if note:
            tqdm.write(note)
