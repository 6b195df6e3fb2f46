"""Help that fits a screen, and the rest where it is asked for."""

from __future__ import annotations

import dataclasses

import pytest

from xmc.cli.config import train_parser
from xmc.cli.main import VERBS, main
from xmc.cli.train_help import SECTIONS, USUAL, train_help
from xmc.errors import ConfigError
from xmc.training.config import TrainConfig

SCREEN = 40
COMMANDS = [[verb] for verb in VERBS] + [
    ["data", "build"],
    ["data", "synthetic"],
    ["data", "import"],
    ["data", "info"],
    ["bench", "search"],
    ["bench", "spherical"],
    ["bench", "step"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_fits_a_screen(command: list[str], capsys) -> None:  # type: ignore[no-untyped-def]
    try:
        assert main([*command, "--help"]) == 0
    except SystemExit as done:
        assert done.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert 5 < len(lines) <= SCREEN and "example:" in lines


def test_the_short_help_leads_to_every_section() -> None:
    short = train_help(["recipe.yaml", "--help"], train_parser())
    assert short is not None and all(f"--{name} " in short for name in USUAL)
    assert all(f"--help.{name} " in short for name in SECTIONS) and max(map(len, short.splitlines())) <= 110
    sections = {f.name for f in dataclasses.fields(TrainConfig)} - {"seed"}
    assert set(SECTIONS) == sections


def test_all_keys_and_those_of_a_section() -> None:
    parser = train_parser()
    everything = train_help(["--help", "all"], parser)
    assert everything is not None and everything == train_help(["--help-all"], parser)
    assert "--negatives.mined.margin" in everything and "--scoring.memory_mb" in everything
    section = train_help(["--help.scoring"], parser)
    assert section is not None and "--scoring.memory_mb" in section and "--training.epochs" not in section
    assert train_help(["recipe.yaml", "--seed", "3"], parser) is None
    with pytest.raises(ConfigError, match="did you mean --help.scoring"):
        train_help(["--help.scorin"], parser)
