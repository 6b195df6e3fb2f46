"""Encodes a data set's texts over a Ray cluster, into the shards that ``xmc encode`` writes.

Run: ``python examples/encode_with_ray.py MODEL DATASET OUT --actors 4`` with ``pip install "ray[data]"``.
Model, data set and OUT have to be on a disk that every node sees. Shards that are there are passed over.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ray

from xmc.data import Dataset
from xmc.encoders import DualEncoder
from xmc.encoders.shards import ROWS, EncodedShards


class ShardEncoder:
    """An actor: it opens the model once, and writes the shards that it is sent."""

    def __init__(self, model: str, dataset: str, split: str, out: str, rows: int) -> None:
        self.shards = EncodedShards(DualEncoder.load(model), Dataset.load(dataset), split, out, rows=rows)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row, the number of a shard; with whether it had to be written."""
        shard = int(row["item"])
        written = not self.shards.is_there(shard)
        if written:
            self.shards.write(shard)
        return {"shard": shard, "written": written}


def main() -> None:
    """Encode what is missing and say how much that was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("out")
    parser.add_argument("--split", default="train", choices=("train", "test", "labels"))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0.0, help="Of an actor.")
    options = parser.parse_args()
    # Ray starts actors in folders of their own.
    places = [str(Path(place).absolute()) for place in (options.model, options.dataset, options.out)]
    model, dataset, out = places
    facts = EncodedShards(
        DualEncoder.load(model), Dataset.load(dataset), options.split, out, rows=options.rows
    ).facts
    numbers = ray.data.from_items(list(range(facts.shards)), override_num_blocks=facts.shards)
    done = numbers.map(
        ShardEncoder,
        fn_constructor_args=(model, dataset, options.split, out, options.rows),
        compute=ray.data.ActorPoolStrategy(size=options.actors),
        num_gpus=options.gpus,
    ).take_all()
    written = sum(bool(row["written"]) for row in done)
    print(f"{written} shards written, {len(done) - written} were there: {facts.count} texts in {out}")


if __name__ == "__main__":
    main()
