"""``xmc index merge``: one index of several; and which part of the labels a shard is."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xmc.cli.index_options import add_kind_options
from xmc.cli.outputs import check_output_place
from xmc.cli.parser import make_parser, parse
from xmc.counted import counted
from xmc.errors import ConfigError
from xmc.files import check_replaceable

if TYPE_CHECKING:
    from xmc.prediction.calibration import Calibration
    from xmc.retrieval.label_index import LabelIndex

__all__ = ["run", "shard_of"]


def run(arguments: Sequence[str]) -> None:
    """Put indexes together."""
    parser = make_parser(
        "index merge",
        "One index of the labels of several, in their order, without encoding anything: of shards that\n"
        "`xmc index build --shard` made, or of one index as another kind, which keeps what ranks beside its\n"
        "model. It finds what one build of all labels would.",
        "xmc index merge runs/index-1-of-2 runs/index-2-of-2 --out runs/index --kind ivf",
    )
    parser.add_argument("indexes", nargs="+", help="Index folders of one model.")
    parser.add_argument("--out", required=True, help="The index folder to make.")
    add_kind_options(parser, None)
    parser.add_argument("--overwrite", action="store_true", help="Replace the index when it is there.")
    options = parse(parser, arguments)
    check_output_place("--out", options.out)

    from xmc.retrieval.label_index import INDEX_MARKS, LabelIndex

    check_replaceable(options.out, *INDEX_MARKS, overwrite=options.overwrite)
    indexes = [LabelIndex.load(place) for place in options.indexes]
    merged = LabelIndex.merge(
        indexes,
        kind=options.kind,
        storage=options.storage or ("float32" if options.kind else None),
        refine=True if options.refine else (False if options.kind else None),
    )
    # Read before anything is written: the index may take its own place.
    calibration = _own_calibration(indexes)
    merged.save(options.out, overwrite=options.overwrite)
    place = Path(options.out) / "calibration.json"
    if calibration is None:
        place.unlink(missing_ok=True)  # of what was there before
    else:
        calibration.save(place)
    print(f"{counted(len(merged), 'label')} in {options.out}, as {merged.manifest.described}")


def _own_calibration(indexes: Sequence[LabelIndex]) -> Calibration | None:
    """Of one index alone, what its own ranking is calibrated by; others have that of their model."""
    from xmc.prediction.calibration import Calibration
    from xmc.prediction.label_source import calibration_file, ranks_by_itself

    if len(indexes) > 1 or not ranks_by_itself(indexes[0]) or (file := calibration_file(indexes[0])) is None:
        return None
    return Calibration.load(file)


def shard_of(words: str) -> tuple[int, int]:
    """Part, from 0, and number of parts, of ``2/8`` or ``rank``.

    Raises:
        ConfigError: When it is neither, or no process of a launch asks for its rank.
    """
    if words == "rank":
        rank, size = os.environ.get("RANK"), os.environ.get("WORLD_SIZE")
        if rank is None or size is None:
            raise ConfigError(
                "--shard rank: expected RANK and WORLD_SIZE in the environment, as `accelerate launch` or "
                "torchrun sets them, got none: say which part (--shard 1/4)"
            )
        words = f"{int(rank) + 1}/{size}"
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", words)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"--shard: expected K/N with K from 1 to N, or rank, got {words!r:.80}")
    return int(found[1]) - 1, int(found[2])
