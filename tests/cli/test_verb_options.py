"""The standard library reads what jsonargparse would read the same way, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from xmc.cli.parser import make_parser, parse
from xmc.cli.query_options import add_query_options
from xmc.cli.verb_options import VerbOptions
from xmc.errors import ConfigError

ABOUT = ("toy", "A toy.", "xmc toy 3 --size 4")


def described(made: Any) -> Any:
    made.add_argument("index", help="An index.")
    made.add_argument("text", nargs="*")
    made.add_argument("-k", type=int, default=10)
    made.add_argument("-n", type=int | None, default=None)
    made.add_argument("--json", action="store_true")
    made.add_argument("--queries", type=str | None, default=None)
    made.add_argument("--with", dest="others", nargs="+", default=[], metavar="INDEX")
    made.add_argument("--metrics", type=list[str], default=["P@1"])
    made.add_argument("--data.path", "--dataset", dest="dataset", default=None)
    add_query_options(made.add_argument)
    return made


VALUES = [
    *(
        "",
        " ",
        "5",
        "05",
        "-5",
        "+5",
        "1_000",
        "0x10",
        "1e3",
        "5.0",
        "null",
        "Null",
        "~",
        "true",
        "yes",
        "no",
    ),
    *("a b.csv", "-", "a: b", "[a]", "{a: b}", "'a'", '"', "#a", "a # b", "*a", "&a", "!a", "@a", "`a", "%a"),
    *("1.5", ".inf", ".nan", "2026-11-29", "1:30", "a,b", "./a/b.txt", "ä", "99999999999999999999", "=", "|"),
]
WORDS = [
    ["index", "text"],
    ["index", "two words", "and more"],
    ["index"],
    ["index", "-k", "3", "text"],
    ["-k=3", "index", "text", "--json"],
    ["-k3", "index", "text"],
    ["index", "text", "--with", "a", "b", "--json"],
    ["--", "index", "-text"],
    ["index", "text", "--format", "csv", "--header", "yes", "--delimiter", "tab"],
    ["index", "text", "--dataset", "a", "--metrics", "P@1,P@5"],
    *(["index", *given] for value in VALUES for given in ([value], [f"--queries={value}"])),
    *(["index", "text", f"{option}{value}"] for value in VALUES for option in ("-k=", "-n=", "--dataset=")),
    *(["index", "text", option, value] for value in VALUES for option in ("-k", "--queries", "--format")),
    *([], ["--jso"], ["index", "--unknown"], ["index", "-k"], ["index", "--json=3"], ["index", "--with"]),
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_values_and_mistakes_are_those_of_jsonargparse(words: list[str]) -> None:
    def read(how: Any) -> dict[str, Any] | str:
        try:
            return dict(vars(how()))
        except ConfigError as error:
            return str(error)

    expected = read(lambda: parse(described(make_parser(*ABOUT)), words))
    assert read(lambda: described(VerbOptions(*ABOUT)).parse(words)) == expected


def test_help_is_that_of_jsonargparse(capsys: pytest.CaptureFixture[str]) -> None:
    shown = []
    for show in (
        lambda: parse(described(make_parser(*ABOUT)), ["--help"]),
        lambda: described(VerbOptions(*ABOUT)).parse(["--help"]),
    ):
        with pytest.raises(SystemExit):
            show()
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "xmc toy 3 --size 4" in shown[0]


def test_what_is_plain_is_read_without_jsonargparse() -> None:
    code = (
        "import sys; from xmc.cli.verb_options import VerbOptions; v = VerbOptions('toy', '', ''); "
        "v.add_argument('index'); v.add_argument('-k', type=int, default=10); "
        "v.add_argument('--queries', type=str | None); v.add_argument('--ks', type=list[str], default=[]); "
        "print(v.parse(['a', '-k', '3', '--queries', 'b.csv']), 'jsonargparse' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Namespace(index='a', k=3, queries='b.csv', ks=[]) False\n"
