"""How far new data have moved from those that a model was trained on, and whether to train again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xmc.data.dataset import Dataset
from xmc.data.manifest import SPLITS
from xmc.data.text_keys import folded, text_hashes
from xmc.errors import DataError

__all__ = ["Drift", "drift"]

_MUCH_OF_CLICKS, _MUCH_OF_WORDS, _MUCH_OF_CHANGE = 0.1, 0.1, 0.2


@dataclass(frozen=True)
class Drift:
    """What of the new data the old ones did not have. Shares are fractions of the new data's."""

    num_queries: int
    """Of the new data, training and test rows together."""
    num_clicks: int
    """Pairs of a query and a label of the new data."""
    new_queries: float
    """Share of the queries whose text no old training row has, case and white space aside."""
    new_words: float
    """Share of the queries' words, each as often as it stands, that no old training query has."""
    new_labels: float
    """Share of the labels whose uid is new."""
    gone_labels: int
    """Old labels that are not there any more."""
    clicks_on_new_labels: float
    """Share of the clicks."""
    clicks_on_untrained_labels: float
    """Share of the clicks on labels that the old data had, but without a training row."""
    moved_clicks: float
    """How differently clicks fall on the labels that both have: the total variation distance of old training
    clicks and new clicks, from 0 (alike) to 1."""
    moved_by_chance: float
    """About how large that would be, had all been drawn alike."""

    def sentences(self) -> list[str]:
        """What follows, a sentence each."""
        lines = []
        if self.clicks_on_new_labels + self.clicks_on_untrained_labels >= _MUCH_OF_CLICKS:
            lines.append(
                "many clicks go to labels without training rows: train again; until then they are found by "
                "their text, once they are in the index"
            )
        elif self.new_labels:
            lines.append("few clicks go to new labels: adding them to the index will do, without training")
        if self.gone_labels:
            lines.append(
                "old labels are gone: take them out of the index, or build it anew, without training"
            )
        if self.new_words >= _MUCH_OF_WORDS:
            lines.append(
                "queries have many new words: train again, and let static towers take them in "
                "(encoder.vocabulary)"
            )
        if self.moved_clicks - self.moved_by_chance >= _MUCH_OF_CHANGE:
            lines.append("clicks fall otherwise on the labels than they did: train again")
        if not any("train again" in line for line in lines):
            lines.append(
                "nothing here asks for training again; xmc evaluate on new test rows tells what the model is "
                "worth on them"
            )
        return lines

    def table(self) -> str:
        """Figures and sentences as lines of text."""
        rows = [
            ("new query texts", f"{_percent(self.new_queries)} of {self.num_queries:,} queries"),
            ("new words", f"{_percent(self.new_words)} of the words in queries"),
            (
                "new labels",
                f"{_percent(self.new_labels)} of the labels; {self.gone_labels:,} old ones are gone",
            ),
            ("clicks on new labels", f"{_percent(self.clicks_on_new_labels)} of {self.num_clicks:,} clicks"),
            ("on old, untrained labels", f"{_percent(self.clicks_on_untrained_labels)} of the clicks"),
            (
                "clicks moved",
                f"{_percent(self.moved_clicks)} among labels that both have "
                f"({_percent(self.moved_by_chance)} by chance alone)",
            ),
            *(("so", line) for line in self.sentences()),
        ]
        width = max(len(what) for what, _ in rows)
        return "\n".join(f"{what:<{width}}  {value}" for what, value in rows)


def drift(old: Dataset | str | Path, new: Dataset | str | Path) -> Drift:
    """Compare the rows of ``new``, training and test, with the training rows of ``old``.

    Labels are the same where their uid is; words are runs of letters and digits.

    Raises:
        DataError: When one is no prepared data set, ``old`` has no training rows or ``new`` no rows.
    """
    old, new = (one if isinstance(one, Dataset) else Dataset.load(one) for one in (old, new))
    num_queries = new.num_train + new.num_test
    if not old.num_train or not num_queries:
        which = old if not old.num_train else new
        raise DataError(f"{which.name}: expected rows to compare, got none: import clicks")
    hashes = np.concatenate([text_hashes(new.texts(split)) for split in SPLITS])
    known = {word for text in old.texts("train") for word in _words(text)}
    words = (word for split in SPLITS for text in new.texts(split) for word in _words(text))
    met = np.fromiter((word in known for word in words), bool)
    uids = {uid: label for label, uid in enumerate(old.uids("labels"))}
    same = np.fromiter((uids.get(uid, -1) for uid in new.uids("labels")), np.int64, new.num_labels)
    before = np.bincount(old.relevance("train").indices, minlength=old.num_labels).astype(np.float64)
    after = sum(np.bincount(new.relevance(split).indices, minlength=new.num_labels) for split in SPLITS)
    clicks = np.asarray(after, dtype=np.float64)
    both = np.flatnonzero(same >= 0)
    trained = before[same[both]]
    return Drift(
        num_queries=num_queries,
        num_clicks=int(clicks.sum()),
        new_queries=float(1 - np.isin(hashes, text_hashes(old.texts("train"))).mean()),
        new_words=float(1 - met.mean()) if len(met) else 0.0,
        new_labels=1 - len(both) / max(new.num_labels, 1),
        gone_labels=old.num_labels - len(np.unique(same[both])),
        clicks_on_new_labels=_share(clicks[same < 0].sum(), clicks.sum()),
        clicks_on_untrained_labels=_share(clicks[both][trained == 0].sum(), clicks.sum()),
        moved_clicks=_distance(trained, clicks[both]),
        moved_by_chance=_chance(trained, clicks[both]),
    )


def _words(text: str) -> Iterator[str]:
    return (match[0] for match in re.finditer(r"\w+", folded(text)))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation: half the summed differences of two distributions; 0 where one is empty."""
    if not one.sum() or not other.sum():
        return 0.0
    return float(np.abs(one / one.sum() - other / other.sum()).sum() / 2)


def _chance(one: np.ndarray, other: np.ndarray) -> float:
    """About the distance that two samples of these sizes from one distribution have.

    For each label the mean absolute difference of two shares, normal where it is clicked often and bounded by
    the sum of both where it is not.
    """
    if not one.sum() or not other.sum():
        return 0.0
    share = (one + other) / (one.sum() + other.sum())
    spread = np.sqrt(2 / np.pi * share * (1 - share) * (1 / one.sum() + 1 / other.sum()))
    return float(np.minimum(spread, 2 * share).sum() / 2)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
