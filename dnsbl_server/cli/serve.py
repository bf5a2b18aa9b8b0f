"""`dnsbl-server serve`.

Owns its options, how a server that cannot start says so, and that one that was told to stop has ended after
`_STOP_PATIENCE`, whatever its clients and its disks do.
"""

import asyncio
import logging
import os
import sys
import threading
import time
from typing import Any

import click

from dnsbl_server.cli.arguments import files_below_option, parsed_by, paths_argument, state_option
from dnsbl_server.cli.console import show_problems
from dnsbl_server.config import Settings, parse_metrics, read_settings
from dnsbl_server.endpoint import parse_endpoint
from dnsbl_server.log import logging_to_stderr
from dnsbl_server.model.problem import Problems, printable
from dnsbl_server.server import Server, StartError

log = logging.getLogger(__name__)

# Seconds from the signal to the end of the process, and of those the ones that the log has for its last lines.
_STOP_PATIENCE = 5.0
_LOG_PATIENCE = 0.3


@click.command()
@paths_argument
@files_below_option
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDR:PORT",
    callback=parsed_by(parse_endpoint),
    help="Serve DNS here, over UDP and TCP; may be repeated. [default: 127.0.0.1:5300 and [::1]:5300]",
)
@click.option(
    "--metrics",
    metavar="ADDR:PORT",
    callback=parsed_by(parse_metrics),
    help="Serve /metrics and /healthz here, or 'off'. [default: 127.0.0.1:9353]",
)
@state_option
@click.option("--threads", type=click.IntRange(1, 256), help="Threads that answer UDP. [default: one for each core]")
@click.option("--user", metavar="NAME", help="Started as root, go on as this user once the ports are bound.")
@click.option("--config", metavar="FILE", help="A YAML file with settings; flags win over it.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines are written. [default: text]")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="[default: info]")
def serve(paths: tuple[str, ...], config: str | None, **flags: Any) -> None:
    """Answer DNS queries from the zones in PATHs: zone files, or directories of them (default: zones).

    Changed files are taken into service by themselves; SIGHUP asks for it at once. A file with an error changes
    nothing. SIGTERM and SIGINT end the server with status 0. When it cannot start, the status is 2.
    """
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    # `off` has become None by now, which is a setting and no absence of one.
    source = click.get_current_context().get_parameter_source("metrics")
    if source is click.core.ParameterSource.COMMANDLINE:
        given["metrics"] = flags["metrics"]
    if paths:
        given["zones"] = paths
    problems = Problems()
    settings = read_settings(config, given, problems)
    if settings is None:
        show_problems(problems)
        sys.exit(2)
    try:
        with logging_to_stderr(settings.log_format, settings.log_level):
            asyncio.run(_run(settings))
    except StartError as error:
        _show_start_error(error, error.problems or problems, settings)
        sys.exit(2)


async def _run(settings: Settings) -> None:
    await Server(settings, on_stop=_end_in_time).run()


def _end_in_time() -> None:
    """Have the process end with status 0 when the stop takes too long."""
    threading.Thread(target=_end_late, daemon=True, name="end").start()


def _end_late() -> None:
    time.sleep(_STOP_PATIENCE - _LOG_PATIENCE)
    running = ", ".join(each.name for each in threading.enumerate() if each is not threading.current_thread())
    log.error("the stop takes too long, ending now; still running: %s", running)
    time.sleep(_LOG_PATIENCE)
    os._exit(0)


def _show_start_error(error: StartError, problems: Problems, settings: Settings) -> None:
    if settings.log_format == "json":
        with logging_to_stderr(settings.log_format, settings.log_level):
            for problem in problems:
                log.log(logging.WARNING if problem.warning else logging.ERROR, "%s", problem)
            log.error("%s", error)
    else:
        show_problems(problems)
        click.echo(f"dnsbl-server: {printable(str(error))}", err=True)
