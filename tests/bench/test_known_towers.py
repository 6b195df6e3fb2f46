from __future__ import annotations

from dataclasses import replace

import pytest

from xmc.bench.known_towers import Decoder, tower_shape
from xmc.bench.step_cost import StepShape, step_cost
from xmc.encoders import EncoderConfig
from xmc.encoders.lora_config import LoraConfig
from xmc.errors import ConfigError

TINY = Decoder(width=16, keys=8, inner=24, layers=2, tokens=50, activation_bytes=100)
LORA = EncoderConfig(
    "Qwen/Qwen2.5-3B-Instruct", kind="transformer", lora=LoraConfig(rank=256, alpha=256), query_length=32
)


@pytest.mark.parametrize("rank", [0, 3])
def test_a_decoder_has_the_parameters_of_the_library_s(rank: int) -> None:
    transformers, peft = (pytest.importorskip(name) for name in ("transformers", "peft"))
    config = transformers.Qwen2Config(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    model = transformers.Qwen2Model(config)
    if rank:
        model = peft.get_peft_model(model, peft.LoraConfig(r=rank, target_modules="all-linear"))
    tower = TINY.tower(rank)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert (tower.parameters, tower.frozen) == (trained, sum(p.numel() for p in model.parameters()) - trained)


def test_frozen_weights_save_a_product_of_the_way_back_and_the_moments() -> None:
    adapted, whole = (TINY.tower(rank) for rank in (1, 0))
    extra = 2 * 7 * 5 * (adapted.weights - whole.weights)  # 7 texts of 5 tokens, the adapters' own forward
    assert adapted.forward(7, 5) == whole.forward(7, 5) + extra
    assert adapted.backward(7, 5) == whole.backward(7, 5) + 2 * extra - 2 * 7 * 5 * whole.weights
    held = [step_cost(StepShape(tower, batch=4, pool=8, positives=4)).memory for tower in (adapted, whole)]
    assert held[0]["frozen"] == 4 * whole.parameters and "frozen" not in held[1]
    assert held[0]["parameters"] < held[1]["parameters"]


def test_separate_towers_share_what_is_frozen() -> None:
    tied, apart = tower_shape(LORA), tower_shape(replace(LORA, tied=False))
    # The published size: 3.09 billion parameters, of which 2.77 billion are not token vectors.
    assert tied.frozen == apart.frozen == 3_085_938_688 and tied.frozen_weights == 2_774_532_096
    assert apart.parameters == 2 * tied.parameters == 2 * 478_937_088


def test_adapters_that_the_paper_does_not_know_are_refused() -> None:
    with pytest.raises(ConfigError, match="all linear layers of Qwen.* got rank 8 in all of distilbert"):
        tower_shape(replace(LORA, model="distilbert-base-uncased", lora=LoraConfig(rank=8)))
    some = LoraConfig(rank=8, target_modules=["q_proj"])
    with pytest.raises(ConfigError, match="got rank 8 in .'q_proj'. of Qwen"):
        tower_shape(replace(LORA, lora=some))
