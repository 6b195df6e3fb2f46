from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from xmc.cli.config import load_train_config, train_parser
from xmc.errors import ConfigError
from xmc.training import TrainConfig

REQUIRED = ["--data.path", "d", "--run.dir", "r"]


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_options_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    recipe = write(
        tmp_path, "seed: 3\ndata: {path: d}\nrun: {dir: r}\ntraining: {epochs: 2, learning_rate: 1e-3}\n"
    )
    config = load_train_config([recipe, "--training.epochs", "4", "--data.path", "e"])
    assert isinstance(config, TrainConfig)
    assert (config.seed, config.data.path, config.run.dir) == (3, "e", "r")
    assert (config.training.epochs, config.training.learning_rate) == (4.0, 1e-3)
    defaults = load_train_config(REQUIRED)
    assert config.encoder == defaults.encoder
    assert config.training.batch_size == defaults.training.batch_size


def test_values_are_yaml(tmp_path: Path) -> None:
    config = load_train_config(
        [
            *REQUIRED,
            "--training.clip_norm",
            "null",
            "--data.query_fields",
            "[title, content]",
            "--encoder.tied",
            "false",
        ]
    )
    assert config.training.clip_norm is None
    assert config.data.query_fields == ["title", "content"]
    assert config.encoder.tied is False


def test_a_written_config_reads_back(tmp_path: Path) -> None:
    config = load_train_config([*REQUIRED, "--training.clip_norm", "null", "--seed", "7"])
    recipe = write(tmp_path, yaml.safe_dump(dataclasses.asdict(config)))
    assert load_train_config([recipe]) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training: {epoch: 3}", "unknown key 'training.epoch': did you mean 'training.epochs'?"),
        ("learning_rate: 3", "unknown key 'learning_rate': did you mean 'training.learning_rate'?"),
        ("trainin: {epochs: 3}", "unknown key 'trainin.epochs': did you mean 'training.epochs'?"),
        ("zzz: 3", "unknown key 'zzz'"),
        ("training: 3", "'training': expected a section of keys, got 3"),
        ("training:", "'training': expected a section of keys, got None"),
        ("- 3", "expected a mapping of sections such as `training:`, got list"),
        ("a: [", "expected YAML"),
    ],
)
def test_a_recipe_that_is_wrong_names_file_and_key(tmp_path: Path, text: str, expected: str) -> None:
    recipe = write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_train_config([recipe, *REQUIRED])
    assert str(error.value).startswith(f"{recipe}: {expected}") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--seed", "x", *REQUIRED], "seed: expected int, got 'x'"),
        (["--training.epochs", "many", *REQUIRED], "training.epochs: expected float, got 'many'"),
        (["--training.clip_norm", "x", *REQUIRED], "training.clip_norm: expected float or null, got 'x'"),
        (
            ["--encoder.kind", "statik", *REQUIRED],
            "encoder.kind: expected one of ['auto', 'transformer', 'static'], got 'statik'",
        ),
        (
            ["--trainin.epochs", "3", *REQUIRED],
            "unknown option --trainin.epochs: did you mean --training.epochs?",
        ),
        (["--training.epochs", "-1", *REQUIRED], "training.epochs: expected a number above 0"),
        (["--seed", "1"], "--data.path and --run.dir must be given"),
        (["nope.yaml"], "nope.yaml: expected a YAML recipe, but there is no such file"),
    ],
)
def test_a_wrong_option_is_one_line(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_train_config(words)
    assert str(error.value).startswith(expected) and "\n" not in str(error.value)


def test_recipes_build_on_one_another(tmp_path: Path) -> None:
    base, more = tmp_path / "base.yaml", tmp_path / "more.yaml"
    base.write_text("data: {path: d}\nrun: {dir: r}\ntraining: {epochs: 2, batch_size: 8}\n")
    more.write_text("training: {epochs: 4}\nseed: 5\n")
    config = load_train_config([str(base), str(more), "--seed", "6"])
    assert (config.training.epochs, config.training.batch_size, config.seed) == (4.0, 8, 6)
    assert load_train_config([str(more), str(base)]).training.epochs == 2.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("training: {epochs: many}", "training.epochs: expected float, got 'many'"),
        ("training: {lr: 3}", "unknown key 'training.lr': did you mean 'training.learning_rate'?"),
    ],
)
def test_each_recipe_is_checked_with_its_name(tmp_path: Path, text: str, expected: str) -> None:
    base, more = tmp_path / "base.yaml", tmp_path / "more.yaml"
    base.write_text("data: {path: d}\nrun: {dir: r}\n")
    more.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_train_config([str(base), str(more)])
    assert str(error.value) == f"{more}: {expected}"
    with pytest.raises(ConfigError, match="nope.yaml: expected a YAML recipe"):
        load_train_config([str(base), "nope.yaml"])


def test_help_says_what_a_key_means() -> None:
    pytest.importorskip("docstring_parser", reason="comes with jsonargparse[signatures]")
    shown = " ".join(train_parser().format_help().split())
    assert "One over the temperature" in shown and "--objective.scale" in shown


def test_a_value_that_is_a_mapping_is_read_from_the_file(tmp_path: Path) -> None:
    text = "data: {path: d}\nrun: {dir: r}\nobjective: {name: spherical_z_loss, options: {a: 2.0, b: 7.5}}\n"
    config = load_train_config([write(tmp_path, text)])
    assert config.objective.options == {"a": 2.0, "b": 7.5}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("validation:\n  every:\n", "validation.every"),
        ("training: {epochs: null}", "training.epochs"),
        ("seed:\n", "seed"),
        ("objective: {terms: [{name: softmax, weight: null}]}", "objective.terms.weight"),
    ],
)
def test_a_key_without_a_value_is_named(tmp_path: Path, text: str, key: str) -> None:
    recipe = write(tmp_path, f"data: {{path: d}}\nrun: {{dir: r}}\n{text}")
    with pytest.raises(ConfigError, match=f"{key}: expected a value, got null"):
        load_train_config([recipe])


@pytest.mark.parametrize("weight", ["-1", "0", ".nan", ".inf"])
def test_a_term_has_a_weight_above_0(tmp_path: Path, weight: str) -> None:
    terms = f"objective: {{terms: [{{name: softmax, weight: {weight}}}]}}"
    recipe = write(tmp_path, f"data: {{path: d}}\nrun: {{dir: r}}\n{terms}")
    with pytest.raises(ConfigError, match="weight of softmax: expected a number above 0"):
        load_train_config([recipe])


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("[{name: softmax, weigth: 2}]", "objective.terms: no option 'weigth': did you mean 'weight'?"),
        ("[{name: softmax, q: 2}]", "objective.terms: no option 'q': expected some of name, weight, options"),
        ("[{weight: 2}]", "objective.terms: name must be given"),
        ("[{name: softmax, weight: x}]", "objective.terms: expected float, got 'x'"),
        ("[3]", "objective.terms: expected a mapping of keys, got '3'"),
    ],
)
def test_a_term_that_is_wrong_is_told_by_its_keys(tmp_path: Path, terms: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_train_config([*REQUIRED, "--objective.terms", terms])
    assert str(error.value).startswith(expected)
    recipe = write(tmp_path, f"data: {{path: d}}\nrun: {{dir: r}}\nobjective: {{terms: {terms}}}\n")
    with pytest.raises(ConfigError) as error:
        load_train_config([recipe])
    assert str(error.value) == f"{recipe}: {expected}"
