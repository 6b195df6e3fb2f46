"""An index served by one process until it is told to stop."""

from __future__ import annotations

import importlib
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xmc.encoders import DualEncoder
from xmc.errors import ConfigError, DependencyError
from xmc.serving.limits import ServingLimits

__all__ = ["check_libraries", "serve"]

_log = logging.getLogger(__name__)
_LIBRARIES = ("fastapi", "uvicorn", "prometheus_client")
_WAITING_CONNECTIONS = 2_048
_LONGEST_ADDRESS = 512 << 10
"""Bytes of a request's first line and headers: 10,000 characters of a query take 120,000 at most."""


def check_libraries() -> None:
    """Look for what serving needs beside the package's own dependencies.

    Raises:
        DependencyError: With the command that installs it.
    """
    for name in _LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise DependencyError(
                f"serving needs {name.replace('_', '-')}, but importing it failed ({error}): "
                '`pip install "xmc-dual-encoder[serve]"`'
            ) from error


def serve(
    index: str | Path,
    *,
    model: DualEncoder | str | Path | None = None,
    device: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: ServingLimits | None = None,
    watch: float = 1.0,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve an index folder until SIGTERM or SIGINT; requests that have begun are answered first.

    Args:
        index: The index folder.
        model: The model; None takes the one that the index names.
        device: Where every vector is searched, by a copy; None searches as the index is made.
        host: The address to listen at; the default is reached from this machine alone.
        port: 0 takes any free one.
        token: What changes to the labels need; None allows none.
        limits: The bounds on requests; None takes the defaults.
        watch: Seconds between two looks at the folder for a new version.
        ready: Called with the address, ``http://HOST:PORT``, once connections are accepted.

    Raises:
        ConfigError: When the address cannot be listened at.
        DependencyError: When a library is missing.
        XMCError: When the index or its model cannot be opened.
    """
    check_libraries()
    import uvicorn

    from xmc.serving.app import create_app
    from xmc.serving.live_index import LiveIndex

    limits = limits or ServingLimits()
    with _listening(host, port) as listener:
        app = create_app(LiveIndex(index, model, device=device), token=token, limits=limits, watch=watch)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            h11_max_incomplete_event_size=_LONGEST_ADDRESS,
            # Each request ends within its own bound; this one is for clients that do not read the answer.
            timeout_graceful_shutdown=int(limits.max_change_seconds + limits.max_seconds) + 1,
        )
        listener.listen(_WAITING_CONNECTIONS)
        if not _is_loopback(host):
            _log.warning(
                "listening at %s: whoever can reach it can search, and read /info and /metrics", host
            )
        ready(_address(listener))
        with _stopping_is_no_error():
            uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket, taken before the model is loaded, so that a port in use is told at once."""
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port: expected a number from 0 to 65535, got {port}")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"--host: expected an address of this machine, got {host} ({error})") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except OSError as error:
            raise ConfigError(
                f"--host and --port: expected a free address of this machine, got {host}:{port} "
                f"({error.strerror}): choose another, or --port 0 for any free port"
            ) from error
        yield listener


@contextmanager
def _stopping_is_no_error() -> Iterator[None]:
    """Uvicorn raises the signal that stopped it once more, at its end; here that is the way to stop."""
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: None) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
