"""Tests cannot reach a network, in their own process or in one they start."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
from typing import Any

import pytest
from huggingface_hub import constants

ADDRESS = ("192.0.2.1", 80)  # reserved for documentation: nobody is there


def blocked(address: str = "") -> Any:
    """By the message, as a worker has the guard under its own name, from its start."""
    return pytest.raises(RuntimeError, match=f"tests run without a network.*{address}")


def test_no_way_out() -> None:
    with socket.socket() as client, blocked("192.0.2.1"):
        client.connect(ADDRESS)
    with socket.socket() as client, blocked():
        client.connect_ex(ADDRESS)
    with socket.socket(type=socket.SOCK_DGRAM) as client, blocked():
        client.sendto(b"x", ADDRESS)
    for ask in (
        lambda: socket.getaddrinfo("example.org", 443),
        lambda: socket.gethostbyname("example.org"),
        lambda: socket.create_connection(ADDRESS, timeout=1),
        lambda: urllib.request.urlopen("http://example.org", timeout=1),
    ):
        with blocked():
            ask()


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"hello"), daemon=True).start()
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=10) as client:
            assert client.recv(5) == b"hello"


def test_a_process_that_a_test_starts_has_no_network_either() -> None:
    code = f"import socket; socket.create_connection({ADDRESS}, timeout=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "NetworkBlocked" in done.stderr
    code = "from huggingface_hub import constants; print(constants.HF_HUB_OFFLINE)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "True"


def test_the_hub_is_offline() -> None:
    assert constants.HF_HUB_OFFLINE
