from __future__ import annotations

import subprocess
import sys

import pytest

from xmc.errors import ConfigError
from xmc.training.parts import PartConfig, as_parts, given_name, make_part, was_given


class Made:
    """With a fact, and an option."""

    def __init__(self, seed: int, size: int = 1) -> None:
        self.seed, self.size = seed, size


READY = Made(0)


def fails() -> None:
    raise ZeroDivisionError


def named(name: str, **options: object) -> PartConfig:
    return PartConfig(f"{__name__}:{name}", options)


def test_names_and_mappings_are_parts() -> None:
    assert as_parts("o", ["a:b", {"name": "a:b"}, PartConfig("a:b", {"c": 1})]) == [
        PartConfig("a:b"),
        PartConfig("a:b"),
        PartConfig("a:b", {"c": 1}),
    ]
    for wrong in ("b", {"name": "b"}, {"names": "a:b"}, {"name": "a:b", "option": 1}):
        with pytest.raises(ConfigError, match="o: expected"):
            as_parts("o", [wrong])


def test_it_is_called_with_the_facts_it_names_and_its_options() -> None:
    made = make_part("o", named("Made", size=3), {"seed": 7, "world": None})
    assert (made.seed, made.size) == (7, 3)
    assert make_part("o", named("Made", seed=1), {"seed": 7}).seed == 1
    assert make_part("o", named("READY"), {}) is READY


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (named("Maid"), "o: .*did you mean 'Made'"),
        (named("Made"), r"needs seed: give it as \{name: .*Made, options: \{seed: ...\}\}"),
        (named("Made", siez=1), "has no option 'siez': did you mean 'size'"),
        (named("READY", size=1), "is made already and takes no options, got size"),
        (named("fails"), r"fails failed at .*test_parts.py:\d+: ZeroDivisionError"),
        (PartConfig("<python>:x.y"), "x.y was given by a script"),
    ],
)
def test_what_cannot_be_made_is_told_why(part: PartConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_part("o", part, {})


def test_what_a_script_gave_is_no_reference_to_load() -> None:
    assert given_name(READY) == given_name(Made) == f"<python>:{__name__}.Made"
    assert was_given(given_name(fails)) and not was_given("./mine.py:x")


def test_the_configuration_needs_no_torch() -> None:
    code = "import sys, xmc.training.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
