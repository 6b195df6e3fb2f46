"""The cost that `xmc.bench.step_cost` computes from shapes, beside what real steps of a tiny run do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from torch.utils.flop_counter import FlopCounterMode

from tests.distributed.ranks import Ranks
from tests.fixtures.libraries import transformers
from tests.fixtures.tiny_models import word_tokenizer
from tests.fixtures.words import NUM_WORDS
from tests.training.test_world import as_rank
from xmc.bench.step_cost import StepShape, TowerShape, step_cost
from xmc.bench.training_steps import WARM_UP, profile_steps
from xmc.distributed import record_collectives
from xmc.training import TrainConfig, Trainer
from xmc.training.batches import MemoryConfig, MinedConfig, NegativesConfig
from xmc.training.config import ResidualConfig
from xmc.training.step import optimise

B, D, STEPS = 14, 24, 2
STATIC = TowerShape(parameters=2 * 81 * D, dimension=D)
BY_ROWS = replace(STATIC, token_rows=(81, 81))
# A draw of all labels makes every pool as large; each query has three positives.
POOL = {"mode": "sampled", "uniform": NUM_WORDS}
MEMORY = MemoryConfig(enabled=True, refresh=5)
SAMPLED_MEMORY = MemoryConfig(enabled=True, refresh=0, sample=11)
SHAPE = StepShape(
    STATIC, B, NUM_WORDS, 3 * B, ranks=2, labels=NUM_WORDS, score_parameters=NUM_WORDS + 1, engine="tiled"
)


def collectives_as_rank(config: TrainConfig) -> tuple[int, float]:
    """Bytes of the measured steps, and calls a step over all steps."""

    def run() -> tuple[int, float]:
        with record_collectives() as cost:
            profile = profile_steps(config, STEPS)
        return profile.collective_bytes, cost.num_calls / (WARM_UP + STEPS)

    return as_rank(run)


@pytest.mark.parametrize(
    ("negatives", "residuals", "shape"),
    [
        ({}, False, {}),
        ({}, True, {"residuals": True}),
        ({"memory": MemoryConfig(enabled=True, refresh=5)}, False, {"memory": NUM_WORDS, "refresh": 5}),
        (
            {"memory": MemoryConfig(enabled=True, refresh=0, sample=11)},
            True,
            {"memory": 11, "residuals": True},
        ),
    ],
    ids=["sampled", "residuals", "memory", "sampled memory"],
)
def test_collectives_of_two_ranks(
    config: TrainConfig, ranks: Ranks, negatives: dict[str, Any], residuals: bool, shape: dict[str, Any]
) -> None:
    config = replace(
        config,
        training=replace(config.training, token_optimiser="adamw"),
        negatives=NegativesConfig(**POOL, **negatives),
        residuals=ResidualConfig(enabled=residuals),
    )
    expected = step_cost(replace(SHAPE, **shape))
    for num_bytes, calls in ranks.run(collectives_as_rank, config, size=2, seconds=120):
        assert num_bytes == STEPS * expected.recorded_bytes
        first = calls * (WARM_UP + STEPS) - (WARM_UP + STEPS) * len(expected.collectives)
        # The first step fills the memory instead of refreshing it.
        assert first == (-1 if "refresh" in shape else 0)


def test_mined_labels_are_pairs_of_their_own(config: TrainConfig, ranks: Ranks) -> None:
    mined = MinedConfig(count=2, last=6, every=1000, wait=True)
    training = replace(config.training, token_optimiser="adamw")
    config = replace(config, training=training, negatives=NegativesConfig(**POOL, mined=mined))
    expected = step_cost(replace(SHAPE, certain=2 * B))
    for num_bytes, _ in ranks.run(collectives_as_rank, config, size=2, seconds=120):
        assert num_bytes == STEPS * expected.recorded_bytes


def test_rows_of_tokens_travel_alone(config: TrainConfig, ranks: Ranks) -> None:
    """A step sends the rows that any rank touched, of which one rank alone touches all."""
    config = replace(config, negatives=NegativesConfig(**POOL))
    trainer = Trainer(replace(config, run=replace(config.run, dir=config.run.dir + "-alone")))
    inputs = trainer.prepare_inputs()
    touched = []
    for step in range(WARM_UP + STEPS):
        optimise(inputs, step)
        tables = [tower.token_table for tower in trainer.encoder.towers]
        touched.append(tuple(len(table.grad._indices()[0]) for table in tables))
    expected = [step_cost(replace(SHAPE, tower=BY_ROWS, touched=each)) for each in touched]
    whole = step_cost(replace(SHAPE, tower=STATIC)).recorded_bytes
    for num_bytes, calls in ranks.run(collectives_as_rank, config, size=2, seconds=120):
        assert num_bytes == sum(cost.recorded_bytes for cost in expected[WARM_UP:]) < STEPS * whole
        assert calls == len(expected[0].collectives)


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of 16 components; a query has five tokens and a label three."""
    folder = tmp_path_factory.mktemp("distilbert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words += [f"{kind}{word}" for kind in ("query", "label") for word in range(NUM_WORDS)]
    tokenizer = word_tokenizer(words)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    shape = transformers.DistilBertConfig(
        vocab_size=len(words), dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=128,
        attention_dropout=0.0,  # with it a CPU has no fused attention, and scores once instead of twice
    )  # fmt: skip
    transformers.DistilBertModel(shape).save_pretrained(folder)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token"), words, strict=False))
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=128, **names)
    wrapped.save_pretrained(folder)
    return folder


def _attention(query: Any, key: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    rows, heads, length, width = query
    return 2 * 2 * rows * heads * length * key[2] * width


def _attention_backward(
    gradient: Any, query: Any, key: Any, *args: Any, out_shape: Any = None, **k: Any
) -> int:
    rows, heads, length, width = query
    return 5 * 2 * rows * heads * length * key[2] * width


def _product_into(total: Any, left: Any, right: Any, out_shape: Any = None, **kwargs: Any) -> int:
    return 2 * math.prod(left) * right[1]


aten = torch.ops.aten
# What FlopCounterMode does not know of itself: the CPU's fused attention, and a product added in place.
MORE = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten.addmm_: _product_into,
}


@pytest.mark.parametrize("memory", [False, True], ids=["", "memory"])
@pytest.mark.parametrize("micro_batch_tokens", [10_000, 60], ids=["graph kept", "replayed"])
def test_operations_of_a_step(
    config: TrainConfig, changed: Any, transformer: Path, memory: bool, micro_batch_tokens: int
) -> None:
    config = changed(
        config,
        encoder={"model": str(transformer), "kind": "transformer", "tied": True, "dropout": 0.0},
        training={"micro_batch_tokens": micro_batch_tokens},
    )
    trainer = Trainer(
        replace(config, negatives=NegativesConfig(**POOL, memory=MemoryConfig(enabled=memory, refresh=6)))
    )
    inputs = trainer.prepare_inputs()
    optimise(inputs, 0)  # fills the memory
    with FlopCounterMode(display=False, custom_mapping=MORE) as counter:
        optimise(inputs, 1)
    layers = trainer.encoder.model[0].model.transformer.layer
    weights = sum(p.numel() for p in layers.parameters() if p.ndim == 2)
    shape = StepShape(
        TowerShape(0, 16, weights, layers=2, width=16), B, NUM_WORDS, 3 * B, query_tokens=5, label_tokens=3,
        labels=NUM_WORDS, memory=NUM_WORDS if memory else 0, refresh=6, engine="tiled",
        micro_batch_tokens=micro_batch_tokens,
    )  # fmt: skip
    assert counter.get_total_flops() == sum(step_cost(shape).flops.values())
