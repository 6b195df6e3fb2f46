"""Every random draw of a training run belongs to one numbered stream, and no stream repeats another's draws.

A draw is decided by the run's seed, its stream and the stream's counters, such as the batch's index, and by
nothing drawn before: all ranks draw alike without talking, and a resumed run saves no generator. The key is
``SeedSequence(entropy=seed, spawn_key=(stream, *counters))`` (NumPy's port of O'Neill's ``seed_seq_fe``), so

- the keys of two draws that differ in seed, stream or counters are different ones, and what is drawn from
  them is independent as far as a hash of 128 bits can be;
- the key, and the integers :func:`torch_seed` makes of it, are the same on every platform and with every
  version of NumPy, which promises it for SeedSequence. What a generator then makes of its bits, and torch of
  its seed, is up to their versions.

Seeds are whole numbers from 0 to 2**128 - 1, counters from 0 to 2**32 - 1. Wider ones would be cut into words
of 32 bits that read like other counters, so they are refused.

Made data sets (`xmc.corpora.synthetic`) and resampling (`xmc.reports.resampling`) have seeds and streams of
their own. Theirs have no spawn key, which none of the streams here is without.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from xmc.errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = ["Stream", "check_seed", "generator", "seed_torch", "torch_seed"]

SEED_BITS, COUNTER_BITS = 128, 32


class Stream(Enum):
    """What is drawn, as ``(number, names of the counters)``; a number that goes out of use stays unused."""

    VALIDATION_ROWS = (1,)
    """The training rows that are held out."""

    INITIAL_WEIGHTS = (2,)
    """What an encoder starts from where it is not pretrained (torch)."""

    LABEL_CLUSTERS = (3,)
    """The k-means of labels that share a residual."""

    QUERY_ORDER = (4, "epoch")
    """The order of an epoch's rows."""

    CLUSTER_CUTS = (5, "epoch")
    """The samples and k-means that cluster the rows, before that epoch."""

    CLUSTER_ORDER = (6, "epoch")
    """The order of an epoch's clusters."""

    UNIFORM_LABELS = (7, "batch_index", "stratum")
    """Labels drawn uniformly into a pool, of each label shard that has its share (one for all labels)."""

    TEMPERED_LABELS = (8, "batch_index")
    """Labels drawn into a pool by tempered frequency."""

    LABEL_QUERIES = (9, "batch_index", "stratum")
    """Labels that are queries of themselves; of one shard."""

    MINED_LABELS = (10, "epoch", "step")
    """What each row brings of its mined list of that step in that epoch."""

    MEMORY_SAMPLE = (11, "batch_index", "rank")
    """The labels of a rank's shard of the memory that are scored."""

    DROPOUT = (12, "batch_index", "rank")
    """The encoders' dropout (torch)."""

    RESIDUAL_DROPOUT = (13, "batch_index")
    """The residuals that are left out."""

    MOMENT_PROBES = (14, "step")
    """The directions that a head's moments are checked along (torch); of seed 0, whatever the run's."""

    ROWS_LEFT_OUT = (15,)
    """The order in which rows sit an epoch out."""

    CANDIDATES = (16,)
    """The mixtures of changes that a search for a recipe tries."""

    POSITIVES = (17, "batch_index")
    """The positives of each row that a batch keeps."""

    MARGINS = (18, "batch_index")
    """The margin of each positive of a batch."""

    ROUNDING = (19, "table", "step")
    """The noise by which a table of bfloat16 is rounded after a step."""

    CLASSIFIER_ROWS = (20,)
    """The order of the labels' classifiers of words, and the rows drawn as their negatives."""

    TEACHER_CANDIDATES = (40, "block")
    """The labels that teachers are asked about beside those they rank highest, of a block of queries."""

    DISCRIMINATOR = (41,)
    """What a discriminator of teachers and student starts from (torch)."""

    LABEL_TEXTS = (60, "batch_index")
    """The text of each label of a batch, where labels have several."""

    def __init__(self, number: int, *counters: str) -> None:
        self.number, self.counters = number, counters


def generator(seed: int, stream: Stream, *counters: int) -> np.random.Generator:
    """A generator at the start of the draw of ``stream`` that its ``counters`` number.

    Args:
        seed: The run's.
        stream: What is drawn.
        counters: Those that the stream names, in its order.

    Raises:
        ConfigError: For a seed or counters that are out of range, or not those of the stream.
    """
    return np.random.default_rng(_key(seed, stream, counters))


def torch_seed(seed: int, stream: Stream, *counters: int) -> int:
    """A seed of 63 bits for ``torch.manual_seed``, with the arguments and errors of :func:`generator`.

    Torch's generator on a GPU takes all of them. The one on the CPU takes the lowest 32, so there two draws
    of a stream in some 2**32 are alike.
    """
    return int(_key(seed, stream, counters).generate_state(1, np.uint64)[0]) >> 1


def seed_torch(device: torch.device, seed: int, stream: Stream, *counters: int) -> None:
    """Begin a draw of torch's default generators, with the arguments and errors of :func:`generator`.

    On the CPU its generator alone is seeded: ``torch.manual_seed`` notes the seed, and a stack trace, for
    each kind of accelerator that is not there.
    """
    import torch

    if device.type == "cpu":
        torch.default_generator.manual_seed(torch_seed(seed, stream, *counters))
    else:
        torch.manual_seed(torch_seed(seed, stream, *counters))


def check_seed(option: str, seed: int) -> None:
    """Refuse a seed that is out of range.

    Raises:
        ConfigError: Naming the option.
    """
    if not 0 <= seed < 1 << SEED_BITS:
        raise ConfigError(f"{option}: expected a whole number from 0 to 2**{SEED_BITS} - 1, got {seed}")


def _key(seed: int, stream: Stream, counters: tuple[int, ...]) -> np.random.SeedSequence:
    check_seed("seed", seed)
    if len(counters) != len(stream.counters) or not all(0 <= c < 1 << COUNTER_BITS for c in counters):
        raise ConfigError(
            f"expected the counters ({', '.join(stream.counters)}) of {stream.name}, each from 0 to "
            f"2**{COUNTER_BITS} - 1, got {counters}"
        )
    return np.random.SeedSequence(seed, spawn_key=(stream.number, *counters))
