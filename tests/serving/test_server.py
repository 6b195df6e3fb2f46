"""Real processes: a stop that loses no request, a swap that fails none, changes that outlive a restart."""

from __future__ import annotations

import shlex
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import TOKEN
from tests.serving.process import ServedProcess
from xmc.cli.main import main
from xmc.retrieval import LabelIndex
from xmc.serving import server


def test_a_swap_fails_no_request_and_a_stop_finishes_what_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two clients search all the time, while labels are changed by the server, by others, and at the end."""
    with ServedProcess(folder, "--watch", "0.05", token=TOKEN) as served:
        assert served.said[0].endswith("labels can be changed with the token\n")
        words = shlex.split(served.said[1])
        answer = httpx.post(words[3], content=words[2], headers={"Content-Type": "application/json"}).json()
        assert words[:2] == ["curl", "--json"] and len(answer["results"][0]["labels"]) == 5
        taken = served.address.rsplit(":", 1)[1]
        assert main(["serve", str(folder), "--port", taken]) == 2
        assert "or --port 0 for any free port" in capsys.readouterr().err
        stopping, failed, generations, open_ends = threading.Event(), [], set(), []

        def search() -> None:
            with httpx.Client(base_url=served.address, timeout=20) as client:
                while True:
                    late = stopping.is_set()
                    try:
                        answer = client.get("/search", params={"q": "red house", "k": 1})
                    except httpx.TransportError as error:
                        # Once it stops, new connections are refused; answers are still whole.
                        (open_ends if late or stopping.is_set() else failed).append(repr(error))
                        return
                    told = answer.json()
                    if answer.status_code != 200 or told["results"][0]["labels"][0]["uid"] != "r":
                        failed.append(answer.text)
                    generations.add(told["generation"])
                    time.sleep(0.01)

        threads = [threading.Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=served.address, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            added = client.post("/labels", json={"labels": [{"uid": "d", "text": "day bird"}]}).json()
            assert added["labels"] == 6
            other = LabelIndex.load(folder)
            other.add("big stone", "other")
            other.save(folder, overwrite=True)
            end = time.monotonic() + 20
            while client.get("/health").json()["labels"] != 7:
                assert time.monotonic() < end, "the new version was not taken up"
                time.sleep(0.02)
            # One that is half sent when the signal comes is answered whole.
            host, port = served.address.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port))) as half:
                body = b'{"labels": [{"uid": "last", "text": "night river"}]}'
                head = (
                    f"POST /labels HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                    f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                half.sendall(head.encode() + body[:20])
                time.sleep(0.3)
                stopping.set()
                served.process.terminate()
                time.sleep(0.3)
                half.sendall(body[20:])
                answer = b""
                while part := half.recv(65_536):
                    answer += part
        code, errors = served.stop()
        for thread in threads:
            thread.join()
    assert answer.startswith(b"HTTP/1.1 200") and b'"added":1' in answer
    assert (code, errors, failed) == (0, "searching another version: 7 labels\n", [])
    assert {1, 3} <= generations
    again = LabelIndex.load(folder)
    assert len(again) == 8 and again.hits("night river", 1)[0].uid == "last"


def test_what_cannot_be_served_is_told_in_a_line(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XMC_TOKEN", raising=False)
    for words, said in (
        ([str(tmp_path)], "expected a label index at"),
        ([str(folder), "--max-k", "0"], "max_k: expected more than 0"),
        ([str(folder), "--watch", "0"], "--watch: expected more than 0"),
        ([str(folder), "--port", "70000"], "--port: expected a number"),
        ([str(folder), "--host", "127.0.0.999"], "expected an address of this machine"),
        ([str(folder), "--token-file", str(tmp_path / "none")], "expected a file with the token"),
        ([str(folder), "--tokens", "x"], "unknown option --tokens"),
        ([str(folder), "--model", str(tmp_path / "none")], "none"),
    ):
        assert main(["serve", "--port", "0", *words] if "--port" not in words else ["serve", *words]) == 2
        told = capsys.readouterr().err
        assert said in told and told.count("\n") == 1, told


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LIBRARIES", ("no_such_library",))
    with pytest.raises(server.DependencyError, match=r"no-such-library.*xmc-dual-encoder\[serve\]"):
        server.check_libraries()


@pytest.mark.slow
def test_an_interrupt_is_a_stop_too(folder: Path) -> None:
    with ServedProcess(folder) as served:
        assert "read only (--token-file allows changes)" in served.said[0]
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(30) == 0
