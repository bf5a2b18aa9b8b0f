"""`dnsbl-server fetch`.

Owns the progress of a round, what is said of each feed, and the exit status: 1 if one was not fetched or is not a list.
"""

import json
import sys
import time

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from dnsbl_server.cli.arguments import files_below_option, paths_argument, state_option
from dnsbl_server.cli.console import count_of, open_console, show_problems
from dnsbl_server.config import Settings
from dnsbl_server.model.feed import FeedSpec
from dnsbl_server.model.problem import Problems, printable
from dnsbl_server.sources.feedstore import shown_url
from dnsbl_server.supply.feeds import distinct
from dnsbl_server.supply.fetch import FetchError, fetch_now
from dnsbl_server.supply.load import LoadResult, load_zones
from dnsbl_server.supply.paths import find_zone_files
from dnsbl_server.supply.state import default_state, kept_in


@click.command()
@paths_argument
@files_below_option
@state_option
@click.option("--force", "is_forced", is_flag=True, help="Ask servers too that asked to be left alone (Retry-After).")
@click.option("--json", "is_json", is_flag=True, help="Print JSON: a list with an object for each feed.")
def fetch(
    paths: tuple[str, ...], files_below: tuple[str, ...], state: str | None, is_forced: bool, is_json: bool
) -> None:
    """Fetch all feeds of the zones in PATHs (default: zones) now.

    They are kept in the state directory, from which a running server takes them into service by itself. The status is 1
    if a feed was not fetched, or is not a list; its last good version stays then. 2 if nothing could be done.
    """
    directory = default_state() if state is None else state
    if directory in ("", "off"):
        raise click.UsageError("feeds are kept in a state directory; name one with --state")
    problems = Problems()
    files = find_zone_files(paths or Settings().zones, problems)
    before = _load(files, files_below, state)
    if not before.is_whole:
        # Which feeds a zone file with errors names, nobody knows.
        for problem in before.problems.errors:
            problems.add(problem)
    specs = distinct(_feeds_of(before))
    outcomes = _fetch_all(directory, list(specs.values()), is_forced)
    # Whether they are lists, only reading them tells.
    after = _load(files, files_below, state)
    show_problems(problems)
    failed = False
    found = []
    for url, (said, is_fetched) in outcomes.items():
        states = [each for states in after.states.values() for each in states if each.feed and each.feed.url == url]
        held_back = next((each.held_back for each in states if each.held_back), "")
        entries = max((each.entries for each in states), default=0)
        failed |= not is_fetched or bool(held_back)
        found.append(
            {"url": url, "fetched": is_fetched, "outcome": said, "entries": entries, "held_back": held_back or None}
        )
    if is_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _show(found)
    if problems.errors:
        sys.exit(2)
    sys.exit(1 if failed else 0)


def _load(files: list[str], files_below: tuple[str, ...], state: str | None) -> LoadResult:
    return load_zones(files, time.time(), lambda path, count: None, files_below=files_below, kept=kept_in(state))


def _feeds_of(result: LoadResult) -> list[FeedSpec]:
    return [each.feed for states in result.states.values() for each in states if each.feed]


def _fetch_all(directory: str, specs: list[FeedSpec], is_forced: bool) -> dict[str, tuple[str, bool]]:
    """Fetch one after the other; what came of each, and whether it was fetched."""
    outcomes = {}
    console = open_console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        for spec in specs:
            bar = bars.add_task(printable(shown_url(spec.url)), total=None)

            def progress(done: int, size: int, bar=bar) -> None:  # type: ignore[no-untyped-def]
                bars.update(bar, completed=done, total=size or None)

            try:
                outcomes[spec.url] = fetch_now(directory, spec, progress, is_forced), True
            except FetchError as error:
                outcomes[spec.url] = str(error), False
            bars.remove_task(bar)
    return outcomes


def _show(found: list[dict[str, object]]) -> None:
    console = open_console()
    for each in found:
        url = printable(shown_url(str(each["url"])))
        if not each["fetched"]:
            console.print(f"{url}: not fetched: {each['outcome']}", style="red")
        elif each["held_back"]:
            console.print(f"{url}: {each['outcome']}, but not taken: {each['held_back']}", style="red")
        else:
            console.print(f"{url}: {each['outcome']}, {count_of(int(str(each['entries'])), 'entry', 'entries')}")
    if not found:
        console.print("no feed to fetch")
