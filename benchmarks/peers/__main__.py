"""Other systems beside ours: the same data, split, machine and ruler, a table a data set.

    python -m benchmarks.peers data/api-docs data/hpo --peers tfidf pecos xmc-train --seeds 0 1 2 --out OUT

Each system has a virtual environment of its own, made on first use; one that cannot be installed, or fails,
is named below the table with the reason. What is there already is not run again. docs/benchmarks/peers.md
has tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.material import write_material
from benchmarks.peers.peer import Peer
from benchmarks.peers.results import Conditions, Result, run_peer
from benchmarks.peers.table import table
from xmc.data import Dataset
from xmc.files import atomic_file

__all__ = ["main"]


def main(words: Sequence[str] | None = None, peers: Mapping[str, Peer] = PEERS) -> int:
    """Print and write a table a data set; 1 when a system failed.

    Args:
        words: The command line.
        peers: Those there are, by name.
    """
    given = _parser(peers).parse_args(words)
    conditions = Conditions(threads=given.threads, limit=given.limit)
    environments, failed = given.envs or given.out / "environments", False
    for path in given.data:
        dataset = Dataset.load(path)
        out = given.out / path.resolve().name
        material = write_material(dataset, out / "material")
        results: list[Result] = []
        for name in given.peers:
            seeds = given.seeds if peers[name].random else given.seeds[:1]
            for seed in seeds:
                results.append(
                    run_peer(
                        peers[name],
                        dataset,
                        material.resolve(),
                        seed,
                        out.resolve(),
                        environments.resolve(),
                        conditions,
                        retry=given.retry,
                    )
                )
                print(_line(results[-1]), file=sys.stderr, flush=True)
        text = f"## {dataset.name}\n\n{table(results)}"
        with atomic_file(out / "table.md") as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(text)
        failed = failed or any(result.failed is not None for result in results)
    return int(failed)


def _parser(peers: Mapping[str, Peer]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, nargs="+", help="Prepared data sets.")
    parser.add_argument("--peers", nargs="+", choices=list(peers), default=list(peers), metavar="PEER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--envs", type=Path, help="Where the environments are; by default in OUT.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=float, default=3600.0, help="Seconds for one run.")
    parser.add_argument("--retry", action="store_true", help="Run again what failed.")
    return parser


def _line(result: Result) -> str:
    head = f"{result.data}, {result.peer}, seed {result.seed}: "
    if result.failed is not None:
        return head + result.failed
    found = " / ".join(f"{result.metrics[name]:.2f}" for name in ("P@1", "P@5", "PSP@5", "R@100"))
    return (
        f"{head}{found}, trained in {result.train_seconds:.1f} s, predicted in {result.predict_seconds:.1f} s"
    )


if __name__ == "__main__":
    raise SystemExit(main())
