"""Label sources that a recipe names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.distributed.ranks import Ranks
from tests.runs import logged, losses
from tests.training.test_world import train_as_rank
from xmc.errors import ConfigError
from xmc.training import Trainer, train
from xmc.training.run.interrupt import InterruptGuard, Verdict

SOURCES = '''
import numpy as np
import scipy.sparse as sp
import torch
from xmc.training.batches import BatchSource

class Thirds:
    """One of three sets of labels, each as likely."""

    def __init__(self, num_labels, seed, more=0.0):
        self.inclusion, self.seed = np.full(num_labels, 1 / 3 + more), seed

    def add_to(self, included, batch_index):
        included[int(np.random.default_rng((self.seed, batch_index)).integers(3)) :: 3] = True

class Short(Thirds):
    def __init__(self, num_labels):
        self.inclusion = np.ones(num_labels - 1)

class Counter(BatchSource):
    """Counts batches, over resumed runs too."""

    name = "counter"

    def __init__(self, batch_size, world):
        self.count, self.world, self.batch_size = 0, world, batch_size

    def after(self, batch, embeddings, moment):
        start, stop = self.world.shard(len(batch.pool.label_ids))
        assert len(embeddings) == stop - start and len(batch.queries) == self.batch_size
        self.count += 1

    def metrics(self, batch_index, step):
        return {"count": self.count}

    def state_dict(self):
        return {"count": self.count}

    def load(self, state, tensors):
        self.count = state["count"]

class Sampler(Counter):
    name = "sampler"

class Neighbour(BatchSource):
    """Each query brings one label that is not its own."""

    name = "neighbour"

    def __init__(self, relevance):
        rows, labels = relevance.shape
        columns = np.arange(rows) % labels
        pairs = sp.csr_matrix((np.ones(rows, dtype=bool), (np.arange(rows), columns)), shape=relevance.shape)
        own = relevance.astype(bool)
        self.pairs = sp.csr_matrix(pairs > pairs.multiply(own))

    def brought(self, epoch):
        return self.pairs

class Outside(BatchSource):
    name = "outside"

    def outside(self, pool, moment):
        return None

class Neither:
    name = "neither"

def broken():
    raise KeyError("nothing")

class Late(Thirds):
    def add_to(self, included, batch_index):
        raise IndexError("no such label")

class Unready(Neighbour):
    def brought(self, epoch):
        return self.pairs.nothing_of_that_name
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of label sources, named by its whole path as ranks work elsewhere."""
    (tmp_path / "mine.py").write_text(SOURCES, encoding="utf-8")
    return str(tmp_path / "mine.py")


def test_a_draw_joins_the_pools_with_its_probabilities(config, changed, mine, tmp_path):
    plain = Trainer(config)
    joined = Trainer(
        changed(config, run={"dir": str(tmp_path / "two")}, negatives={"sources": [f"{mine}:Thirds"]})
    )
    np.testing.assert_allclose(
        1 - joined.batches.pools.inclusion, (1 - plain.batches.pools.inclusion) * 2 / 3
    )
    result = joined.fit()
    assert result.validation["P@1"] > 15 and result.plugins[0]["name"] == f"{mine}:Thirds"


def test_a_source_is_asked_logged_and_resumed(config, changed, mine, tmp_path, monkeypatch):
    own = changed(
        config,
        negatives={"sources": [f"{mine}:Counter", f"{mine}:Neighbour"]},
        training={"max_steps": 8},
        validation={"rows": 0},
    )
    train(own)
    assert [line["counter"] for line in logged(own.run.dir)] == [{"count": step} for step in range(1, 9)]
    cut = changed(own, run={"dir": str(tmp_path / "cut")})
    asked = iter([Verdict.GO_ON] * 5 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    train(changed(cut, run={"resume": True}))
    assert losses(cut.run.dir) == losses(own.run.dir)
    assert logged(cut.run.dir)[-1]["counter"] == {"count": 8}


def test_ranks_draw_alike(config, changed, mine, tmp_path, ranks: Ranks):
    own = changed(
        config,
        negatives={"sources": [f"{mine}:Thirds", f"{mine}:Counter", f"{mine}:Neighbour"]},
        encoder={"dropout": 0.0},
        training={"max_steps": 6},
    )
    train(own)
    shared = changed(own, run={"dir": str(tmp_path / "two")})
    ranks.run(train_as_rank, shared, size=2, seconds=120)
    np.testing.assert_allclose(losses(shared.run.dir), losses(own.run.dir), rtol=1e-4)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Third", "negatives.sources: .*did you mean 'Thirds'"),
        ({"name": "Thirds", "options": {"mor": 1}}, "has no option 'mor': did you mean 'more'"),
        (
            {"name": "Thirds", "options": {"more": 1.0}},
            r"expected inclusion probabilities in \[0, 1\], got 1.33",
        ),
        ("Short", r"expected inclusion as one float per label \[40\], got float64 \[39\]"),
        ("Neither", "got Neither, which lacks draws, before, extend"),
        ("Sampler", "a name that no other source has, got 'sampler'"),
        ("broken", r"broken failed at .*mine.py:\d+: KeyError: 'nothing'"),
    ],
)
def test_a_source_that_is_none_is_told_why(config, changed, mine, source, message):
    part = source if isinstance(source, dict) else {"name": source}
    part = {**part, "name": f"{mine}:{part['name']}"}
    with pytest.raises(ConfigError, match=message):
        Trainer(changed(config, negatives={"sources": [part]}))


@pytest.mark.parametrize(
    ("source", "line", "error"),
    [
        ("Late", '        raise IndexError("no such label")', "IndexError: no such label"),
        ("Unready", "        return self.pairs.nothing_of_that_name", "AttributeError: "),
    ],
)
def test_what_a_source_raises_in_a_step_is_told_with_its_line(config, changed, mine, source, line, error):
    place = f"{mine}:{1 + SOURCES.splitlines().index(line)}"
    with pytest.raises(ConfigError) as told:
        train(changed(config, negatives={"sources": [f"{mine}:{source}"]}))
    assert str(told.value).startswith(f"negatives.sources: {mine}:{source} failed at {place}: {error}")


@pytest.mark.parametrize(
    ("source", "given"),
    [("Thirds", "a draw"), ("Neighbour", "labels that queries bring"), ("Outside", "outside")],
)
def test_mode_all_has_no_use_for_labels(config, changed, mine, source, given):
    everything = changed(config, negatives={"mode": "all", "sources": [f"{mine}:{source}"]})
    with pytest.raises(ConfigError, match=f"expected negatives.mode 'sampled' with .*{given}.*, got 'all'"):
        Trainer(everything)
    counting = changed(everything, negatives={"sources": [f"{mine}:Counter"]})
    assert Trainer(counting).batches.sources[0].name == "counter"


def test_the_objective_must_be_able_to_weigh_them(config, changed, mine):
    other = changed(
        config, objective={"name": "taylor_softmax"}, negatives={"sources": [f"{mine}:Neighbour"]}
    )
    with pytest.raises(ConfigError, match="which taylor_softmax cannot weigh by row"):
        Trainer(other)
    Trainer(changed(other, negatives={"corrected": False}))
    unjoined = changed(config, objective={"name": "soft_top_k"}, negatives={"sources": [f"{mine}:Outside"]})
    with pytest.raises(ConfigError, match="whose part soft_top_k cannot join"):
        Trainer(unjoined)


def test_labels_outside_the_pool_do_not_know_which_positives_a_row_keeps(config, changed, mine):
    some = changed(config, negatives={"positives": 1, "sources": [f"{mine}:Outside"]})
    with pytest.raises(ConfigError, match="negatives.positives: expected null with .*:Outside, which gives"):
        Trainer(some)
    Trainer(changed(some, negatives={"sources": [f"{mine}:Neighbour"]}))
