"""`dnsbl-server lookup`.

Owns its options, and the exit status: 0 if a zone lists it, 1 if none does, 2 if the zones cannot be read.
"""

import json
import sys
import time

import click

from dnsbl_server.cli.arguments import (
    files_below_option,
    load_paths,
    parse_asked,
    parsed_by,
    paths_argument,
    state_option,
)
from dnsbl_server.cli.console import open_console, show_problems
from dnsbl_server.cli.explanation import as_json, as_lines
from dnsbl_server.explain import Asked, explain

_STYLES = {"good": "green", "bad": "bold red", "dim": "dim", "": ""}


@click.command()
@click.argument("what", callback=parsed_by(parse_asked))
@paths_argument
@files_below_option
@state_option
@click.option("--json", "is_json", is_flag=True, help="Print JSON: a list with an object for each zone.")
def lookup(what: Asked, paths: tuple[str, ...], files_below: tuple[str, ...], state: str | None, is_json: bool) -> None:
    """Tell whether, and why, WHAT is listed by the zones in PATHs (default: zones).

    For each zone: the entry that decides, its list, file, line, reason and dates, and the records that a client gets.
    The status is 0 if a zone lists it, 1 if none does, 2 if the zones cannot be read.
    """
    result = load_paths(paths, files_below, state)
    if result.problems.errors:
        # Those of list files and feeds do not keep their zones from being served, with what else they have.
        show_problems(result.problems)
    if not result.is_whole:
        sys.exit(2)
    found = explain(list(result.zones.values()), what, time.time())
    if is_json:
        click.echo(json.dumps([as_json(each) for each in found], indent=2))
    else:
        console = open_console()
        for each in found:
            for style, line in as_lines(each):
                console.print(line, style=_STYLES[style])
    sys.exit(0 if any(each.is_listed for each in found) else 1)
