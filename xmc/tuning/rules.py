"""A recipe from the facts of a data set: rules that need no trial, each with its reason.

The constants are those of the recipes for api-docs, Debian-Related-30K, YSO-FinnaTitles-24K and wordnet, and
what a few runs on a cut of the second to 2,000 rows said of small data and on a thesaurus of relations of
equals; all with static towers. The section on `xmc fit` in docs/benchmarks/methods.md has what they give, and
on how little that rests.
"""

from __future__ import annotations

import math
from typing import Any

from xmc.training.batches.query_sampler import equal_batches
from xmc.training.learned.config import LEARNING_RATES
from xmc.tuning.choice import Choice
from xmc.tuning.facts import DataFacts, TextShape

__all__ = ["choose", "equals_learn_more", "label_queries", "labels_may_ask"]

MOST_LABELS_AT_ONCE = 4_096
"""Up to here all labels are scored in each step."""

LEAST_STEPS = 200

LEAST_ROWS_OF_EQUALS = 5_000
"""From here on twice the passes at twice the rate; of 3,913 rows they lost 1.4 points of P@1."""

LEAST_ROWS_BESIDE_LABELS = 5_000
"""Of fewer rows label queries cost 1.6 points of P@1 on one data set and gained 0.8 on another."""

SHARED_TEXTS = 0.1
"""Share of the labels that have the text of another, from which on a text is no name."""

BOTH_WAYS = 0.5
"""Share of pairs that stand the other way round too, from which on a relation is one of equals."""

FEW_LABELS = 65_536
"""Up to here a batch's positives and few labels drawn uniformly are a pool that is good enough."""

MOST_LABEL_QUERIES = 4_096
"""Labels that join a batch as queries, at most, where one a row is not more."""

VIRTUAL_NEGATIVES = ((1_000, 1.0), (20_000, 0.7), (50_000, 0.6))
"""The cosine of static towers' virtual negative: below how many rows, and what it is; none for more."""


def choose(facts: DataFacts, *, accelerator: bool) -> list[Choice]:
    """The options that the facts decide; the others stay as a recipe has them by default.

    Args:
        facts: Of the training part.
        accelerator: Whether there is a device that trains a transformer in reasonable time.
    """
    static = not accelerator
    return [
        *_encoder(facts, static),
        *_objective(facts, static),
        *_negatives(facts, static),
        *_training(facts, static),
        *_label_queries(facts, static),
        *_validation(facts),
    ]


def _encoder(facts: DataFacts, static: bool) -> list[Choice]:
    kind = "static" if static else "transformer"
    device = "a CPU trains a bag of token vectors in minutes" if static else "there is an accelerator"
    queries, labels = facts.queries, facts.labels
    most, most_of_label = (512, 128) if static else (128, 64)
    chosen = [
        Choice("encoder.kind", kind, device),
        Choice("encoder.query_length", _length(queries, most), _lengths("query", queries, most)),
        Choice(
            "encoder.label_length", _length(labels, most_of_label), _lengths("label", labels, most_of_label)
        ),
    ]
    if not static:
        return chosen
    tokens = queries.total + labels.total
    pieces = max(queries.pieces_per_word, labels.pieces_per_word)
    if tokens >= 100_000 and pieces >= 1.2:
        size = min(60_000, max(2_000, tokens // 20))
        reason = f"{tokens:,} tokens of text, and a word falls into {pieces:.1f} of them"
        chosen.append(Choice("encoder.vocabulary", size, reason))
    chosen.append(_tied(facts))
    dropout = 0.2 if queries.median >= 16 and facts.num_rows < 100_000 else 0.0
    reason = f"a query has {queries.median} tokens in the middle, and there are {facts.num_rows:,} rows"
    return [
        *chosen,
        Choice("encoder.dropout", dropout, reason),
        Choice("encoder.label_dropout", 0.0, "what tells a label may be one word of its text"),
    ]


def _of_equals(facts: DataFacts) -> bool:
    """Whether what asks and what is found are of one kind, and so are read by one table of tokens."""
    return facts.both_ways >= BOTH_WAYS and facts.shared_texts < SHARED_TEXTS


def equals_learn_more(facts: DataFacts) -> bool:
    """Whether rows of equals are so many that more passes teach more: an item's neighbours teach it, too."""
    return _of_equals(facts) and facts.num_rows >= LEAST_ROWS_OF_EQUALS


def _tied(facts: DataFacts) -> Choice:
    if _of_equals(facts):
        percent = 100 * facts.both_ways
        return Choice(
            "encoder.tied", True, f"{percent:.0f} % of the pairs stand both ways: both ends read alike"
        )
    # Labels that many queries share are not worded as those queries are: one table cannot say so.
    separate = facts.num_pairs >= 20_000 or (facts.num_pairs >= 2_000 and facts.head_share >= 0.1)
    shared = f", {100 * facts.head_share:.0f} % of them of a hundredth of the labels, "
    reason = f"{facts.num_pairs:,} pairs of a query and a label{shared}" + (
        "can teach two tables of tokens" if separate else "are few for two tables of tokens"
    )
    return Choice("encoder.tied", not separate, reason)


def _objective(facts: DataFacts, static: bool) -> list[Choice]:
    skewed = facts.head_share >= 0.1 or facts.pairs_per_label >= 10
    share = (
        f"the most frequent hundredth of the labels has {100 * facts.head_share:.0f} % of the pairs, and a "
        f"label {facts.pairs_per_label:.1f}"
    )
    chosen = [Choice("objective.label_offsets", skewed, share)]
    product = next((product for rows, product in VIRTUAL_NEGATIVES if facts.num_rows < rows), None)
    if static and product is not None:
        reason = f"with {facts.num_rows:,} rows a positive is soon ahead of all labels: it must pass this too"
        chosen.append(Choice("objective.virtual_negative", product, reason))
    alike = facts.shared_texts >= SHARED_TEXTS and facts.pairs_per_label >= 2
    # Of equals a vector of its own would be an item's where it is found and not where it asks.
    if (facts.pairs_per_label >= 10 and not _of_equals(facts)) or alike:
        reason = f"a label has {facts.pairs_per_label:.0f} training pairs, which say more than its text"
        if alike:
            percent = 100 * facts.shared_texts
            reason = f"{percent:.0f} % of the labels have the text of another, from which pairs tell them"
        chosen += [
            Choice("residuals.enabled", True, reason),
            Choice("residuals.learning_rate", 0.1, "as in the recipe of YSO-FinnaTitles-24K"),
            Choice("residuals.dropout", 0.3, "as in the recipe of YSO-FinnaTitles-24K"),
        ]
    return chosen


def _negatives(facts: DataFacts, static: bool) -> list[Choice]:
    if facts.num_labels <= MOST_LABELS_AT_ONCE:
        return [Choice("negatives.mode", "all", f"{facts.num_labels:,} labels fit a step")]
    mode = Choice(
        "negatives.mode", "sampled", f"{facts.num_labels:,} labels are too many to encode each step"
    )
    if static and facts.num_labels > FEW_LABELS:  # a transformer would take as many times as long for them
        return [mode, Choice("negatives.uniform", 8_192, "few drawn of so many labels are far from a query")]
    return [mode, Choice("negatives.uniform", 512, "beside the positives of the batch")]


def _training(facts: DataFacts, static: bool) -> list[Choice]:
    rows, batch = facts.num_rows, _batch_size(facts, static)
    # Small data are learned by heart: on 2,000 rows 8 passes were better than 25 by 1.8 points of nDCG@5.
    epochs = float(min(10, max(3, round(200_000 / rows))))
    equals = static and equals_learn_more(facts)
    if equals:
        epochs *= 2
    # A handful of rows is a step or two a pass.
    epochs = max(epochs, float(math.ceil(LEAST_STEPS / max(1, rows // batch))))
    rate = (0.01 if equals else 0.005) if static else LEARNING_RATES["transformer"]
    alike = " of a relation of equals" if equals else ""
    steps = equal_batches(rows, batch)[0]
    each = "a step" if steps == 1 else f"{steps:,} steps"
    return [
        Choice("training.batch_size", batch, f"{each} for each pass over {rows:,} rows"),
        Choice("training.epochs", epochs, f"{round(epochs * steps):,} steps in all"),
        Choice(
            "training.learning_rate", rate, f"suits a {'static' if static else 'transformer'} encoder{alike}"
        ),
        Choice("training.offset_learning_rate", 0.01, "as in the recipe of Debian-Related-30K"),
    ]


def _label_queries(facts: DataFacts, static: bool) -> list[Choice]:
    few = facts.num_rows < LEAST_ROWS_BESIDE_LABELS
    batch = _batch_size(facts, static)
    if not static or few or not labels_may_ask(facts, batch):
        return []
    joined, until = label_queries(facts, batch).items()
    return [
        Choice(*joined, "as many labels for each row of a batch ask for themselves"),
        Choice(*until, "then training rows alone: they have the last word"),
    ]


def label_queries(facts: DataFacts, batch: int) -> dict[str, Any]:
    """Options of labels as queries: eight for each row of a batch in the first fifth, or fewer for longer."""
    joined = float(max(1, min(8, MOST_LABEL_QUERIES // batch, facts.num_labels // (2 * batch))))
    return {"data.label_queries": joined, "data.label_query_until": round(min(0.33, 1.6 / joined), 2)}


def labels_may_ask(facts: DataFacts, batch: int) -> bool:
    """Whether labels have texts that tell them, and are enough for twice a batch of them to be a draw."""
    return facts.shared_texts < SHARED_TEXTS and facts.num_labels >= 4 * batch


def _validation(facts: DataFacts) -> list[Choice]:
    rows = min(1_000, max(1, facts.num_rows // 6))
    return [Choice("validation.rows", rows, "held out while candidates are compared")]


def _batch_size(facts: DataFacts, static: bool) -> int:
    # A large pool is encoded once a step: twice the rows share it.
    many = facts.num_rows >= 100_000 or (static and facts.num_labels > FEW_LABELS)
    return _power_of_two(facts.num_rows / 30, 16, 1024 if many else 512)


def _length(shape: TextShape, most: int) -> int:
    """Tokens that 95 of 100 texts fit, in sixteens."""
    return min(most, max(16, -(-shape.percentile_95 // 16) * 16))


def _lengths(name: str, shape: TextShape, most: int) -> str:
    read = f", of which the first {most} are read" if shape.percentile_95 > most else ""
    return f"95 of 100 {name} texts have up to {shape.percentile_95} tokens{read}"


def _power_of_two(value: float, least: int, most: int) -> int:
    size = least
    while size * 1.5 < value and size < most:
        size *= 2
    return size
