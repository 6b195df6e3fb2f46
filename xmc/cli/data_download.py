"""``xmc data download``: where a public data set is to be had, and its files where they can be fetched."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from xmc.cli.parser import make_parser, parse
from xmc.errors import ConfigError

__all__ = ["run"]


def run(arguments: Sequence[str]) -> None:
    """List the data sets, or fetch one and say what to run next."""
    from xmc.data.public import Place, download_file, find_public_set, public_sets

    parser = make_parser(
        "data download",
        "Say where a public data set is to be had, and fetch what can be fetched: files, not pages. A fetch\n"
        "that was cut short goes on with the same command. Without a name: list the data sets.",
        "xmc data download hpo downloads/hpo",
    )
    parser.add_argument("name", nargs="?", help="The data set.")
    parser.add_argument("folder", nargs="?", help="Where to put it; downloads/NAME when left out.")
    parser.add_argument("--url", default=None, help="Fetch this file for it: your own link or mirror.")
    parser.add_argument("--sha256", default="", help="Of the file at --url, to check it by.")
    options = parse(parser, arguments)
    if options.sha256 and not options.url:
        raise ConfigError("--sha256: expected with --url, got it alone: leave it out")
    if options.name is None:
        for one in public_sets():
            print(f"{one.name:<22}{one.num_train:>10,} rows {one.num_labels:>10,} labels  {one.about}")
        return
    chosen = find_public_set(options.name)
    folder = options.folder or f"downloads/{chosen.name}"
    print(f"{chosen.name}: {chosen.about}\n{chosen.num_train:,} training rows, {chosen.num_labels:,} labels")
    print(f"licence: {chosen.licence}")
    places = chosen.places
    if options.url:
        name = PurePosixPath(urlsplit(options.url).path).name
        if urlsplit(options.url).scheme not in ("http", "https") or not name:
            raise ConfigError(f"--url: expected http(s)://.../FILE, got '{options.url}'")
        places = (Place("file", options.url, "as asked for", name, options.sha256),)
    for place in places:
        print(f"{place.kind}: {place.url}\n  {place.about}")
    files = [place for place in places if place.kind == "file"]
    for place in files:
        fetched = download_file(place.url, folder, place.name, sha256=place.sha256)
        print(f"here: {fetched}" + ("" if place.sha256 else " (no SHA-256 is known to check it by)"))
    if not files:
        print(f"nothing is fetched from pages: open one, and put the unpacked files into {folder}")
    print(f"then: {chosen.command(shlex.quote(folder))}\n      xmc train {chosen.recipe}")
