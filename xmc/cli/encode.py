"""``xmc encode``: embeddings of a data set's texts, in shards that many processes write."""

from __future__ import annotations

import os
from collections.abc import Sequence

from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.counted import agreeing, counted
from xmc.distributed import launched_size, start_missing_processes
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """Write the shards of this rank that are not there yet."""
    from xmc.data.manifest import TABLES

    parser = make_parser(
        "encode",
        "Embeddings of the queries or labels of a data set, in Parquet shards (row, uid, vector).\n"
        "Started by accelerate launch, torchrun or `srun`, rank r of n writes every n-th shard from r on;\n"
        "what is there is passed over, so that a run that was cut off goes on, with any number of ranks.\n"
        "Offsets of labels are not in their embeddings: `xmc export --to parquet` has both.",
        "xmc encode runs/demo data/api-docs --split train --out runs/train-vectors",
    )
    parser.add_argument("model", help="A run folder, a model folder, a hub name, or `embedded`.")
    parser.add_argument("dataset", help="A prepared data set's folder, which every rank can read.")
    parser.add_argument("--out", required=True, help="The folder of the shards, which every rank can write.")
    parser.add_argument("--split", default="train", choices=TABLES, help="Which texts.")
    parser.add_argument("--rows", type=int, default=16_384, help="Texts of a shard.")
    parser.add_argument(
        "--shard",
        type=str | None,
        default=None,
        metavar="K/N",
        help="As rank K of N, from 1, instead of what a launcher says.",
    )
    options = parse(parser, arguments)
    check_output_place("--out", options.out)
    rank, size = _rank(options.shard)

    from xmc.data import Dataset
    from xmc.encoders import CutCount, DualEncoder
    from xmc.encoders.shards import EncodedShards, shards_of_rank
    from xmc.progress import Bar

    encoder = DualEncoder.load(options.model, device=_device(size))
    shards = EncodedShards(
        encoder, Dataset.load(options.dataset), options.split, options.out, rows=options.rows
    )
    facts = shards.facts
    own = shards_of_rank(facts.shards, rank, size)
    todo = [shard for shard in own if not shards.is_there(shard)]
    cuts = CutCount()
    with Bar(len(todo), "encoding shards", "shard", shown=rank == 0) as bar:
        for shard in todo:
            shards.write(shard, cuts=cuts)
            bar.update()
    cuts.warn("texts")
    before = len(own) - len(todo)
    missing = sum(1 for _ in shards.missing())
    end = f"{missing:,} not yet" if missing else f"all {counted(facts.count, 'text')}"
    print(
        f"rank {rank} of {size}: {counted(len(todo), 'shard')} written, {before:,} "
        f"{agreeing(before, 'was', 'were')} there; "
        f"{facts.shards - missing:,} of {facts.shards:,} in {options.out}, {end}",
        flush=True,
    )


def _rank(shard: str | None) -> tuple[int, int]:
    """This process's rank and the number of ranks; they never talk to each other."""
    if shard is not None:
        from xmc.cli.index_merge import shard_of

        return shard_of(shard)
    start_missing_processes()
    size = launched_size(os.environ) or 1
    names = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
    said = next((os.environ[name] for name in names if name in os.environ), None)
    if size > 1 and said is None:
        raise ConfigError(
            f"expected a rank of {size} in RANK, got none: say which part this is (--shard 1/{size})"
        )
    return int(said or 0), size


def _device(size: int) -> str | None:
    """Of several processes on a machine each takes the accelerator of its local rank."""
    import torch

    local = os.environ.get("LOCAL_RANK")
    if size == 1 or local is None or not torch.accelerator.is_available():
        return None
    kind = torch.accelerator.current_accelerator()
    return f"{kind.type if kind is not None else 'cpu'}:{int(local) % torch.accelerator.device_count()}"
