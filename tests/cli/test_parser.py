from __future__ import annotations

import pytest

from xmc.cli.parser import help_options, make_parser, nearest, parse
from xmc.errors import ConfigError


def parser():  # type: ignore[no-untyped-def]
    made = make_parser("toy", "A toy.", "xmc toy 3 --size 4")
    made.add_argument("count", type=int)
    made.add_argument("--size", type=float, default=1.0)
    made.add_argument("--kind", choices=("flat", "round"), default="flat")
    return made


def test_parses() -> None:
    options = parse(parser(), ["3", "--size", "4"])
    assert (options.count, options.size, options.kind) == (3, 4.0, "flat")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "count must be given"),
        (["x"], "count: expected int, got 'x'"),
        (["3", "--size", "big"], "size: expected float, got 'big'"),
        (["3", "--sise", "4"], "unknown option --sise: did you mean --size?"),
        (["3", "--siz", "4"], "unknown option --siz: did you mean --size?"),
        (["3", "--qqqqq=4"], "unknown option --qqqqq"),
        (["3", "4"], "unexpected argument '4'"),
        (["3", "--kind", "cubic"], "--kind: expected one of flat, round, got 'cubic'"),
    ],
)
def test_mistakes_are_one_line(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(parser(), words)
    assert expected in str(error.value)
    assert "\n" not in str(error.value) and "xmc toy --help" in str(error.value)


def test_nearest_prefers_the_whole_name_and_falls_back_to_the_last_part() -> None:
    names = ["training.epochs", "training.learning_rate", "encoder.kind", "seed"]
    assert nearest("trainin.epochs", names) == "training.epochs"
    assert nearest("learning_rte", names) == "training.learning_rate"
    assert nearest("zzz", names) is None


def test_nearest_knows_initials_and_first_words() -> None:
    names = ["encoder.label_length", "training.learning_rate", "training.batch_size", "training.weight_decay"]
    assert nearest("training.lr", names) == "training.learning_rate" == nearest("lr", names)
    assert nearest("training.wd", names) == "training.weight_decay"
    assert nearest("training.batch", names) == "training.batch_size"
    assert nearest("training.ll", names) != "encoder.label_length"


@pytest.mark.parametrize(
    "given", [["--ks", "1,3,5"], ["--ks=1,3,5"], ["--ks", "[1, 3, 5]"], ["--ks=[1,3,5]"]]
)
def test_lists_need_no_brackets(given: list[str]) -> None:
    made = make_parser("toy", "A toy.", "xmc toy")
    made.add_argument("--ks", type=list[int], default=[1])
    made.add_argument("--names", type=list[str] | None, default=None)
    made.add_argument("--name", type=str, default="x")
    assert parse(made, given).ks == [1, 3, 5]
    assert parse(made, ["--ks", "7"]).ks == [7] and parse(made, []).ks == [1]
    options = parse(made, ["--names", "title,content", "--name", "a,b"])
    assert (options.names, options.name) == (["title", "content"], "a,b")
    assert parse(made, ["--names", "null"]).names is None
    with pytest.raises(ConfigError, match="ks"):
        parse(made, ["--ks", "1,x"])


def test_help_options() -> None:
    assert help_options(parser()) == ["help", "size", "kind"]
