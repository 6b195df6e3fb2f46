"""What a training step costs each rank, on paper: operations, memory and collectives from its shapes alone.

Rank 0 is meant, whose shards are the largest. Counted are the operations of matrix products, two for
each multiplication and addition, and of the sums of token vectors; not softmaxes, norms and the optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xmc.bench.step_collectives import Collective, step_collectives
from xmc.bench.step_shape import StepShape, TowerShape
from xmc.errors import ConfigError

__all__ = ["Collective", "StepCost", "StepShape", "TowerShape", "mining_cost", "step_cost"]

FLOAT = 4
ADAM_BYTES = 16  # per parameter: the weight, its gradient and two moments
PAIR_BYTES = 40  # per listed pair: two ids and their copies, a score and its gradient


@dataclass(frozen=True)
class StepCost:
    """What a step costs one rank.

    Attributes:
        flops: Operations by part.
        memory: Bytes held by part; not all parts at the same time, so their sum is an upper bound.
        traffic: Bytes to and from memory of the parts that it bounds.
        collectives: In the order of the step.
        ranks: W.
    """

    flops: dict[str, int]
    memory: dict[str, int] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)
    collectives: tuple[Collective, ...] = ()
    ranks: int = 1

    @property
    def recorded_bytes(self) -> int:
        """What this rank puts into collectives."""
        return sum(call.bytes for call in self.collectives)

    @property
    def sent_bytes(self) -> float:
        """What this rank sends, in rings."""
        return sum(call.sent(self.ranks) for call in self.collectives)


def step_cost(shape: StepShape) -> StepCost:
    """The cost of one step of rows -> pool -> encode -> score -> replay -> all-reduce -> optimisers."""
    return StepCost(
        _flops(shape), _memory(shape), _traffic(shape), tuple(step_collectives(shape)), ranks=shape.ranks
    )


def mining_cost(shape: StepShape, rows: int, kept: int) -> StepCost:
    """The cost of mining ``kept`` labels for each of ``rows`` training rows, beside the steps.

    Each rank encodes its share of the rows, but all labels: ranks do not talk until their lists are ready.

    Raises:
        ConfigError: When ``shape`` does not say how many labels there are.
    """
    if shape.labels < 1:
        raise ConfigError("expected the shape's labels, which mining searches, got 0")
    tower, mine = shape.tower, shape.share(rows)
    flops = {
        "encode queries": tower.forward(mine, shape.query_tokens),
        "encode labels": tower.forward(shape.labels, shape.label_tokens),
        # Two operations for each of N L D multiplications and additions, the rows being shared.
        "search": 2 * mine * shape.labels * tower.dimension,
    }
    memory = {"labels": 2 * shape.labels * tower.dimension, "snapshot": FLOAT * tower.parameters}
    lists = FLOAT * kept * -(-rows // shape.ranks)
    calls = [Collective("mined ids", "gather", lists), Collective("mined scores", "gather", lists)]
    return StepCost(flops, memory, {}, tuple(calls) if shape.ranks > 1 else (), shape.ranks)


def _flops(shape: StepShape) -> dict[str, int]:
    tower, own_labels = shape.tower, shape.share(shape.pool)
    flops: dict[str, int] = {}
    for name, texts, tokens in (
        ("queries", shape.share(shape.batch), shape.query_tokens),
        ("labels", own_labels, shape.label_tokens),
    ):
        flops[f"encode {name}"] = tower.forward(texts, tokens)
        # The gradient cache encodes twice: once for the loss, once for the gradients.
        again = tower.forward(texts, tokens) if shape.is_cached(texts, tokens) else 0
        flops[f"replay {name}"] = again + tower.backward(texts, tokens)
    # Queries of all ranks against this rank's labels: scores are split by labels alone.
    product = 2 * shape.batch * tower.dimension
    flops["score pool"] = shape.pool_products * product * own_labels
    if shape.memory:
        flops["score memory"] = shape.memory_products * product * shape.share(shape.memory)
        # Without a gradient, so once and with no way back.
        flops["refresh"] = tower.forward(shape.share(shape.refresh), shape.label_tokens)
    return flops


def _memory(shape: StepShape) -> dict[str, int]:
    """Bytes on the rank's device.

    Queries: gathered, their product with the slopes, and its scaled copy; labels: embeddings and gradient. A
    memory adds a second direction of the queries, and two more gradients of the pool's labels (weighed, and
    of the listed pairs). Rows that are gathered from all ranks are held twice while they arrive.
    """
    tower, remembers = shape.tower, shape.memory > 0
    row = FLOAT * tower.dimension
    queries, labels = shape.share(shape.batch), shape.share(shape.pool)
    tokens = max(queries * shape.query_tokens, labels * shape.label_tokens)
    parameters = tower.dense_parameters + shape.score_parameters
    held = {
        # A flat copy of the gradients besides, for the bucketed all-reduce.
        "parameters": ADAM_BYTES * parameters + (FLOAT * parameters if shape.ranks > 1 else 0),
        # Of one micro-batch at a time.
        "activations": tower.activation_bytes * min(tokens, shape.micro_batch_tokens),
        "queries": row * ((5 if remembers else 3) * shape.batch + 2 * queries),
        "labels": row * (4 if remembers else 2) * labels,
        "scores": _score_bytes(shape, labels),
        "pairs": PAIR_BYTES * (shape.positives + shape.certain),
    }
    if tower.frozen:
        held["frozen"] = FLOAT * tower.frozen
    if tower.token_rows:
        # A vector and the rule's two numbers for each token; the gradients of this rank's, and the sums.
        tables, touched = sum(tower.token_rows), sum(shape.touched_rows)
        held["tokens"] = (row + 2 * FLOAT) * tables + (2 if shape.ranks > 1 else 1) * row * touched
    if shape.residuals:
        # A vector and Adagrad's number for each label; the pool's gradients, and those gathered.
        held["residuals"] = (row + FLOAT) * shape.labels + (2 if shape.ranks > 1 else 1) * row * shape.pool
    if remembers:
        # All labels are scored where they lie; a sample is copied out.
        sampled = shape.share(shape.memory) if shape.memory < shape.labels else 0
        # Half precision.
        held["memory"] = 2 * tower.dimension * (shape.share(shape.labels) + sampled)
        held["rows to keep"] = 2 * row * max(shape.pool, shape.refresh) if shape.ranks > 1 else 0
    return held


def _score_bytes(shape: StepShape, labels: int) -> int:
    """Tiles of pool and memory ("tiled" keeps those of both for the way back), or a slab of slopes."""
    whole = FLOAT * shape.batch * labels
    if shape.engine == "dense":
        return 2 * whole  # the matrix and its gradient, at the very least
    tiles = min(shape.kept_scores, 2 * whole)
    if shape.engine == "tiled" and whole <= shape.kept_scores:
        tiles = whole  # kept, and slopes made in their place, as of a log partition; others have a tile more
    if shape.engine == "tiled" and shape.memory:
        tiles += min(shape.kept_scores, 2 * FLOAT * shape.batch * shape.share(shape.memory))
    return tiles


def _traffic(shape: StepShape) -> dict[str, int]:
    """Bytes through memory that bound a part.

    AdamW reads a parameter, its gradient and moments and writes three of them; a row of tokens is read with
    its gradient and written, and the gradient is read once more for its norm. A bag of tokens reads a vector
    per token forward, and reads and writes one backward. The fused engine writes slopes and reads them once
    for each product with embeddings; scores themselves stay in the cores.
    """
    tower = shape.tower
    by_rows = 4 * FLOAT * tower.dimension * sum(shape.touched_rows)
    traffic = {"optimiser": 7 * FLOAT * (tower.dense_parameters + shape.score_parameters) + by_rows}
    texts = ((shape.batch, shape.query_tokens), (shape.pool, shape.label_tokens))
    if not tower.weights:
        traffic["tokens"] = sum(3 * FLOAT * tower.dimension * shape.share(n) * t for n, t in texts)
    if shape.engine == "fused":
        per_label = FLOAT * shape.batch
        traffic["slopes"] = per_label * (3 * shape.share(shape.pool) + 2 * shape.share(shape.memory))
    return traffic
