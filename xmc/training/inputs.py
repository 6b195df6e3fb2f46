"""What every step of a run needs, its tokens made where they are not on disk yet."""

from __future__ import annotations

from accelerate import Accelerator
from tqdm.auto import tqdm

from xmc.data import Dataset, TokenRows, TokenStore
from xmc.distributed import World
from xmc.encoders import DualEncoder
from xmc.encoders.kept_labels import keep_label_vectors
from xmc.encoders.micro_batches import AutocastFactory
from xmc.objectives.objective import Loss
from xmc.objectives.state import LossStates
from xmc.training.batches.batches import Batches
from xmc.training.batches.kept_layers import keep_frozen_layers
from xmc.training.batches.tokens import (
    label_text_rows,
    training_tokens,
    truncated_note,
    with_label_queries,
)
from xmc.training.config import TrainConfig
from xmc.training.learned.frozen_encoder import FrozenEncoder, residual_rows
from xmc.training.learned.label_texts import FirstTexts
from xmc.training.learned.learner import Learner
from xmc.training.memory_limit import MicroBatchLimit
from xmc.training.objective_failures import own_code, with_named_failures
from xmc.training.step import StepInputs

__all__ = ["step_inputs"]


def step_inputs(
    config: TrainConfig,
    dataset: Dataset,
    learner: Learner,
    batches: Batches,
    objective: Loss,
    *,
    num_steps: int,
    world: World,
    accelerator: Accelerator,
    autocast: AutocastFactory,
    limit: MicroBatchLimit,
) -> StepInputs:
    """The inputs of a run's steps. The main rank makes tokens first; the others read what it wrote."""
    encoder = learner.encoder
    with accelerator.main_process_first():
        trained, labels = training_tokens(dataset, encoder, config.data, world.is_main)
        queries: TokenRows = trained
        if config.encoder.frozen_cache:
            keep_frozen_layers(encoder, dataset, trained, labels, world.is_main)
        if world.is_main:
            _announce_cuts(trained, labels, encoder)
        if config.data.num_label_queries(config.training.batch_size):
            queries = with_label_queries(trained, dataset, encoder, config.data, world.is_main)
        kept = None
        if config.encoder.frozen_labels:
            kept = keep_label_vectors(dataset, encoder, config.data.label_fields, progress=world.is_main)
    rows = label_text_rows(dataset, config.data, config.seed)
    frozen = FrozenEncoder(
        encoder,
        residual_rows(learner.residuals),
        queries,
        labels if rows is None else FirstTexts(labels, rows.bounds),
        config.training.micro_batch_tokens,
        autocast,
        kept,
        None if rows is None else (labels, rows),
    )
    states = LossStates(objective)
    return StepInputs(
        config=config,
        num_steps=num_steps,
        learner=learner,
        queries=queries,
        labels=labels,
        label_rows=rows,
        states=states if states else None,
        batches=batches,
        frozen=frozen,
        objective=with_named_failures(objective, config.objective),
        world=world,
        device=accelerator.device,
        autocast=autocast,
        limit=limit,
        own=own_code(config),
    )


def _announce_cuts(queries: TokenStore, labels: TokenStore, encoder: DualEncoder) -> None:
    """Say how many texts fill the length that is read."""
    lengths = encoder.query_tower.max_length, encoder.label_tower.max_length
    for note in (
        truncated_note(queries, "training queries", lengths[0], "encoder.query_length"),
        truncated_note(labels, "labels", lengths[1], "encoder.label_length"),
    ):
        if note:
            tqdm.write(note)
