from __future__ import annotations

import pytest
from accelerate.utils import DistributedType

from xmc.errors import ConfigError
from xmc.training.run.replicated import check_replicated


@pytest.mark.parametrize("kind", ["NO", "MULTI_CPU", "MULTI_GPU", "MULTI_XPU", "XLA"])
def test_ranks_that_hold_the_whole_encoder_are_taken(kind: str) -> None:
    check_replicated(DistributedType(kind))


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_a_sharded_encoder_is_refused_with_what_to_do(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"got {kind}, which shards it.*MULTI_GPU"):
        check_replicated(DistributedType(kind))


def test_the_trainer_asks(config, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import Accelerator

    from xmc.training import Trainer

    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.FSDP)
    with pytest.raises(ConfigError, match="which shards it"):
        Trainer(config)
