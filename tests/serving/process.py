"""A server in a process of its own, as `xmc serve` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ServedProcess"]


class ServedProcess:
    """``xmc serve FOLDER --port 0``; its address once it listens."""

    def __init__(self, folder: Path, *options: str, token: str | None = None) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "XMC_TOKEN"}
        if token is not None:
            environment["XMC_TOKEN"] = token
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xmc", "serve", str(folder), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.said = [self.process.stdout.readline(), self.process.stdout.readline()]
        if not self.said[1].startswith("curl"):
            raise RuntimeError(f"no server: {self.said} {self.process.communicate()[1]}")
        self.address = self.said[0].split(" at ")[1].split(",")[0]

    def __enter__(self) -> ServedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """End it with SIGTERM; its exit code, and what it wrote to stderr."""
        self.process.terminate()
        errors = self.process.communicate(timeout=30)[1]
        return self.process.returncode, errors
