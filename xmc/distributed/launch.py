"""Starts the CPU processes that ``accelerate launch --cpu --num_processes N`` was asked for.

Accelerate starts CPU processes only through ``mpirun``; without it the command quietly runs one process. It
leaves a trace: MASTER_ADDR is set, but no rank. Then this process becomes torchrun, which starts the same
program N times. No torch is loaded to find out.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from xmc.errors import ConfigError

__all__ = ["launched_size", "processes_asked_for", "start_missing_processes", "torchrun_command"]

STARTED = "XMC_PROCESSES_STARTED"
"""Set in everything that was started here, so that nothing is ever started twice."""

_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
_LAUNCHERS = ("accelerate-launch", "accelerate.commands.launch")
_BEFORE_LAUNCH = ("accelerate", "accelerate.commands.accelerate_cli")


def start_missing_processes() -> None:
    """Become torchrun with the processes accelerate was asked for but did not start; else do nothing.

    The whole program is started again on each of them: the interpreter's options, the script or module and
    its arguments, from the folder it was started in. What it did before this call is done again, so call it
    before work that takes long. It does nothing under torchrun, MPI or ``srun``, in a process that
    multiprocessing started, and once ``torch.distributed`` is initialised.

    Raises:
        ConfigError: When several CPU processes were asked for and this program cannot be started again (an
            interactive session, several machines), or their number cannot be told.
    """
    if not _left_alone(os.environ) or multiprocessing.parent_process() is not None or _is_initialised():
        return
    if _is_interactive():
        raise ConfigError(
            "several CPU processes were asked for, but an interactive session cannot be started again for "
            "each of them: put the code into a file and run `accelerate launch --cpu --num_processes N "
            "FILE.py`, or unset MASTER_ADDR to work on one process"
        )
    import psutil

    parent = psutil.Process().parent()
    command = [] if parent is None else parent.cmdline()
    if parent is None or _launch_arguments(command) is None:
        logging.getLogger("xmc").warning(
            "ACCELERATE_USE_CPU and MASTER_ADDR are set, but accelerate did not start this process: it works "
            "alone"
        )
        return
    # Relative paths, of its arguments and of the launcher's, are meant from here; it may have moved since.
    os.chdir(parent.cwd())
    count = processes_asked_for(command)
    print(
        f"accelerate started one of {count} CPU processes: starting {count} with torchrun",
        file=sys.stderr,
        flush=True,
    )
    _become(torchrun_command(count, sys.orig_argv))


def torchrun_command(count: int, program: Sequence[str]) -> list[str]:
    """The command that starts a program on ``count`` local processes.

    Args:
        count: How many.
        program: The interpreter, its options, a script or module, arguments.

    Raises:
        ConfigError: When ``program`` names nothing to run.
    """
    if len(program) < 2:
        raise ConfigError("expected a program that a Python command line started, to start it again")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    # With "--no-python" torchrun runs the command as it is, so that the interpreter's own options are kept.
    return [*torchrun, "--no-python", sys.executable, *program[1:]]


def processes_asked_for(command: Sequence[str]) -> int:
    """The number in an ``accelerate launch`` command line: ``--num_processes`` or its config file's.

    Raises:
        ConfigError: When neither names one, or when they are spread over machines.
    """
    from accelerate.commands.config.config_args import default_config_file, load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    known, _ = launch_command_parser().parse_known_args(_launch_arguments(command) or [])
    file = known.config_file
    if file is None and not known.cpu and os.path.isfile(default_config_file):
        file = default_config_file  # as accelerate itself: `--cpu` leaves the user's default file alone
    saved = None if file is None else load_config_from_file(file)
    count = known.num_processes or getattr(saved, "num_processes", None)
    machines = known.num_machines or getattr(saved, "num_machines", None) or 1
    if not count or machines > 1:
        found = f"several machines ({machines})" if machines > 1 else "one CPU process of several"
        raise ConfigError(
            f"accelerate was asked for {found} and left it to this one process: start them with "
            "`torchrun --nproc_per_node N SCRIPT.py ...` (on each machine, with --nnodes, --node_rank and "
            "--rdzv_endpoint)"
        )
    return int(count)


def launched_size(environment: Mapping[str, str]) -> int | None:
    """How many ranks the launcher of this process (torchrun, MPI) says there are; None when none does."""
    sizes = [environment[name] for name in _SIZES if name in environment]
    return int(sizes[0]) if sizes else None


def _left_alone(environment: Mapping[str, str]) -> bool:
    """Whether accelerate was asked for several CPU processes and no launcher made this one of them."""
    cpu = environment.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    # Of `srun`; a batch script that is no step of its own is one task, and accelerate's number counts.
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", "1"))
    ranked = launched_size(environment) is not None or tasks > 1
    return cpu and "MASTER_ADDR" in environment and not ranked and STARTED not in environment


def _is_initialised() -> bool:
    module = sys.modules.get("torch.distributed")
    return module is not None and module.is_available() and module.is_initialized()


def _is_interactive() -> bool:
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or "ipykernel" in sys.modules


def _launch_arguments(command: Sequence[str]) -> list[str] | None:
    """What follows ``accelerate launch`` in a command line; None when it is another command."""
    for place, word in enumerate(command):
        name = Path(word).name.removesuffix(".exe")
        if name in _LAUNCHERS:
            return list(command[place + 1 :])
        if name in _BEFORE_LAUNCH:
            return list(command[place + 2 :]) if command[place + 1 : place + 2] == ["launch"] else None
        if name.endswith(".py"):
            return None
    return None


def _end_with_parent() -> None:
    """Have SIGTERM sent to what this process becomes when accelerate ends, which does not pass it on."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>; it outlives exec
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGTERM)


def _become(command: list[str]) -> None:
    sys.stdout.flush()
    environment = {k: v for k, v in os.environ.items() if k not in ("MASTER_ADDR", "MASTER_PORT")}
    # torchrun's own ranks are unbuffered; so a line that a rank printed before it was killed is seen.
    environment |= {STARTED: "1", "PYTHONUNBUFFERED": "1"}
    if sys.platform == "win32":  # exec there returns to the launcher at once and loses the exit code
        sys.exit(subprocess.call(command, env=environment))
    _end_with_parent()
    # In place of this process, not beside it: what it has loaded is freed, signals reach torchrun, and its
    # exit code is ours.
    os.execve(command[0], command, environment)
