from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from xmc.cli.main import main
from xmc.data.public import download_file, find_public_set, public_sets
from xmc.errors import ConfigError, DataError
from xmc.evaluation.published import published_results
from xmc.recipes import find_recipe

BODY = bytes(range(256)) * 40
DIGEST = hashlib.sha256(BODY).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves BODY at any path; says what it was asked, and cuts an answer short when told."""

    body, tag, cut, ranges = BODY, '"v1"', 0, list[str]()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        told = self.headers.get("Range", "")
        self.server.ranges.append(told)
        if self.path.endswith("gone.bin"):
            return self.send_error(404)
        start = 0
        if told and self.headers.get("If-Range") == self.server.tag:
            start = int(told.removeprefix("bytes=").removesuffix("-"))
        rest = self.server.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", self.server.tag)
        self.send_header("Content-Length", str(len(rest)))
        if start:
            size = len(self.server.body)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        self.wfile.write(rest[: self.server.cut or None])

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as one:
        one.ranges = []
        thread = threading.Thread(target=one.serve_forever, args=(0.01,))
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def address(server: Server, name: str = "data.bin") -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def fetch(server: Server, folder: Path, sha256: str = DIGEST) -> Path:
    return download_file(address(server), folder, "data.bin", sha256=sha256, progress=False)


def test_a_file_comes_whole_and_only_once(server: Server, tmp_path: Path) -> None:
    place = fetch(server, tmp_path / "new")
    assert place.read_bytes() == BODY and [path.name for path in place.parent.iterdir()] == ["data.bin"]
    assert fetch(server, tmp_path / "new", "") == place and server.ranges == [""]


def test_what_was_cut_short_goes_on(server: Server, tmp_path: Path) -> None:
    server.cut = 1000
    with pytest.raises(DataError, match="the same command goes on"):
        fetch(server, tmp_path)
    assert (tmp_path / "data.bin.part").read_bytes() == BODY[:1000] and not (tmp_path / "data.bin").exists()
    server.cut = 0
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.ranges == ["", "bytes=1000-"] and len(list(tmp_path.iterdir())) == 1


def test_a_file_that_changed_meanwhile_begins_anew(server: Server, tmp_path: Path) -> None:
    server.cut = 1000
    with pytest.raises(DataError):
        fetch(server, tmp_path)
    server.cut, server.tag, server.body = 0, '"v2"', BODY[::-1]
    assert fetch(server, tmp_path, "").read_bytes() == BODY[::-1]


def test_another_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the SHA-256 0000.*got"):
        fetch(server, tmp_path, "0" * 64)
    assert not list(tmp_path.iterdir())
    (tmp_path / "data.bin").write_bytes(b"something else")
    with pytest.raises(DataError, match="remove it, fetch it again"):
        fetch(server, tmp_path)


def test_without_a_file_or_a_network(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got HTTP 404 Not Found: it may have moved; put gone.bin into"):
        download_file(address(server, "gone.bin"), tmp_path, "gone.bin", progress=False)
    with pytest.raises(DataError, match="expected a network and an answer .ConnectError.*yourself"):
        download_file("http://127.0.0.1:1/x", tmp_path, "x", progress=False)
    with pytest.raises(ValueError, match="plain file names"):
        download_file(address(server), tmp_path, "../x", progress=False)


def test_the_table_is_whole() -> None:
    for one in public_sets():
        recipe = find_recipe(one.recipe)
        assert recipe is not None and one.places and one.licence
        assert f"data/{recipe.parent.name} " in f"{one.command('downloads')} "
        assert one.name in recipe.read_text(encoding="utf-8") or not one.name[0].isupper()
        for place in one.places:
            assert place.url.startswith(("http://", "https://")) and place.about
            assert bool(place.name) == (place.kind == "file") and len(place.sha256) in (0, 64)
        for result in published_results(one.name):
            assert result.sizes is None or result.dataset == one.name
    assert find_public_set("eurlex-4k").num_labels == 3956
    with pytest.raises(ConfigError, match="did you mean 'LF-Amazon-131K'"):
        find_public_set("LF-Amazon-131")


def test_the_command(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "download"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(public_sets())
    folder = str(tmp_path / "here")
    assert main(["data", "download", "lf-amazontitles-131k", folder]) == 0
    out = capsys.readouterr().out
    assert "drive.google.com" in out and "nothing is fetched from pages" in out and "is not known" in out
    assert f"xmc data import {folder} data/lf-amazontitles-131k" in out and not (tmp_path / "here").exists()
    words = ["data", "download", "LF-Amazon-131K", folder, "--url", address(server), "--sha256"]
    assert main([*words, DIGEST]) == 0
    assert "here: " in capsys.readouterr().out and (tmp_path / "here" / "data.bin").read_bytes() == BODY
    (tmp_path / "here" / "data.bin").unlink()
    assert main([*words, "0" * 64]) == 2
    assert main(["data", "download", "hpo", "--sha256", DIGEST]) == 2
    assert main(["data", "download", "hpo", "--url", "ftp://x/y"]) == 2
    assert "--url: expected http" in capsys.readouterr().err
    assert main(["data", "download", "wordnte"]) == 2
    assert "did you mean 'wordnet'?" in capsys.readouterr().err
