"""`dnsbl-server import`: from the files of another server to zone files.

Owns `import rbldnsd`: its options, where the zone files go, and the exit status: 1 where something that rbldnsd serves
is not served by them, 2 where there is nothing to write.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from dnsbl_server.cli.arguments import load_paths
from dnsbl_server.cli.console import open_console, show_problems
from dnsbl_server.model.problem import Place, Problems, printable
from dnsbl_server.sources.rbldnsdzone import Imported, Options, import_zones

# Options of rbldnsd that say nothing about its data, with what they mean here.
_NOTED = {
    "-u": "the user is set with --user",
    "-p": "there is no file for the process id; a service manager has it",
    "-c": "changed files are seen at once",
    "-s": "counters are metrics of Prometheus",
    "-l": "the log is on standard error",
    "-x": "extensions of rbldnsd are not loaded",
    "-X": "extensions of rbldnsd are not loaded",
}


@click.group(name="import")
def importing() -> None:
    """Write zone files for the data of another server."""


@importing.command(context_settings={"help_option_names": ["--help"]})
@click.argument("zones", metavar="ZONE:TYPE:FILE[,FILE...]...", nargs=-1, required=True)
@click.option("--output", metavar="DIR", help="Write a file for each zone there. [default: standard output]")
@click.option("--force", is_flag=True, help="Write over zone files that are there.")
@click.option("-e", "host_bits", is_flag=True, help="As rbldnsd's: host bits in CIDRs are cleared.")
@click.option("-t", "ttl", default="", metavar="DEF:MIN:MAX", help="As rbldnsd's: the default TTL.")
@click.option("-r", "root", default="", metavar="DIR", help="As rbldnsd's: files are below it.")
@click.option("-w", "directory", default="", metavar="DIR", help="As rbldnsd's: files are in it.")
@click.option("-b", "bound", multiple=True, metavar="ADDRESS/PORT", help="As rbldnsd's: shown as --listen.")
@click.option("-u", "-p", "-c", "-s", "-l", "-x", "-X", "valued", multiple=True, hidden=True)
@click.option("-4", "-6", "-q", "-n", "-f", "-d", "-v", "-C", "-A", "-a", "flags", count=True, hidden=True)
def rbldnsd(
    zones: tuple[str, ...],
    output: str | None,
    force: bool,
    host_bits: bool,
    ttl: str,
    root: str,
    directory: str,
    bound: tuple[str, ...],
    valued: tuple[str, ...],
    flags: int,
) -> None:
    """Write the zone files that serve the data of an rbldnsd, from the same files.

    The arguments are those of its command line. What differs is listed on standard error, with file and line. The
    status is 1 if some of what rbldnsd lists is not listed by the zone files, 2 if they cannot be written.
    """
    console = open_console(stderr=True)
    problems = Problems()
    where = os.path.abspath(os.path.join(root or "/", directory.lstrip("/")) if root else directory or ".")
    try:
        imported = import_zones(zones, Options(where, host_bits, ttl, output is not None), problems)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if bound:
        shown = " ".join(f"--listen {_endpoint(each)}" for each in bound)
        console.print(f"note: dnsbl-server serve {shown} answers where rbldnsd did")
    if valued or flags:
        console.print("note: options of rbldnsd that are not about its data are left out: see docs/rbldnsd.md")
    lost = _try(imported, problems)
    show_problems(problems)
    if not imported or problems.errors:
        sys.exit(2)
    if output is None:
        click.echo("---\n".join(each.text for each in imported), nl=False)
    else:
        _write(imported, Path(output), force)
    sys.exit(1 if lost else 0)


def _endpoint(text: str) -> str:
    address, _, port = text.partition("/")
    return f"[{address}]:{port or 53}" if ":" in address else f"{address}:{port or 53}"


def _try(imported: tuple[Imported, ...], problems: Problems) -> bool:
    """Load the zones once, and note what is wrong; true where something is not listed by them."""
    lost = any(each.is_partial for each in imported)
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for each in imported:
            path = Path(directory, each.file)
            path.write_text(each.text)
            paths.append(str(path))
        result = load_paths(tuple(paths), (), "off") if paths else None
        for problem in result.problems if result else ():
            if problem.place.file.startswith(f"{directory}/"):
                problem = replace(problem, place=Place(os.path.basename(problem.place.file), *problem.place[1:]))
            problems.add(problem)
            lost |= "left out" in problem.message or "are left out" in problem.message or "skipped" in problem.message
    return lost


def _write(imported: tuple[Imported, ...], output: Path, force: bool) -> None:
    console = open_console(stderr=True)
    try:
        output.mkdir(parents=True, exist_ok=True)
        for each in imported:
            path = output / each.file
            with path.open("w" if force else "x") as file:
                file.write(each.text)
            console.print(f"written: {printable(str(path))}")
    except FileExistsError as error:
        console.print(f"{printable(str(error.filename))}: is there already; --force writes over it", style="red")
        sys.exit(2)
    except OSError as error:
        console.print(f"{printable(str(error.filename))}: {error.strerror}", style="red")
        sys.exit(2)
