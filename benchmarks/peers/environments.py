"""A virtual environment for each system, made once and used again."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers.peer import Environment

__all__ = ["NotInstalled", "interpreter", "python_for"]

MARK = "installed.json"
"""Written last: what is in the environment. One without it is made anew."""


class NotInstalled(Exception):
    """An environment that cannot be made; the text says why."""


def interpreter(environment: Environment | None, folder: Path) -> Path:
    """The Python of an environment in ``folder``, which is made where it is not there as it should be.

    Raises:
        NotInstalled: When no Python of the right version is found, or pip fails.
    """
    if environment is None:
        return Path(sys.executable)
    place = folder / environment.name
    python, mark = place / "bin" / "python", place / MARK
    wanted = json.dumps(asdict(environment), indent=1)
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted and python.exists():
        return python
    maker = python_for(environment)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    _call([maker, "-m", "venv", str(place)], environment)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*install, *environment.pip, *environment.packages], environment)
    if environment.bare:
        _call([*install, "--no-deps", *environment.pip, *environment.bare], environment)
    mark.write_text(wanted, encoding="utf-8")
    return python


def python_for(environment: Environment) -> str:
    """The Python to make an environment with: the one that runs, or another of a version that will do.

    Raises:
        NotInstalled: When none is found.
    """
    running = ".".join(platform.python_version_tuple()[:2])
    if not environment.pythons or running in environment.pythons:
        return sys.executable
    for version in environment.pythons:
        found = shutil.which(f"python{version}")
        # A launcher of versions may be on the path for one that is not there.
        if found and not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
            return found
    versions = ", ".join(environment.pythons)
    raise NotInstalled(f"it needs Python {versions}, found {running} and none of these on the path")


def _call(command: list[str], environment: Environment) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")] or said
        why = errors[-1] if errors else f"exit code {done.returncode}"
        raise NotInstalled(f"the environment {environment.name} cannot be made: {why}")
