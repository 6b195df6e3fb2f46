"""``xmc doctor``: versions, devices, FAISS flavour and conflicts, what is missing and how to get it."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from xmc import __version__
from xmc.cli.parser import make_parser, parse
from xmc.errors import DependencyError

__all__ = ["DISTRIBUTION", "Finding", "devices", "extras", "faiss_flavour", "run", "versions"]

DISTRIBUTION = "xmc-dual-encoder"


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``problem`` is what to do when something that is needed is wrong."""

    what: str
    found: str
    problem: str | None = None


def run(arguments: Sequence[str]) -> None:
    """Print the report.

    Raises:
        DependencyError: When something that is needed is missing or in conflict.
    """
    parser = make_parser(
        "doctor", "Check this installation: versions, devices, FAISS, optional parts.", "xmc doctor"
    )
    parse(parser, arguments)
    problems = 0
    for title, check in (
        ("versions", versions),
        ("devices", devices),
        ("faiss", faiss_flavour),
        ("optional", extras),
    ):
        print(title)
        for finding in check():
            print(f"  {finding.what:<22} {finding.found}")
            if finding.problem:
                problems += 1
                print(f"  {'':<22} -> {finding.problem}")
    if problems:
        raise DependencyError(
            f"{problems} problem{'s' * (problems > 1)} found: the arrows above say what to do"
        )


def versions() -> list[Finding]:
    """This package, Python, and what the package needs."""
    found = [
        Finding("xmc", __version__),
        Finding("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
    ]
    requirements = _requirements()
    if not requirements:
        return [
            *found,
            Finding(DISTRIBUTION, "not installed, running from its folder: pip install -e . and ask again"),
        ]
    return found + [_checked(needed) for needed in requirements if needed.marker is None]


def devices() -> list[Finding]:
    """Processors, threads, and the GPUs torch can use."""
    try:
        import torch
    except ImportError as error:
        return [Finding("torch", f"cannot be imported: {error}", "pip install torch")]
    found = [Finding("cpu", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()}")]
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        found.append(
            Finding(f"gpu {number}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
        )
    if not torch.cuda.is_available():
        built = (
            f"built for CUDA {torch.version.cuda}, but no usable GPU"
            if torch.version.cuda
            else "a CPU build of torch"
        )
        found.append(Finding("gpu", f"none ({built})"))
    return found


def faiss_flavour() -> list[Finding]:
    """The installed FAISS distributions; more than one overwrite each other's files."""
    install = f"pip install '{DISTRIBUTION}[cpu]'   (or [gpu])"
    names = sorted(set(metadata.packages_distributions().get("faiss", [])))
    if not names:
        return [Finding("faiss", "missing: no label index can be built or searched", install)]
    shown = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    if len(names) > 1:
        return [
            Finding(
                "faiss",
                f"{shown}: they overwrite each other",
                f"pip uninstall -y {' '.join(names)} && {install}",
            )
        ]
    try:
        faiss = importlib.import_module("faiss")
    except ImportError as error:
        return [
            Finding(
                "faiss", f"{shown}, cannot be imported: {error}", f"pip uninstall -y {names[0]} && {install}"
            )
        ]
    gpus = (
        f"with GPU code, {faiss.get_num_gpus()} GPUs"
        if hasattr(faiss, "StandardGpuResources")
        else "CPU only"
    )
    return [Finding("faiss", f"{shown}, {gpus}")]


def extras() -> list[Finding]:
    """The optional parts, each with the line that installs it; their absence is no problem."""
    purposes = {
        "demo": "the built-in model and the demo's data",
        "distill": "static towers by distillation",
        "report": "pages about runs",
        "serve": "an index over HTTP",
    }
    if not _requirements():
        return [Finding("extras", f"unknown, as {DISTRIBUTION} is not installed")]
    found = []
    for extra, purpose in purposes.items():
        needed = [r for r in _requirements() if r.marker is not None and r.marker.evaluate({"extra": extra})]
        missing = [r.name for r in needed if _version(r.name) is None]
        state = f"missing {', '.join(missing)}: pip install '{DISTRIBUTION}[{extra}]'" if missing else "there"
        found.append(Finding(extra, f"{state} ({purpose})"))
    return found


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        return []


def _checked(needed: Requirement) -> Finding:
    version = _version(needed.name)
    install = f"pip install '{needed.name}{needed.specifier}'"
    if version is None:
        return Finding(needed.name, "missing", install)
    fits = needed.specifier.contains(version, prereleases=True)
    return Finding(needed.name, version, None if fits else f"expected {needed.specifier}: {install}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
