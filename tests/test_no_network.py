"""Tests cannot reach a network, in their own process or in one they start."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable

from huggingface_hub import constants

ADDRESS = ("192.0.2.1", 80)  # reserved for documentation: nobody is there


def refusal(ask: Callable[[], object]) -> str:
    """What the guard says of what is asked; "" where it lets it pass.

    By the message, as a worker has the guard under its own name, from its start.
    """
    try:
        ask()
    except RuntimeError as error:
        return str(error)
    except OSError:  # of the network, which was reached for
        pass
    return ""


def test_no_way_out() -> None:
    refused = "tests run without a network, but "
    with socket.socket() as client, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        client.settimeout(1)
        for ask in (
            lambda: client.connect(ADDRESS),
            lambda: client.connect_ex(ADDRESS),
            lambda: datagrams.sendto(b"x", ADDRESS),
        ):
            message = refusal(ask)
            assert message.startswith(refused) and message.endswith(" asked for '192.0.2.1'")
    assert refusal(lambda: socket.getaddrinfo("example.org", 443)).startswith(refused)
    assert refusal(lambda: socket.gethostbyname("example.org")).startswith(refused)
    assert refusal(lambda: socket.create_connection(ADDRESS, timeout=1)).startswith(refused)
    assert refusal(lambda: urllib.request.urlopen("http://example.org", timeout=1)).startswith(refused)


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
