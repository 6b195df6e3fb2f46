"""What a server of an index does under load: latencies and throughput, and a soak with changes and swaps.

    python benchmarks/serving.py load INDEX --queries DATASET [--clients 1,16,64] [--seconds 15]
    python benchmarks/serving.py soak INDEX --queries DATASET [--minutes 4] [--clients 16] [--pause 0]

Both start ``xmc serve`` in a process of its own, on a copy of INDEX; the clients are coroutines of this
process, each with a connection of its own that asks again as soon as it is answered, or after a pause. The
figures are in docs/benchmarks/retrieval.md.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from xmc.data import Dataset
from xmc.retrieval import LabelIndex

__all__ = ["Connection", "Load", "main", "memory_growth"]

TOKEN = "a-token-of-the-benchmark"


class Connection:
    """A connection that is kept open, with as little of a client as there can be."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._place[0]}\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
        return int(lines[0].split()[1]), json.loads(await reader.readexactly(length))

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Load:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    generations: set[int] = field(default_factory=set)

    def figures(self, wall: float) -> dict[str, float]:
        """Requests a second, and milliseconds of the 50th and 99th percent of them."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1000
        return {
            "requests_per_second": round(len(self.seconds) / wall, 1),
            "p50_ms": round(float(p50), 2),
            "p99_ms": round(float(p99), 2),
            "requests": len(self.seconds),
            "errors": len(self.errors),
        }


async def client(
    place: tuple[str, int], texts: Iterator[str], until: float, load: Load, pause: float = 0.0
) -> None:
    """Search until the time is up."""
    connection = Connection(*place)
    while (started := time.perf_counter()) < until:
        status, told = await connection.ask("POST", "/search", {"text": next(texts), "k": 10})
        load.seconds.append(time.perf_counter() - started)
        if status != 200 or not told["results"][0]["labels"]:
            load.errors.append(f"{status} {told}")
        else:
            load.generations.add(told["generation"])
        if pause:
            await asyncio.sleep(pause)
    connection.close()


@contextmanager
def served(index: Path, options: Sequence[str]) -> Iterator[tuple[tuple[str, int], psutil.Process, Path]]:
    """A server on a copy of an index: its address, its process, the copy."""
    with tempfile.TemporaryDirectory() as room:
        copy = Path(room) / "index"
        LabelIndex.load(index).save(copy)  # which knows where its model is from there
        process = psutil.Popen(
            [sys.executable, "-m", "xmc", "serve", str(copy), "--port", "0", *options],
            stdout=-1,
            text=True,
            env={**os.environ, "XMC_TOKEN": TOKEN},
        )
        try:
            line = process.stdout.readline()
            host, port = line.split(" at http://")[1].split(",")[0].split(":")
            yield (host, int(port)), process, copy
        finally:
            process.terminate()
            process.wait(60)


async def measure(place: tuple[str, int], texts: Iterator[str], clients: int, seconds: float) -> Load:
    """Several clients for a time."""
    load, until = Load(), time.perf_counter() + seconds
    await asyncio.gather(*(client(place, texts, until, load) for _ in range(clients)))
    return load


def memory_growth(samples: Sequence[tuple[float, int]], skipped: float = 0.25) -> float:
    """MiB a minute by least squares over (seconds, bytes), without the first part of the time."""
    kept = [sample for sample in samples if sample[0] >= skipped * samples[-1][0]]
    minutes, mib = np.array([at / 60 for at, _ in kept]), np.array([held / 2**20 for _, held in kept])
    return float(np.polyfit(minutes, mib, 1)[0])


async def change_all_the_time(
    place: tuple[str, int],
    texts: Iterator[str],
    until: float,
    there: dict[str, str],
    errors: list[str],
    every: float,
) -> int:
    """Add, put and remove labels; how often. ``there`` gets those that must be found at the end."""
    connection, numbers, count = Connection(*place), itertools.count(), 0
    while time.perf_counter() < until:
        new = {f"new-{next(numbers)}": next(texts)[:200] for _ in range(5)}
        body = {"labels": [{"uid": uid, "text": text} for uid, text in new.items()]}
        uids = list(new)
        for method, path, sent in (
            ("POST", "/labels", body),
            ("PUT", "/labels", {"labels": [{"uid": uids[0], "text": f"put {new[uids[0]]}"}]}),
            ("POST", "/labels/remove", {"uids": uids[1:3]}),
        ):
            status, told = await connection.ask(method, path, sent)
            count += 1
            if status != 200:
                errors.append(f"{method} {path}: {status} {told}")
            elif path == "/labels" and method == "POST":  # what was refused cannot be lost
                there.update({uid: new[uid] for uid in (uids[0], *uids[3:])})
        connection.close()  # a server hangs up on those who are silent for some seconds
        await asyncio.sleep(every)
    connection.close()
    return count


async def swap_all_the_time(copy: Path, until: float, every: float) -> int:
    """Another process adds a label to the folder now and then; how often."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from xmc.serving.index_folder import locked_folder, open_folder\n"
        "folder = Path(sys.argv[1])\n"
        "with locked_folder(folder) as save:\n"
        "    index, _ = open_folder(folder); index.add('of another process', sys.argv[2]); save(index)\n"
    )
    for number in itertools.count():
        await asyncio.sleep(every)
        if time.perf_counter() > until:
            return number
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(copy), f"other-{number}"
        )
        if await process.wait():
            raise RuntimeError("the other process failed")


async def watch(process: psutil.Process, until: float) -> list[tuple[float, int]]:
    """Seconds and bytes of the server's own memory, every second."""
    samples, started = [], time.perf_counter()
    while (now := time.perf_counter()) < until:
        held = process.memory_info()
        samples.append((now - started, int(held.rss - held.shared)))
        await asyncio.sleep(1)
    return samples


async def soak(
    place: tuple[str, int],
    process: psutil.Process,
    copy: Path,
    texts: Iterator[str],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """Searches of some clients while labels are changed here and by other processes."""
    started = time.perf_counter()
    until = started + 60 * given.minutes
    load, there, errors = Load(), {}, []  # type: ignore[var-annotated]
    changes, swaps, samples, *_ = await asyncio.gather(
        change_all_the_time(place, texts, until, there, errors, given.change_every),
        swap_all_the_time(copy, until, given.swap_every),
        watch(process, until),
        *(client(place, texts, until, load, given.pause) for _ in range(int(given.clients or 16))),
    )
    connection = Connection(*place)
    await asyncio.sleep(2)
    _, facts = await connection.ask("GET", "/info")
    connection.close()
    from xmc.retrieval import LabelIndex

    saved = LabelIndex.load(copy)
    wanted = [*there, *(f"other-{number}" for number in range(swaps))]
    return {
        **load.figures(time.perf_counter() - started),
        "changes": changes,
        "failed_changes": errors,
        "failed_searches": load.errors[:5],
        "swaps_by_others": swaps,
        "generations": facts["generation"],
        "lost_labels": [uid for uid in wanted if uid not in saved],
        "labels": [facts["labels"], len(saved)],
        "memory_mib": [round(held / 2**20) for _, held in samples[:: max(1, len(samples) // 12)]],
        "memory_mib_per_minute": round(memory_growth(samples), 2),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["load", "soak"])
    parser.add_argument("index", type=Path)
    parser.add_argument("--queries", type=Path, required=True, help="A data set; its test queries are asked.")
    parser.add_argument("--clients", help="1,16,64 by default; 16 of a soak.")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument(
        "--pause", type=float, default=0.0, help="Seconds of a soak's client between searches."
    )
    parser.add_argument("--change-every", type=float, default=0.5, help="Seconds between a soak's changes.")
    parser.add_argument("--swap-every", type=float, default=20.0, help="Seconds between versions by others.")
    given, options = parser.parse_known_args(argv)
    texts = itertools.cycle(text[:2_000] for text in Dataset.load(given.queries).texts("test")[:])
    with served(given.index, options) as (place, process, copy):
        if given.what == "soak":
            print(json.dumps(asyncio.run(soak(place, process, copy, texts, given)), indent=2))
            return
        asyncio.run(measure(place, texts, 4, 2.0))
        for clients in map(int, (given.clients or "1,16,64").split(",")):
            used = sum(process.cpu_times()[:2])
            load = asyncio.run(measure(place, texts, clients, given.seconds))
            busy = (sum(process.cpu_times()[:2]) - used) / len(load.seconds) * 1000
            figures = {
                "clients": clients,
                **load.figures(given.seconds),
                "cpu_ms_per_request": round(busy, 2),
            }
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
