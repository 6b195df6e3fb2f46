"""What a run was trained on: ``machine.json`` in its folder."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from xmc.files import atomic_file
from xmc.received import read_json, reading
from xmc.typed import from_plain

__all__ = ["MACHINE_FILE", "Machine", "read_machine", "save_machine", "this_machine"]

MACHINE_FILE = "machine.json"


@dataclass(frozen=True)
class Machine:
    """Hardware and versions, and what a process has used of them so far."""

    cpu: str
    cores: int
    """Logical cores this process may use."""
    threads: int
    """Threads torch uses for one operation."""
    memory_bytes: int
    device: str
    """The accelerators, or "cpu"."""
    processes: int
    """Ranks of the run."""
    torch: str
    python: str
    system: str
    peak_memory_bytes: int | None = None
    """Most resident memory of the main process; None where the system does not say."""
    peak_device_bytes: int | None = None
    """Most memory allocated on the main process's GPU; None without one."""


def this_machine(processes: int = 1) -> Machine:
    """The machine this runs on, and the peaks of this process."""
    import torch  # whoever reads what a run recorded does without

    return Machine(
        cpu=_cpu_name(),
        cores=_cores(),
        threads=torch.get_num_threads(),
        memory_bytes=psutil.virtual_memory().total,
        device=_devices(),
        processes=processes,
        torch=torch.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        peak_memory_bytes=_peak_resident(),
        peak_device_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    )


def save_machine(run: Path, processes: int = 1) -> None:
    """Write ``machine.json`` into a run's folder; called at the run's end, for the peaks."""
    with atomic_file(run / MACHINE_FILE) as temporary:
        temporary.write_text(json.dumps(asdict(this_machine(processes)), indent=2) + "\n", encoding="utf-8")


def read_machine(run: Path) -> Machine | None:
    """A run's machine; None when it recorded none, as runs of earlier versions did.

    Raises:
        DataError: When the file is damaged.
    """
    path = run / MACHINE_FILE
    if not path.is_file():
        return None
    with reading(path, "what a run says of its machine"):
        return from_plain(Machine, read_json(path), extra=True)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _devices() -> str:
    import torch

    if not torch.cuda.is_available():
        return "mps" if torch.backends.mps.is_available() else "cpu"
    names = [torch.cuda.get_device_properties(number).name for number in range(torch.cuda.device_count())]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def _peak_resident() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
