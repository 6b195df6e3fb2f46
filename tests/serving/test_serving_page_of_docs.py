"""The requests of docs/serving.md, sent as they stand there, and its tables against the code."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from fastapi.testclient import TestClient

from tests.serving.conftest import TOKEN
from xmc.serving import ServingLimits

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def curl_lines() -> list[str]:
    lines = [
        line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
    ]
    return [line for line in lines if line.startswith("curl ")]


def send(client: TestClient, line: str) -> int:
    """What curl would send, of the options that the page uses; any other is an error."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("address")
    parser.add_argument("-X")
    parser.add_argument("-H")
    parser.add_argument("--json")
    words = parser.parse_args(shlex.split(line.replace("$XMC_TOKEN", TOKEN))[1:])
    headers = {} if words.H is None else dict([words.H.split(": ")])
    if words.json is not None:
        headers["Content-Type"] = "application/json"
    method = words.X or ("GET" if words.json is None else "POST")
    path = words.address.removeprefix("http://127.0.0.1:8000")
    return client.request(method, path, content=words.json, headers=headers).status_code


def test_every_curl_line_works_in_its_order(serve: Callable[..., TestClient]) -> None:
    client = serve()
    lines = curl_lines()
    assert len(lines) >= 7 and [send(client, line) for line in lines] == [200] * len(lines)


def test_the_bounds_are_those_of_the_code() -> None:
    told = dict(re.findall(r"^\| `--([\w-]+)` \| ([\d.,]+)", TEXT, re.MULTILINE))
    for field in fields(ServingLimits):
        value = float(told.pop(field.name.replace("_", "-")).replace(",", ""))
        assert value * (2**20 if field.name == "max_body" else 1) == field.default
    assert not told


def test_the_codes_are_those_of_the_code() -> None:
    folder = Path(__file__).parents[2] / "xmc" / "serving"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    used = set(re.findall(r'Problem\(\s*\d{3},\s*"(\w+)"', source)) | {"address", "method"}
    table = TEXT.split("| status | `code` |")[1].split("\n\n")[0]
    assert used == set(re.findall(r"`([a-z_]+)`", table))
