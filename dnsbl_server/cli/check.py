"""`dnsbl-server check`.

Owns the summary of the good zones, and the exit status: 1 if there is an error.
"""

import sys
from collections.abc import Iterator

import click

from dnsbl_server.cli.arguments import files_below_option, load_paths, paths_argument, state_option
from dnsbl_server.cli.console import count_of, open_console, show_problems
from dnsbl_server.model.problem import printable
from dnsbl_server.supply.load import CompiledZone


@click.command()
@paths_argument
@files_below_option
@state_option
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(paths: tuple[str, ...], files_below: tuple[str, ...], state: str | None, strict: bool) -> None:
    """Read the zones in PATHs (default: zones) and report every problem in them.

    Each problem has file, line and column. A summary of each good zone follows. The status is 1 if there is an error.
    """
    result = load_paths(paths, files_below, state)
    show_problems(result.problems)
    console = open_console()
    for file, compiled in result.zones.items():
        console.print(f"{compiled.zone.name} ({printable(file)})", style="bold")
        for line in _summary_of(compiled):
            console.print(line)
    zones, errors, warnings = len(result.zones), len(result.problems.errors), len(result.problems.warnings)
    good = f"{zones} good {'zone' if zones == 1 else 'zones'}"
    summary = f"{good}, {count_of(errors, 'error')}, {count_of(warnings, 'warning')}"
    console.print(summary, style="red" if errors else "yellow" if warnings else "green")
    sys.exit(1 if errors or (strict and warnings) else 0)


def _summary_of(zone: CompiledZone) -> Iterator[str]:
    if not zone.zone.ns:
        yield "  no name servers (ns), which only a zone that is delegated to this server needs"
    for block_list in zone.zone.lists:
        yield f"  list {block_list.name}: {count_of(block_list.size, 'entry', 'entries')}"
    if zone.compiled.expired:
        yield f"  of these expired and left out: {zone.compiled.expired:,}"
    for version, count in zone.compiled.addresses.items():
        if count:
            yield f"  IPv{version} addresses covered: {_large(count)}"
    if zone.compiled.names:
        yield f"  domain names: {zone.compiled.names:,}"


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"{number:.3g}"
