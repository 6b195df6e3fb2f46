"""A step of a transformer on torch's meta device, whose tensors have shapes and no numbers.

What asks a tensor for its number would make a step on a GPU wait for it, and fails here unless it is listed;
so does what brings together tensors of two devices, and what takes a tensor off its device. What is copied to
the device goes by `xmc.distributed.world.to_device`, through page-locked memory: the host waits for no copy.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from benchmarks.gpu_steps import StepCase, step_inputs_of
from tests.fixtures.tiny_models import tiny_distilbert
from xmc.distributed.world import to_device
from xmc.encoders import micro_batches
from xmc.encoders.text_groups import MOST_GROUPS
from xmc.encoders.unpadded import layers_of, use_unpadded
from xmc.objectives import build_objective
from xmc.objectives.classes.boundaries import nearest_boundaries
from xmc.objectives.margins.config import MarginConfig
from xmc.objectives.margins.margin import with_margin
from xmc.scoring import LabelShard
from xmc.training import step as training_step
from xmc.training.batches import LabelMemory, MemoryConfig
from xmc.training.batches.batch import Moment
from xmc.training.config import TrainConfig
from xmc.training.learned.learner import parameter_groups
from xmc.training.learned.optimisers.adamw import AdamW
from xmc.training.step import StepInputs, accumulate_gradients, optimise

META = torch.device("meta")
ONCE = {("tiled.py", "__post_init__"): 1, ("objective.py", "refuse_non_finite"): 1}
"""Functions of ours that read a number in a step, however many micro-batches it has, and how many.

The first is of tiles, which have the scale as a number; the second does not ask a GPU.
"""

Place = tuple[str, str]


def place_of(frames: traceback.StackSummary) -> Place:
    """File and function of the innermost frame outside torch and this file."""
    own = [f for f in frames if f.filename != __file__ and "/torch/" not in f.filename]
    return Path(own[-1].filename).name, own[-1].name


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[Place]]:
    """Where tensors of the meta device were asked for numbers; they answer as those of a step would."""
    found = Counter[Place]()

    def asked(name: str, answer: Callable[[torch.Tensor, str], Any]) -> None:
        original = getattr(torch.Tensor, name)

        def read(self: torch.Tensor, *arguments: Any) -> Any:
            if self.device != META:
                return original(self, *arguments)
            frames = traceback.extract_stack()[:-1]
            found[place_of(frames)] += 1
            return answer(self, frames[-1].line or "")

        monkeypatch.setattr(torch.Tensor, name, read)

    asked("tolist", lambda tensor, line: [0] * tensor.numel())
    # "is any wrong?" no; "are all real?" yes.
    asked("__bool__", lambda tensor, line: ".any()" not in line)
    for name, number in (("item", 1.0), ("__float__", 1.0), ("__int__", 1)):
        asked(name, lambda tensor, line, number=number: number)
    autocast = torch.autocast
    monkeypatch.setattr(
        torch, "autocast", lambda kind, *a, **k: nullcontext() if kind == "meta" else autocast(kind, *a, **k)
    )
    # A generator has no place on a device without numbers.
    monkeypatch.setattr(training_step, "seed_torch", lambda *_: None)
    monkeypatch.setattr(micro_batches, "_random_state", lambda device: [])
    monkeypatch.setattr(micro_batches, "_set_random_state", lambda device, states: None)
    yield found


class Copies(TorchDispatchMode):
    """Where something was copied to the meta device other than by `to_device`: a copy that is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.by_hand = Counter[Place]()
        self.by_helper = 0
        self.patch = pytest.MonkeyPatch()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        found = func(*args, **given)
        taken = [x for x in tree_flatten((args, given))[0] if isinstance(x, torch.Tensor)]
        made = [x for x in tree_flatten(found)[0] if isinstance(x, torch.Tensor)]
        # A number that torch made a tensor of travels with what is launched; it has no dimension.
        moved = func is torch.ops.aten._to_copy.default or any(x.ndim for x in taken)
        host = any(x.device.type == "cpu" for x in taken)
        if host and moved and any(x.device == META for x in [*taken, *made]):
            self.note(traceback.extract_stack()[:-1])
        return found

    def note(self, frames: traceback.StackSummary) -> None:
        if (place := place_of(frames)) == ("world.py", "to_device"):
            self.by_helper += 1
        else:
            self.by_hand[place] += 1

    def __enter__(self) -> Copies:
        # Within the block alone: transformers asks torch for its functions when it makes a model.
        for name in ("tensor", "as_tensor"):
            self.patch.setattr(torch, name, self.watched(getattr(torch, name)))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.patch.undo()

    def watched(self, original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """Of those that make a tensor on the host and copy it, which no operation shows."""

        def made(data: Any, *arguments: Any, **options: Any) -> torch.Tensor:
            found = original(data, *arguments, **options)
            if found.device == META and not (isinstance(data, torch.Tensor) and data.device == META):
                self.note(traceback.extract_stack()[:-1])
            return found

        return made


@pytest.fixture
def copies() -> Copies:
    """To be entered around what is watched."""
    return Copies()


def step_on_meta(folder: Path, tokens: int) -> StepInputs:
    small = StepCase("miniature", 60, batch=32, labels=300, rows=200, tokens=8, micro_batch_tokens=tokens)
    inputs = step_inputs_of(small, "cpu", folder)
    for module in (inputs.learner.encoder, inputs.learner.parameters):
        module.to("meta")
    return replace(inputs, device=META)


def test_a_step_stays_on_its_device_and_asks_for_few_numbers(tmp_path: Path, reads: Counter[Place]) -> None:
    found = []
    for tokens in (256, 64):
        inputs = step_on_meta(tmp_path / str(tokens), tokens)
        batch = inputs.batches.next(Moment(0, 0, inputs.frozen, inputs.learner.parameters))
        reads.clear()
        loss, embeddings = accumulate_gradients(inputs, batch)
        assert loss.device == embeddings.device == META
        gradients = [p.grad for p in inputs.learner.encoder.parameters() if p.grad is not None]
        assert len(gradients) > 30 and all(gradient.device == META for gradient in gradients)
        # Of transformers too: it would ask of a padded batch whether its mask masks anything.
        assert batch.pool.masked is not None and reads == ONCE, reads
        found.append(Counter(reads))
    few, many = found
    assert few == many, "no number is read for each micro-batch"


def test_a_whole_step_asks_for_no_more_with_the_optimiser_and_the_norm(
    tmp_path: Path, reads: Counter[Place], copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_step, "_runs_behind", lambda device: device == META)
    inputs = step_on_meta(tmp_path, 256)
    learner = inputs.learner
    groups = parameter_groups([*learner.encoder.parameters()], learner.parameters, inputs.config.training)
    inputs = replace(inputs, learner=replace(learner, optimisers={"adamw": AdamW(groups)}))
    for step in range(2):
        reads.clear()
        with copies:
            result = optimise(inputs, step)
        assert reads == ONCE, reads
        assert not copies.by_hand, copies.by_hand
    assert result.norm is not None and result.skipped is None
    assert reads.keys() - ONCE.keys() == {("world.py", "__float__")}, "it is read where it is asked for"


@dataclass(frozen=True)
class RaggedTokens:
    """Texts of as many tokens as ``lengths`` says, some of none."""

    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.lengths)

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = self.lengths[rows]
        return np.full(lengths.sum(), 5, dtype=np.int32), np.concatenate([[0], lengths.cumsum()])


@pytest.mark.parametrize("distilbert", [False, True], ids=["bert", "distilbert"])
def test_texts_of_many_lengths_are_asked_for_none(
    distilbert: bool, tmp_path: Path, reads: Counter[Place], copies: Copies
) -> None:
    inputs = step_on_meta(tmp_path, 64)
    module: Any = inputs.learner.encoder.query_tower.modules[0]
    if distilbert:
        module.model = tiny_distilbert(1_000, inputs.learner.encoder.dimension).to(META)
        assert use_unpadded(module)
    groups: list[int] = []
    layers_of(module.model)[0].register_forward_pre_hook(
        lambda module, given, options: groups.append(len(options["text_groups"].shapes)), with_kwargs=True
    )
    drawn = np.random.default_rng(0)
    queries, labels = (RaggedTokens(drawn.integers(0, 20, size=n)) for n in (200, 300))
    inputs = replace(inputs, queries=queries, labels=labels, config=with_micro_batches(inputs.config, 400))
    batch = inputs.batches.next(Moment(0, 0, inputs.frozen, inputs.learner.parameters))
    reads.clear()
    with copies:
        accumulate_gradients(inputs, batch)
    assert reads == ONCE, reads
    assert not copies.by_hand, copies.by_hand
    assert 1 < max(groups) <= MOST_GROUPS


def with_micro_batches(config: TrainConfig, tokens: int) -> TrainConfig:
    return replace(config, training=replace(config.training, micro_batch_tokens=tokens))


def test_a_read_of_padded_texts_is_seen(tmp_path: Path, reads: Counter[Place]) -> None:
    inputs = step_on_meta(tmp_path, 256)
    inputs.learner.encoder.query_tower.unpadded = False
    batch = inputs.batches.next(Moment(0, 0, inputs.frozen, inputs.learner.parameters))
    reads.clear()
    accumulate_gradients(inputs, batch)
    assert any(file == "masking_utils.py" for file, _ in reads), reads


@pytest.mark.parametrize("kind", ["plain", "elastic arcface", "weights", "labels kept"])
def test_no_copy_to_the_device_is_waited_for(
    kind: str, tmp_path: Path, reads: Counter[Place], copies: Copies
) -> None:
    inputs = step_on_meta(tmp_path, 256)
    batch = inputs.batches.next(Moment(0, 0, inputs.frozen, inputs.learner.parameters))
    if kind == "elastic arcface":
        margin = MarginConfig("arcface", size=0.2, deviation=0.05)
        inputs = replace(inputs, objective=with_margin(build_objective("softmax"), margin, seed=0))
    if kind == "weights":
        batch = replace(batch, weights=np.ones(len(batch.queries), dtype=np.float32))
    if kind == "labels kept":
        kept = np.ones((300, inputs.learner.encoder.dimension), dtype=np.float32)
        inputs = replace(inputs, frozen=replace(inputs.frozen, kept=kept))
    with copies:
        accumulate_gradients(inputs, batch)
    assert not copies.by_hand, copies.by_hand
    assert copies.by_helper > 5


@pytest.mark.parametrize(
    "copy",
    [
        lambda: torch.ones(3).to(META),
        lambda: torch.from_numpy(np.ones(3)).to(META, torch.float32),
        lambda: torch.ones(3, device=META).copy_(torch.ones(3)),
        lambda: torch.tensor([1, 2], device=META),
        lambda: torch.tensor(1.0, device=META),
        lambda: torch.as_tensor(0.5, device=META),
        lambda: torch.ones(3, device=META)[torch.tensor([0, 2])],
    ],
)
def test_a_copy_that_is_waited_for_is_seen(copy: Callable[[], torch.Tensor], copies: Copies) -> None:
    with copies:
        copy()
    assert sum(copies.by_hand.values()) == 1 and copies.by_helper == 0


@pytest.mark.parametrize("sample", [None, 10])
def test_a_label_memory_waits_for_no_copy(sample: int | None, copies: Copies) -> None:
    memory = LabelMemory(MemoryConfig(enabled=True, sample=sample), 30, 4, device=META)
    memory.written[:] = 0
    with copies:
        frozen = memory.frozen(np.array([2, 3, 7]), 0, 0, offsets=torch.zeros(30, device=META))
    assert frozen.log_weights is not None and frozen.log_weights.device == META
    assert copies.by_helper > 0 and not copies.by_hand, copies.by_hand


def test_tiles_of_boundaries_are_asked_about_once(reads: Counter[Place], copies: Copies) -> None:
    means, own, labels = (torch.ones(*shape, device=META) for shape in ((5, 3), (5, 4), (40, 4)))
    excluded = torch.zeros(6, dtype=torch.int64, device=META), torch.zeros(6, dtype=torch.int64, device=META)
    with copies:
        nearest_boundaries(means, own, labels, excluded, LabelShard.whole(40), memory_bytes=4 * 4 * 5 * 8)
    assert copies.by_helper == 1 and not copies.by_hand, copies.by_hand
    assert reads == {("boundaries.py", "nearest_boundaries"): 1}


def test_a_copy_through_page_locked_memory_is_told_apart(copies: Copies) -> None:
    with copies:
        to_device(np.arange(3), META)
        torch.ones(3, device=META) * 2.0 + torch.ones(3, device=META).sum()
    assert copies.by_helper == 1 and not copies.by_hand


def test_a_number_that_is_read_is_seen(tmp_path: Path, reads: Counter[Place]) -> None:
    def reading() -> float:
        return float(torch.ones(2, device=META).sum())

    assert reading() == 1.0 and sum(reads.values()) == 1


def test_two_devices_in_one_operation_are_refused() -> None:
    with pytest.raises(RuntimeError, match="device"):
        torch.ones(2, device=META) + torch.ones(2)
