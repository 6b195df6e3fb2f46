"""What a search tries around the rules' recipe: single changes first, then mixtures of what helped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xmc.tuning.facts import DataFacts
from xmc.tuning.rules import equals_learn_more, label_queries, labels_may_ask

__all__ = ["mixtures", "neighbours"]

Options = dict[str, Any]

_LINES = 0.05
"""The share of labels of several lines from which on each line may be a text of its own."""


def neighbours(rules: Mapping[str, Any], facts: DataFacts) -> list[Options]:
    """Changes of the rules' recipe, one idea each, the most promising first.

    Args:
        rules: All its options by dotted name.
        facts: What it was chosen by.
    """
    static = rules["encoder.kind"] == "static"
    rate, batch, epochs = (rules[f"training.{name}"] for name in ("learning_rate", "batch_size", "epochs"))
    found: list[Options] = [{"training.learning_rate": rate * 2}, {"training.learning_rate": rate / 2}]
    if equals_learn_more(facts):
        found.insert(0, {"training.epochs": epochs * 2})
    if facts.label_lines >= _LINES:
        # Where each says all of a label, as synonyms do; chunks and halves of a text are better joined.
        found.append({"data.label_texts": "lines"})
    if static:
        found.append({"encoder.tied": not rules["encoder.tied"]})
    if not equals_learn_more(facts):
        found.append({"training.epochs": epochs * 2})
    product = rules["objective.virtual_negative"]
    if product is not None:
        # A cosine: nothing is nearer than 1.
        nearer, farther = min(1.0, round(product + 0.1, 3)), round(product - 0.1, 3)
        found += [{"objective.virtual_negative": nearer}, {"objective.virtual_negative": farther}]
        if equals_learn_more(facts):
            found.append({"objective.virtual_negative": None})
    found += _label_queries(rules, facts)
    if rules["residuals.enabled"]:
        found.append({"residuals.enabled": False})
    elif not equals_learn_more(facts) and facts.pairs_per_label >= 2:
        found.append({"residuals.enabled": True, "residuals.learning_rate": 0.1, "residuals.dropout": 0.3})
    if static:
        dropouts = (0.4, 0.0) if rules["encoder.dropout"] else (0.2,)
        found += [{"encoder.dropout": dropout} for dropout in dropouts]
        found.append(
            {"encoder.vocabulary": None}
            if rules["encoder.vocabulary"]
            else {"encoder.vocabulary": min(60_000, max(2_000, facts.queries.total // 10))}
        )
    found.append({"objective.label_offsets": not rules["objective.label_offsets"]})
    found += [{"objective.scale": 30.0}, {"objective.scale": 12.0}]
    if batch > 16:
        found.append({"training.batch_size": batch // 2})
    found.append({"training.batch_size": batch * 2})
    if rules["negatives.mode"] == "sampled":
        drawn = rules["negatives.uniform"]
        found.append({"negatives.uniform": min(8_192, facts.num_labels) if drawn < 8_192 else 2_048})
    if facts.filter_pairs:
        # Trades the first places for depth, where many a text is its own label.
        found.append({"negatives.filter_pairs": "negative"})
    found.append({"training.epochs": epochs / 2})
    return [changes for changes in found if any(rules[name] != value for name, value in changes.items())]


def _label_queries(rules: Mapping[str, Any], facts: DataFacts) -> list[Options]:
    """Without labels as queries where the rules have them, or with; and with soft targets."""
    batch = rules["training.batch_size"]
    if not labels_may_ask(facts, batch):
        return []
    without = {"data.label_queries": 0.0, "data.label_query_until": 1.0, "data.co_labels": None}
    hard = without if rules["data.label_queries"] else without | label_queries(facts, batch)
    return [hard, {"data.label_queries": 2.0, "data.label_query_until": 0.33, "data.co_labels": 0.3}]


def mixtures(
    tried: Sequence[tuple[Options, float]], rules_value: float, count: int, generator: np.random.Generator
) -> list[Options]:
    """Candidates of several changes, drawn from those that did not harm alone, the better the likelier.

    Args:
        tried: Changes and what each came to.
        rules_value: Of the rules' own recipe.
        count: How many to make.
        generator: Decides.
    """
    gains = [(options, value - rules_value) for options, value in tried if options and value > rules_value]
    if len(gains) < 2:
        return []
    chances = np.array([gain for _, gain in gains])
    chances = chances / chances.sum()
    seen = [options for options, _ in tried]
    found: list[Options] = []
    for _ in range(20 * count):
        size = int(generator.integers(2, min(4, len(gains)) + 1))
        mixed: Options = {}
        for place in generator.choice(len(gains), size, replace=False, p=chances):
            # Two changes of one option do not mix: the first drawn holds.
            mixed = gains[int(place)][0] | mixed
        if mixed not in seen and mixed not in found:
            found.append(mixed)
        if len(found) == count:
            break
    return found
