"""The commands: serve, check, lookup.

Owns the options, what people read, and the exit statuses: 0 is well, 1 is "problems found" (check) or "not listed"
(lookup), 2 is "could not do it". What was asked for goes to standard output, everything else to standard error.
"""

import asyncio
import gc
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.status import Status
from rich.text import Text

from dnsbl_server import __version__
from dnsbl_server.cli.lookup import describe, explain
from dnsbl_server.config import Settings, parse_metrics, read_settings
from dnsbl_server.endpoint import parse_endpoint
from dnsbl_server.model.address import parse_address
from dnsbl_server.model.problem import Problem, Problems, printable
from dnsbl_server.model.subject import Subject
from dnsbl_server.server import Server, StartError
from dnsbl_server.supply.load import Load, find_zone_files, load

T = TypeVar("T")

log = logging.getLogger(__name__)

_STYLES = {"good": "green", "bad": "bold red", "dim": "dim", "": ""}
# Work that takes longer than this shows that it goes on.
_PROGRESS_AFTER = 1.0
# Log lines that may wait for whoever reads the log, and how long the end of the program waits for them in seconds.
_LOG_LINES = 10000
_LOG_PATIENCE = 0.5


def _console(stderr: bool = False) -> Console:
    # soft_wrap: a line of a file or a log stays one line, wherever it goes.
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


class _Progress:
    """Shows on a terminal what is being read, once that takes a while."""

    def __init__(self) -> None:
        self._console = _console(stderr=True)
        self._since = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, path: str, count: int) -> None:
        if not self._console.is_terminal or time.monotonic() - self._since < _PROGRESS_AFTER:
            return
        said = Text(f"reading {path}: {count:,} entries")
        if self._status is None:
            self._status = self._console.status(said)
            self._status.start()
        else:
            self._status.update(said)


def _parsed(parse: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """An option callback that parses one value or each of several, and quotes what is wrong."""

    def convert(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(parse(each) for each in value)
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter(f"{value if isinstance(value, str) else ' '.join(value)}: {error}") from None

    return convert


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


_paths = click.argument("paths", metavar="[PATH]...", nargs=-1)


@main.command()
@_paths
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDR:PORT",
    callback=_parsed(parse_endpoint),
    help="Serve DNS here, over UDP and TCP; may be repeated. [default: 127.0.0.1:5300 and [::1]:5300]",
)
@click.option(
    "--metrics",
    metavar="ADDR:PORT",
    callback=_parsed(parse_metrics),
    help="Serve /metrics and /healthz here, or 'off'. [default: 127.0.0.1:9353]",
)
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
        _show_problems(problems)
        sys.exit(2)
    try:
        with _logging(settings):
            asyncio.run(_run(settings))
    except StartError as error:
        problems = error.problems or problems
        if settings.log_format == "json":
            with _logging(settings):
                for problem in problems:
                    log.log(logging.WARNING if problem.warning else logging.ERROR, "%s", problem)
                log.error("%s", error)
        else:
            _show_problems(problems)
            click.echo(f"dnsbl-server: {error}", err=True)
        sys.exit(2)


async def _run(settings: Settings) -> None:
    await Server(settings).run()


@main.command()
@_paths
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
def check(paths: tuple[str, ...], strict: bool) -> None:
    """Read the zones in PATHs (default: zones) and report every problem in them.

    Each problem has file, line and column. A summary of each good zone follows. The status is 1 if there is an error.
    """
    result = _load(paths)
    _show_problems(result.problems)
    console = _console()
    for file, loaded in result.zones.items():
        zone = loaded.zone
        console.print(f"{zone.name} ({file})", style="bold")
        for block_list in zone.lists:
            entries = block_list.size
            console.print(f"  list {block_list.name}: {entries:,} {'entry' if entries == 1 else 'entries'}")
        expired = loaded.compiled.expired
        if expired:
            console.print(f"  of these expired and left out: {expired:,}")
        for version, count in loaded.compiled.addresses.items():
            if count:
                console.print(f"  IPv{version} addresses covered: {_large(count)}")
    errors, warnings = len(result.problems.errors), len(result.problems.warnings)
    zones = len(result.zones)
    summary = (
        f"{zones} good {'zone' if zones == 1 else 'zones'}, {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    )
    console.print(summary, style="red" if errors else "yellow" if warnings else "green")
    sys.exit(1 if errors or (strict and warnings) else 0)


@main.command()
@click.argument("address", callback=_parsed(parse_address))
@_paths
@click.option("--json", "as_json", is_flag=True, help="Print JSON: a list with an object for each zone.")
def lookup(address: Subject, paths: tuple[str, ...], as_json: bool) -> None:
    """Tell whether, and why, ADDRESS is listed by the zones in PATHs (default: zones).

    For each zone: the entry that decides, its list, file, line, reason and dates, and the records that a client gets.
    The status is 0 if a zone lists the address, 1 if none does, 2 if the zones cannot be read.
    """
    result = _load(paths)
    if result.problems.errors:
        _show_problems(result.problems)
        sys.exit(2)
    found = explain(list(result.zones.values()), address, time.time())
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        console = _console()
        for each in found:
            for style, line in describe(each):
                console.print(line, style=_STYLES[style])
    sys.exit(0 if any(each["listed"] for each in found) else 1)


def _load(paths: tuple[str, ...]) -> Load:
    # The process ends with what is made here; looking for cycles in millions of objects would double the time.
    gc.disable()
    problems = Problems()
    files = find_zone_files(paths or Settings().zones, problems)
    with _Progress() as progress:
        result = load(files, time.time(), progress)
    problems.extend(result.problems)
    return result._replace(problems=problems)


def _show_problems(problems: Problems) -> None:
    console = _console(stderr=True)
    for problem in problems:
        console.print(str(problem), style=_style_of(problem))
    for file, count in problems.left_out.items():
        console.print(f"{printable(file)}: {count:,} more problems")


def _style_of(problem: Problem) -> str:
    return "yellow" if problem.warning else "red"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _large(number: int) -> str:
    return f"{number:,}" if number < 10**12 else f"{number:.3g}"


@contextmanager
def _logging(settings: Settings) -> Iterator[None]:
    """Log to standard error from a thread of its own: a log that nobody reads must not hold up the answers."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else _TextFormatter())
    lines: queue.Queue[Any] = queue.Queue(_LOG_LINES)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[_BoundedHandler(lines)], force=True)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    thread = threading.Thread(target=_write_log, args=(lines, handler), daemon=True, name="log")
    thread.start()
    try:
        yield
    finally:
        with suppress(queue.Full):
            lines.put_nowait(None)
        thread.join(_LOG_PATIENCE)
        if thread.is_alive():
            # It waits for a reader that does not come, with the locks that an orderly end would want.
            os._exit(2 if sys.exc_info()[0] else 0)


def _write_log(lines: "queue.Queue[Any]", handler: logging.Handler) -> None:
    while (record := lines.get()) is not None:
        handler.handle(record)


class _BoundedHandler(QueueHandler):
    """Hands lines over to the thread that writes them, and leaves out what does not fit; the next one says so."""

    left_out = 0

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Leave the record as it is: it stays in this process, and the thread formats it."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        if self.left_out:
            record.msg = f"{record.msg} ({self.left_out} log lines before this one are lost)"
        try:
            self.queue.put_nowait(record)
            self.left_out = 0
        except queue.Full:
            self.left_out += 1


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{record.msecs:03.0f}Z"


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{_time_of(record)} {record.levelname.lower():7} {record.getMessage()}{trace}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said = {"time": _time_of(record), "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said)
