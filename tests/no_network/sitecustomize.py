"""No test reaches a network: Python imports this at its start where the folder is on ``PYTHONPATH``.

``tests/conftest.py`` imports it and puts the folder there for the processes that tests start. Loopback stays
open, as ranks and workers talk over it. What C++ code opens by itself (gloo) does not pass here.
"""

from __future__ import annotations

import socket
import sys
from typing import Any


class NetworkBlocked(RuntimeError):
    """No OSError, so that no code takes it for a network that is down."""


def _is_here(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost", "::1", "0.0.0.0", "::", socket.gethostname()):
        return True
    return isinstance(name, str) and name.startswith("127.")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        host = arguments[1][0]  # an address of another family, such as a file's, is no tuple
    else:
        return
    if not _is_here(host):
        raise NetworkBlocked(f"tests run without a network, but {event} asked for {host!r}")


sys.addaudithook(_refuse)
