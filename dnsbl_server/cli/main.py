"""The program `dnsbl-server`: the commands together, a module each.

Owns the help of the program as a whole. What was asked for goes to standard output, everything else to standard
error. Exit statuses: 0 is well, 1 is "problems found" (check), "not listed" (lookup), "not fetched" (fetch) or "not
all imported" (import), 2 is "could not do it", also where the output cannot be written.
"""

import errno
import os
import sys
from contextlib import suppress
from typing import Any

import click

from dnsbl_server import __version__
from dnsbl_server.cli.check import check
from dnsbl_server.cli.fetch import fetch
from dnsbl_server.cli.importing import importing
from dnsbl_server.cli.lookup import lookup
from dnsbl_server.cli.serve import serve

# What writing says on a full or broken disk. The program writes nothing but its output, so it is about that. (A reader
# that has gone, EPIPE, is click's.)
_UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Program(click.Group):
    """The commands, with an exit status of its own for output that cannot be written."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.errno not in _UNWRITTEN:
                raise
            with suppress(OSError):
                os.write(2, f"dnsbl-server: cannot write the output: {os.strerror(error.errno)}\n".encode())
            # What is still buffered would be tried again at the end, and have a status of its own.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(nowhere, stream)
            sys.exit(2)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dnsbl-server", message="%(prog)s %(version)s")
def main() -> None:
    """A DNS blacklist (DNSBL) server.

    Mail servers ask it whether an address is listed; the lists are YAML zone files, which it watches and takes into
    service as soon as they change.

    \b
    dnsbl-server check zones               # are the files good?
    dnsbl-server serve zones               # answer on 127.0.0.1:5300
    dnsbl-server lookup 192.0.2.1 zones    # why is this address listed?
    dnsbl-server fetch zones               # fetch the feeds of the zones now
    dnsbl-server import rbldnsd --help     # from an rbldnsd to zone files
    """


main.add_command(serve)
main.add_command(check)
main.add_command(lookup)
main.add_command(fetch)
main.add_command(importing)
