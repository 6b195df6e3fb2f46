"""Starts the CPU processes that ``accelerate launch --cpu --num_processes N`` was asked for.

Accelerate starts CPU processes only through ``mpirun``; without it the command quietly runs one process.
It leaves a trace: MASTER_ADDR is set, but no rank. Then this process becomes torchrun with that number.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from xmc.errors import ConfigError

__all__ = ["Place", "join_ranks", "processes_asked_for", "start_missing_processes"]

_LAUNCHERS = (
    "launch",
    "launch.py",
)  # accelerate launch, accelerate-launch, python -m accelerate.commands.launch
_RANKED = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


@dataclass(frozen=True)
class Place:
    """Where this process stands: its device (None: the library's choice) and whether it prints and writes."""

    device: str | None = None
    is_main: bool = True


@contextmanager
def join_ranks() -> Iterator[Place]:
    """Join the process group a launcher started this process for; a process alone joins nothing."""
    sizes = [os.environ[name] for name in _RANKED if name in os.environ]
    if not sizes or sizes[0] == "1":
        yield Place()
        return
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.accelerator.is_available())
    try:
        yield Place(str(state.device), state.is_main_process)
    finally:
        state.destroy_process_group()


def start_missing_processes(arguments: Sequence[str], verb: str = "train") -> None:
    """Become torchrun with the processes accelerate was asked for but did not start; else do nothing.

    Args:
        arguments: Of the command.
        verb: The command, "train" or "evaluate".

    Raises:
        ConfigError: When several CPU processes were asked for but their number cannot be told.
    """
    if not _left_alone(os.environ):
        return
    import psutil  # of accelerate's own dependencies; needed only on this path

    parent = psutil.Process().parent()
    if parent is None or not any("accelerate" in word for word in parent.cmdline()):
        return
    count = processes_asked_for(parent.cmdline())
    environment = {k: v for k, v in os.environ.items() if k not in ("MASTER_ADDR", "MASTER_PORT")}
    print(
        f"accelerate started one of {count} CPU processes: starting {count} with torchrun",
        file=sys.stderr,
        flush=True,
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    os.execve(sys.executable, [*torchrun, "-m", "xmc", verb, *arguments], environment)


def processes_asked_for(command: Sequence[str]) -> int:
    """The number in an ``accelerate launch`` command line: ``--num_processes`` or its config file's.

    Raises:
        ConfigError: When neither names one.
    """
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    launch = [i for i, word in enumerate(command) if word.endswith(_LAUNCHERS)]
    if launch:
        known, _ = launch_command_parser().parse_known_args(list(command[launch[0] + 1 :]))
        if known.num_processes:
            return int(known.num_processes)
        if known.config_file:
            return int(load_config_from_file(known.config_file).num_processes)
    raise ConfigError(
        "accelerate started one CPU process of several: start them with "
        "`torchrun --nproc_per_node N scripts/train.py CONFIG.yaml ...` (or scripts/evaluate.py)"
    )


def _left_alone(environment: Mapping[str, str]) -> bool:
    cpu = environment.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return cpu and "MASTER_ADDR" in environment and not any(name in environment for name in _RANKED)
