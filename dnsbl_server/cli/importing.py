"""`dnsbl-server import`: from the files of another server to zone files.

Owns `import rbldnsd`: its options, where the zone files go, what is said of the differences, and the exit status: 1
where something that rbldnsd lists is not listed by the zone files, 2 where these cannot be written.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from dnsbl_server.cli.arguments import load_paths, parsed_by
from dnsbl_server.cli.console import count_of, open_console, show_problems
from dnsbl_server.model.problem import Place, Problem, Problems, printable
from dnsbl_server.sources.rbldnsdzone import ImportedZone, Options, TtlOption, import_zones, parse_ttl_option

# Options of rbldnsd that say nothing of its data, without and with a value.
_FLAGS = "46vnfqaACd"
_VALUED = "ucplsFxX"
_DNS_PORT = "53"
# What the problem of a line says that rbldnsd lists, and that is not listed here; but the test entries are, by code.
_LEFT_OUT = "left out"
_TEST_ENTRIES = "test entries"


def _with_unneeded(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of rbldnsd that are not needed, each taken without a word."""
    for letter in _FLAGS:
        command = click.option(f"-{letter}", f"unneeded_{letter}", count=True, hidden=True)(command)
    for letter in _VALUED:
        command = click.option(f"-{letter}", f"unneeded_{letter}", multiple=True, hidden=True)(command)
    return command


@click.group(name="import")
def importing() -> None:
    """Write zone files for the data of another server."""


@importing.command()
@click.argument("specifications", metavar="ZONE:TYPE:FILE[,FILE...]...", nargs=-1, required=True)
@click.option("--output", metavar="DIR", help="Write a file for each zone there. [default: standard output]")
@click.option("--force", is_flag=True, help="Write over zone files that are there already.")
@click.option("-e", "clears_host_bits", is_flag=True, help="As rbldnsd's: CIDRs may have host bits.")
@click.option(
    "-t", "ttl", metavar="DEF:MIN:MAX", callback=parsed_by(parse_ttl_option), help="As rbldnsd's: the default TTL."
)
@click.option("-r", "root", default="", metavar="DIR", help="As rbldnsd's: the files are below it.")
@click.option("-w", "directory", default="", metavar="DIR", help="As rbldnsd's: the files are in it.")
@click.option("-b", "bound", multiple=True, metavar="ADDRESS[/PORT]", help="As rbldnsd's: what to listen on.")
@_with_unneeded
def rbldnsd(
    specifications: tuple[str, ...],
    output: str | None,
    force: bool,
    clears_host_bits: bool,
    ttl: TtlOption | None,
    root: str,
    directory: str,
    bound: tuple[str, ...],
    **unneeded: Any,
) -> None:
    """Write the zone files that serve the data of an rbldnsd, from the same files.

    The arguments are those of its command line; options that are not named here are taken too. What differs is said on
    standard error, with file and line. The status is 1 if something that rbldnsd lists is not listed by the zone
    files, and 2 if these cannot be written.
    """
    options = Options(directory, root, clears_host_bits, ttl or TtlOption())
    problems = Problems()
    try:
        zones = import_zones(specifications, options, problems)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    written = [zone for zone in zones if zone.datasets]
    if output is None and len(written) > 1:
        names = ", ".join(zone.name for zone in written)
        raise click.UsageError(f"these are several zones, each with a file of its own ({names}): add --output DIR")
    problems.extend(_found_by_loading(written))
    _say(bound, unneeded)
    show_problems(problems)
    if problems.errors or not written:
        _give_up("nothing is written: what is wrong stands above")
    if output is None:
        click.echo(written[0].text(), nl=False)
    else:
        _write(written, Path(output), force)
    lost = any(_LEFT_OUT in each.message and _TEST_ENTRIES not in each.message for each in problems)
    sys.exit(1 if lost else 0)


def _found_by_loading(zones: Sequence[ImportedZone]) -> Problems:
    """What is wrong with the zones and their files once they are loaded."""
    problems = Problems()
    if not zones:
        return problems
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for zone in zones:
            path = os.path.join(directory, zone.file)
            Path(path).write_text(zone.text(), encoding="utf-8")
            paths.append(path)
        found = load_paths(tuple(paths), (), "off").problems
    for problem in found:
        problems.add(_of_zone_file(problem) if problem.place.file in paths else problem)
    for file, count in found.left_out.items():
        problems.leave_out(file, count)
    return problems


def _of_zone_file(problem: Problem) -> Problem:
    """A problem of a zone file that was written for loading only: at that of its name."""
    place = problem.place
    return replace(problem, place=Place(os.path.basename(place.file), place.line, place.column))


def _say(bound: Sequence[str], unneeded: dict[str, Any]) -> None:
    """Say what the other options of rbldnsd mean here."""
    console = open_console(stderr=True)
    if bound:
        listen = " ".join(f"--listen {_endpoint(each)}" for each in bound)
        console.print(f"note: serve with {printable(listen)}")
    names = sorted((name.removeprefix("unneeded_") for name, value in unneeded.items() if value), key=str.swapcase)
    if names:
        console.print(f"note: not needed here: {' '.join(f'-{name}' for name in names)}")


def _endpoint(text: str) -> str:
    """ADDRESS[/PORT] as `--listen` takes it."""
    address, _, port = text.partition("/")
    return f"[{address}]:{port or _DNS_PORT}" if ":" in address else f"{address}:{port or _DNS_PORT}"


def _write(zones: Sequence[ImportedZone], directory: Path, force: bool) -> None:
    """Write the zone files, all or none where one of them is there already."""
    console = open_console(stderr=True)
    paths = [directory / zone.file for zone in zones]
    present = [path for path in paths if os.path.lexists(path)]
    if present and not force:
        _give_up(f"{', '.join(map(str, present))}: there already, --force writes over it; nothing is written")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for zone, path in zip(zones, paths, strict=True):
            # A server that watches the directory sees whole files only.
            aside = directory / f".{zone.file}.new"
            aside.write_text(zone.text(str(directory)), encoding="utf-8")
            aside.replace(path)
            console.print(f"written: {printable(str(path))} ({count_of(len(zone.datasets), 'list')})")
    except OSError as error:
        _give_up(f"{error.filename}: {error.strerror}")


def _give_up(message: str) -> None:
    open_console(stderr=True).print(printable(message), style="red")
    sys.exit(2)
