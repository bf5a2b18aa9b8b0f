"""The program `dnsbl-server`: the commands together, a module each.

Owns the help of the program as a whole. What was asked for goes to standard output, everything else to standard
error. Exit statuses: 0 is well, 1 is "problems found" (check) or "not listed" (lookup), 2 is "could not do it".
"""

import click

from dnsbl_server import __version__
from dnsbl_server.cli.check import check
from dnsbl_server.cli.lookup import lookup
from dnsbl_server.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dnsbl-server", message="%(prog)s %(version)s")
def main() -> None:
    """A DNS blacklist (DNSBL) server.

    Mail servers ask it whether an address is listed; the lists are YAML zone files, which it watches and takes into
    service as soon as they change.

    \b
    dnsbl-server check zones               # are the files good?
    dnsbl-server serve zones               # answer on 127.0.0.1:5300
    dnsbl-server lookup 192.0.2.1 zones    # why is this address listed?
    """


main.add_command(serve)
main.add_command(check)
main.add_command(lookup)
