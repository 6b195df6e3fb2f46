"""The shapes of a training step: what its cost is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from xmc.distributed import shard_bounds
from xmc.encoders.micro_batch_size import LEAST_GPU_TOKENS
from xmc.errors import ConfigError

__all__ = ["StepShape", "TowerShape"]

# Products of B x l x D for a pool with gradients to both sides, and for frozen labels.
_POOL = {"tiled": 4, "fused": 4, "dense": 3}
_FROZEN = {"tiled": 2, "fused": 3, "dense": 3}


@dataclass(frozen=True)
class TowerShape:
    """An encoder, the same for queries and labels.

    Attributes:
        parameters: Trained parameters, of both towers where they are separate.
        dimension: D.
        weights: Weights of the matrices that each token is multiplied by; 0 for a bag of tokens.
        layers: Attention layers.
        width: Components of a token within them.
        activation_bytes: What autograd keeps of each token of a micro-batch.
        token_rows: Rows of each table of token vectors that is trained by rows, which are among the
            parameters.
        frozen: Parameters that stay as they are, beside the trained ones.
        frozen_weights: Weights, of ``weights``, that stay: the way back needs no gradient of them.
    """

    parameters: int
    dimension: int
    weights: int = 0
    layers: int = 0
    width: int = 0
    activation_bytes: int = 0
    token_rows: tuple[int, ...] = ()
    frozen: int = 0
    frozen_weights: int = 0

    @property
    def dense_parameters(self) -> int:
        """Parameters whose whole gradient is summed over ranks, and that AdamW walks."""
        return self.parameters - sum(self.token_rows) * self.dimension

    def forward(self, texts: int, tokens: int) -> int:
        """Operations that encode ``texts`` of ``tokens`` each: ``2 n T (w + 2 T h layers)``, or ``n T D``.

        The second term is attention's: two products of T x T x h per layer and text.
        """
        if not self.weights:
            return texts * tokens * self.dimension
        # Attention: scores and their sum of values, each T x T x h multiplications per layer and text.
        return 2 * texts * tokens * (self.weights + 2 * tokens * self.width * self.layers)

    def backward(self, texts: int, tokens: int) -> int:
        """Operations of the way back: two products for each one; attention's five, as it scores again."""
        if not self.weights:
            return texts * tokens * self.dimension
        # Gradients by input and by weights; in attention the scores again, and two for each forward product.
        products = 2 * self.weights - self.frozen_weights
        return 2 * texts * tokens * (products + 5 * tokens * self.width * self.layers)


@dataclass(frozen=True)
class StepShape:
    """The shapes of one step, over all ranks.

    Attributes:
        tower: The encoder.
        batch: B, queries.
        pool: n, labels that are encoded with a gradient.
        positives: P, pairs of a query and a positive in the pool.
        query_tokens: Of each query, padding included.
        label_tokens: Of each label, padding included.
        ranks: W.
        labels: L, for what is kept of each label.
        memory: m, labels of the label memory that are scored; 0 without a memory.
        refresh: r, labels of the memory encoded anew.
        certain: M, negatives listed as pairs (mined ones).
        score_parameters: Learned offsets and scale.
        residuals: Whether each label has a free vector.
        touched: u, rows of each of the tower's tables of token vectors that a step touches, over all ranks;
            all of them when empty, which is the most it can be.
        engine: How scores are computed; "fused" is the GPU's, "dense" holds all scores, on one rank in this
            project and on each rank's labels in the reference system.
        kept_scores: Bytes that score tiles may take ("tiled" keeps all scores, and saves a product, when they
            fit) or a slab of slopes ("fused").
        micro_batch_tokens: What is encoded at once; more than that is encoded twice (gradient cache).
    """

    tower: TowerShape
    batch: int
    pool: int
    positives: int
    query_tokens: int = 32
    label_tokens: int = 32
    ranks: int = 1
    labels: int = 0
    memory: int = 0
    refresh: int = 0
    certain: int = 0
    score_parameters: int = 0
    residuals: bool = False
    touched: tuple[int, ...] = ()
    engine: Literal["tiled", "fused", "dense"] = "fused"
    kept_scores: int = 256 << 20
    micro_batch_tokens: int = LEAST_GPU_TOKENS

    def __post_init__(self) -> None:
        """Refuse an unknown engine (ConfigError) and counts below one."""
        if self.engine not in _POOL:
            raise ConfigError(f"expected engine tiled, fused or dense, got {self.engine!r}")
        if self.ranks < 1 or min(self.batch, self.pool, self.query_tokens, self.label_tokens) < 1:
            raise ConfigError(f"expected at least one rank, query, label and token, got {self}")
        if (self.memory or self.residuals) and self.labels < max(self.pool, self.memory):
            raise ConfigError(
                f"expected labels, of which memory and residuals keep something, to be at least the pool's "
                f"{self.pool} and the {self.memory} scored, got {self.labels}"
            )

    @property
    def touched_rows(self) -> tuple[int, ...]:
        """Rows touched of each table of token vectors that is trained by rows."""
        return self.touched or self.tower.token_rows

    def share(self, count: int) -> int:
        """Rank 0's part of ``count``: the largest."""
        # Uneven shards give the first ranks one more.
        return shard_bounds(count, 0, self.ranks)[1]

    def is_cached(self, texts: int, tokens: int) -> bool:
        """Whether a rank's ``texts`` are more than one micro-batch, and so encoded twice."""
        return texts * tokens > self.micro_batch_tokens

    @property
    def pool_products(self) -> int:
        """Products of B x n x D with the pool: 4, or 3 where scores are kept."""
        # The rule of scoring.tiled.
        kept = 4 * self.batch * self.share(self.pool) <= self.kept_scores
        return 3 if self.engine == "tiled" and kept else _POOL[self.engine]

    @property
    def memory_products(self) -> int:
        """Products of B x m x D with the label memory, which carries no gradient."""
        return _FROZEN[self.engine]
