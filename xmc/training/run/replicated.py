"""Which launches a run can work under: those whose ranks each hold the whole model."""

from __future__ import annotations

from accelerate.utils import DistributedType

from xmc.errors import ConfigError

__all__ = ["check_replicated"]

# Each of them takes the model, or its gradients, into its own hands.
_SHARDED = frozenset({"FSDP", "DEEPSPEED", "MEGATRON_LM", "TP"})


def check_replicated(launch: DistributedType) -> None:
    """Refuse a launch that would shard the model over ranks.

    Every rank of ours holds the whole encoder and shards labels, scores and label tables instead; gradients
    are summed once a step. Sharded parameters are gathered in each pass, which every rank must take alike,
    and the gradient cache takes as many passes as a rank's own texts need.

    Raises:
        ConfigError: Saying what to launch with.
    """
    if launch.value in _SHARDED:
        raise ConfigError(
            f"expected a launch whose ranks hold the whole encoder, got {launch.value}, which shards it: "
            "launch with distributed_type MULTI_GPU (configs/accelerate/multi_gpu.yaml); labels, scores and "
            "label memory are sharded over ranks in any case"
        )
