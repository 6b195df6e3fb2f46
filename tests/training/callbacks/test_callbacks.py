"""Hooks of one's own: when they are called, what they may ask, what a checkpoint keeps of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch.distributed as dist
import yaml

from tests.distributed.ranks import Ranks
from tests.training.test_world import as_rank
from xmc.distributed import World
from xmc.errors import ConfigError, XMCError
from xmc.training import Callback, TrainConfig, train
from xmc.training.callbacks import Callbacks
from xmc.training.run.interrupt import InterruptGuard, Verdict

RECORD = '''
from xmc.training import Callback

class Record(Callback):
    """Writes what it hears; counts steps over resumed runs."""

    def __init__(self, to, word="step"):
        self.to, self.word, self.steps = to, word, 0

    def say(self, text):
        with open(self.to, "a") as file:
            print(text, file=file)

    def on_start(self, run):
        self.say(f"start {run.step} of {run.num_steps}")

    def before_step(self, run):
        self.say(f"before {run.step}")

    def after_step(self, run, result):
        self.steps += 1
        self.say(f"{self.word} {run.step} {self.steps} {result.loss.item() > 0}")

    def after_validation(self, run, metrics):
        self.say(f"validation {run.step} {sorted(metrics)[:2]}")

    def on_save(self, run, path):
        self.say(f"save {path.relative_to(run.folder)}")

    def on_end(self, run, error):
        self.say(f"end {run.step} {type(error).__name__}")

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]

ready = Record("ready.txt")
not_one = 3
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a callback, in the folder that the run is started in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(RECORD, encoding="utf-8")
    return tmp_path / "mine.py"


def named(**options: object) -> list[dict[str, object]]:
    return [{"name": "./mine.py:Record", "options": {"to": "heard.txt", **options}}]


def test_a_recipe_names_a_callback_and_it_hears_everything_in_order(config, changed, mine, tmp_path):
    from xmc.cli.config import load_train_config

    short = changed(config, training={"max_steps": 3, "checkpoint_every": 2}, validation={"every": 2})
    recipe = tmp_path / "recipe.yaml"
    saved = yaml.safe_load(yaml.safe_dump(_plain(short)))
    saved["training"]["callbacks"] = named(word="took")
    recipe.write_text(yaml.safe_dump(saved), encoding="utf-8")
    result = train(load_train_config([str(recipe)]))
    assert (tmp_path / "heard.txt").read_text().splitlines() == [
        "start 0 of 3",
        "validation 0 ['P@1', 'P@3']",
        "before 0",
        "took 1 1 True",
        "before 1",
        "took 2 2 True",
        "save model",
        "validation 2 ['P@1', 'P@3']",
        "save checkpoints/step-00000002",
        "before 2",
        "took 3 3 True",
        "save model",
        "validation 3 ['P@1', 'P@3']",
        "save last",
        "end 3 NoneType",
    ]
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert written["training"]["callbacks"] == named(word="took")
    [plugin] = json.loads((tmp_path / "run" / "result.json").read_text())["plugins"]
    assert (
        plugin["name"] == "./mine.py:Record" and plugin["file"] == str(mine) and len(plugin["sha256"]) == 64
    )
    assert result.plugins == [plugin] and result.num_steps == 3


def _plain(config: TrainConfig) -> dict[str, object]:
    import dataclasses

    return dataclasses.asdict(config)


def test_state_goes_on_with_a_resumed_run_and_the_end_is_told_of(
    config, changed, mine, tmp_path, monkeypatch
):
    cut = changed(config, training={"max_steps": 5, "callbacks": named()}, validation={"rows": 0})
    asked = iter([Verdict.GO_ON] * 3 + [Verdict.INTERRUPT])
    monkeypatch.setattr(InterruptGuard, "agree", lambda self, wish: next(asked, Verdict.GO_ON))
    with pytest.raises(KeyboardInterrupt):
        train(cut)
    heard = (tmp_path / "heard.txt").read_text().splitlines()
    assert heard[-2:] == ["save checkpoints/step-00000003", "end 3 Interrupted"]
    train(changed(cut, run={"resume": True}))
    heard = (tmp_path / "heard.txt").read_text().splitlines()
    assert "start 3 of 5" in heard and "step 5 5 True" in heard and heard[-1] == "end 5 NoneType"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("./mine.py:Recorder", "did you mean 'Record'"),
        ("./mine.py:Record", r"training.callbacks: ./mine.py:Record needs to: give it as \{name"),
        (
            {"name": "./mine.py:Record", "options": {"wird": 1, "to": "x"}},
            "no option 'wird': did you mean 'word'",
        ),
        ("./mine.py:not_one", "expected ./mine.py:not_one to make an xmc.training.Callback, got int"),
        ("<python>:mine.Record", "was given by a script"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(config, changed, mine, part, message):
    from xmc.training.parts import PartConfig

    parts = [PartConfig(**part) if isinstance(part, dict) else part]
    with pytest.raises(ConfigError, match=message):
        train(changed(config, training={"callbacks": parts}))


def test_a_name_that_is_no_reference_is_refused_at_once(config, changed):
    with pytest.raises(ConfigError, match="training.callbacks: expected package.module:name or"):
        changed(config, training={"callbacks": ["mine"]})


class Fails(Callback):
    """Fails in one hook, and hears of the end."""

    def __init__(self, hook: str) -> None:
        self.ended: list[str] = []
        setattr(self, hook, self.fail)

    def fail(self, *given: object) -> None:
        raise ZeroDivisionError("no steps")

    def on_end(self, run, error):
        self.ended.append(type(error).__name__)


@pytest.mark.parametrize("hook", ["on_start", "after_step", "after_validation", "on_save"])
def test_an_error_ends_the_run_with_the_callbacks_name(config, changed, hook):
    callback = Fails(hook)
    place = r"at .*test_callbacks.py:\d+: ZeroDivisionError: no steps"
    expected = rf"callback Fails: {hook} failed after step \d, {place}"
    with pytest.raises(XMCError, match=expected):
        train(changed(config, training={"max_steps": 1}), callbacks=[callback])
    assert callback.ended == ["XMCError"]
    assert not (Path(config.run.dir) / "result.json").exists()


def test_an_error_at_the_end_is_the_runs(config, changed):
    with pytest.raises(XMCError, match="callback Fails: on_end failed after step 1"):
        train(changed(config, training={"max_steps": 1}), callbacks=[Fails("on_end")])


class Stops(Callback):
    """Asks to stop after a step, on one rank or on all."""

    def __init__(self, step: int, rank: int | None = None) -> None:
        self.step, self.rank = step, rank

    def after_step(self, run, result):
        if run.step == self.step and self.rank in (None, run.world.rank):
            run.stop(f"rank {run.world.rank} had enough")


def test_a_stop_ends_as_a_last_step_does(config, changed, tmp_path, capsys):
    result = train(changed(config, training={"epochs": 2}), callbacks=[Stops(4)])
    assert result.num_steps == 4 and result.best_step == 4 and result.stopped == "rank 0 had enough"
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "validation" in line] == [0, 4]
    assert "stopped after step 4 of 14: rank 0 had enough" in capsys.readouterr().out


def stopped_on_ranks(config: TrainConfig) -> tuple[int, str | None]:
    result = as_rank(lambda: train(config, callbacks=[Stops(3, rank=dist.get_world_size() - 1)]))
    return result.num_steps, result.stopped


def test_one_ranks_wish_ends_all(config, changed, tmp_path, ranks: Ranks):
    short = changed(config, training={"epochs": 2}, run={"dir": str(tmp_path / "two")})
    assert ranks.run(stopped_on_ranks, short, size=2, seconds=120) == [(3, "rank 1 had enough")] * 2


def test_what_a_script_gives_is_named_in_the_recipe(config, changed, dataset, tmp_path):
    result = train(changed(config, training={"max_steps": 1}), callbacks=[Stops(9)], dataset=dataset)
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    name = f"<python>:{__name__}.Stops"
    assert written["training"]["callbacks"] == [{"name": name, "options": {}}]
    assert result.plugins[0]["name"] == name and result.plugins[0]["file"] == str(Path(__file__).resolve())
    assert "handed over by a script" in (tmp_path / "run" / "model" / "README.md").read_text()
    with pytest.raises(ConfigError, match="expected objects of classes derived from xmc.training.Callback"):
        train(config, callbacks=[Stops])  # type: ignore[list-item]


def test_names_tell_callbacks_apart_and_states_are_json():
    with pytest.raises(ConfigError, match="Stops more than once"):
        Callbacks([Stops(1), Stops(2)])

    class Odd(Callback):
        def state_dict(self):
            return {"world": World()}

    with pytest.raises(XMCError, match="callback Odd: expected its state_dict to hold numbers"):
        Callbacks([Odd()]).state_dict()


def test_state_of_a_callback_that_is_gone_is_told_of(capsys):
    Callbacks([Stops(1)]).load({"Gone": {"a": 1}}, {})
    assert "state of callbacks this run has not: Gone" in capsys.readouterr().out


def test_the_schedule_ends_with_the_last_of_max_steps(config, changed):
    train(changed(config, training={"max_steps": 10}))
    lines = [json.loads(line) for line in (Path(config.run.dir) / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == 10 and steps[-1]["epoch"] == round(4 * 10 / 28, 4)
    assert steps[-1]["learning_rate"] == pytest.approx(0.1 / 9)
    longer = replace(config.training, max_steps=100)
    assert train(changed(replace(config, training=longer), run={"overwrite": True})).num_steps == 28
