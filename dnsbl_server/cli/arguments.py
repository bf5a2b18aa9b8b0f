"""What the commands have in common in their arguments and options, and the zone files that these mean.

Owns the PATH arguments, how values are parsed and refused, and how zones are read for a command that ends with them.
"""

import gc
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dnsbl_server.cli.console import Progress
from dnsbl_server.config import Settings
from dnsbl_server.dns.mail import parse_mail_address
from dnsbl_server.dns.name import parse_domain
from dnsbl_server.explain import Asked
from dnsbl_server.model.address import parse_address
from dnsbl_server.model.problem import Problems
from dnsbl_server.supply.load import LoadResult, load_zones
from dnsbl_server.supply.paths import find_zone_files
from dnsbl_server.supply.state import kept_in

T = TypeVar("T")

paths_argument = click.argument("paths", metavar="[PATH]...", nargs=-1)

files_below_option = click.option(
    "--files-below",
    multiple=True,
    metavar="DIR",
    help="Refuse list files that are not in this directory or below it; may be repeated. [default: any]",
)


state_option = click.option(
    "--state",
    metavar="DIR",
    help="Where the last good version of each list file and each feed is kept, or 'off'. [default: $STATE_DIRECTORY, "
    "/var/lib/dnsbl-server, or the user's own]",
)


def parsed_by(parse: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback of click's that parses one value or each of several, and quotes what is wrong."""

    def convert(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(parse(each) for each in value)
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(f"{value if isinstance(value, str) else ' '.join(value)}: {error}") from None

    return convert


def parse_asked(text: str) -> Asked:
    """What a zone can be asked for: an address, a domain name, or an e-mail address. Raises ValueError."""
    if "@" in text:
        return parse_mail_address(text)
    try:
        return parse_address(text, "address, domain name or e-mail address")
    except ValueError:
        # What ends in a number, or has a colon, is an address that is mistyped.
        if ":" in text or text.removesuffix(".").rpartition(".")[2].isdigit():
            raise
        return parse_domain(text)


def load_paths(paths: tuple[str, ...], files_below: tuple[str, ...], state: str | None) -> LoadResult:
    """Load the zones that paths hold, those of the default setting where there are none, as they are now.

    state: the state directory, `off`, or None for the default one; nothing is written there.
    """
    # The process ends with what is made here; looking for cycles in millions of objects would double the time.
    gc.disable()
    problems = Problems()
    files = find_zone_files(paths or Settings().zones, problems)
    with Progress() as progress:
        result = load_zones(files, time.time(), progress, files_below=files_below, kept=kept_in(state))
    # A path that means no zone file is one that could not be loaded.
    sources = dict(result.sources)
    for problem in problems:
        sources.setdefault(problem.place.file, {})
    problems.extend(result.problems)
    return result._replace(problems=problems, sources=sources)
