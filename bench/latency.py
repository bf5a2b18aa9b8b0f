"""How long answers take at a fixed rate: while nothing else happens, during reloads, and beside the slow path.

An open loop: the n-th query is due at n / rate, whatever became of the ones before, and its time counts from then to
its answer. So a server that stops for a moment is charged for all that should have been asked meanwhile. A query that
is not answered within two seconds of the end is lost. The load generator has a core to itself; the server, its loader
process, and the replacing of the file run on the others (on a machine of two cores: all on the same one). dnsbl-server
has one thread. The servers take turns. Percentiles and silences (the longest time between two answers) are medians of
the rounds; "longest" is the longest of all.

    reload    30,000 queries a second for IPv4 addresses, half of them listed, at rest and while the list file of
              1,000,000 hosts is replaced again and again: 0.2 s after each load the next. For rbldnsd (-c 1: it looks
              every second) also with -f, where a copy of it answers meanwhile. The echo shows what kernel and machine
              add by themselves
    slow      20,000 queries a second for addresses, with and without 50,000 a second of the slow path (CH TXT
              version.bind, SOA and A of the zone's name) from other sockets. The figures are those of the queries for
              addresses; the last column says how many of the slow path were answered

    python bench/latency.py [--only reload] [--quick]

It needs two cores, a C compiler, and rbldnsd, which it installs on Debian when it is root.
"""

import argparse
import contextlib
import itertools
import os
import re
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lists import IPV4, A, Entries, Written, slow_queries, write
from servers import Server, cores, machine, running_on, say, start_dnsbl, start_echo, start_rbldnsd, workshop
from traffic import Traffic, build, send

_QUERIES = 400_000
_PAUSE = 0.2  # seconds from a load to the next change
_LOOK = 0.05  # seconds between two looks into a log
_RELOADED = re.compile(r": reloaded|zones reloaded")  # in the logs of both
_WARM_UP = 0.5  # seconds that do not count


@dataclass(frozen=True)
class Bench:
    """What all runs share: the programs, the queries, the options, and where the servers run."""

    directory: Path
    load: Path
    echo: Path
    queries: Path
    slow: Path
    written: Written
    allowed: set[int]
    core: int
    options: argparse.Namespace

    def send(self, server: Server, *streams: str, seconds: float | None = None) -> list[Traffic]:
        """Send streams to a server from the load's own core."""
        flags = ["--unchecked"] if server.name == "echo" else []
        took = seconds or self.options.seconds
        return send(self.load, server.port, took, streams, *flags, core=self.core)

    @contextlib.contextmanager
    def run(self, server: Server) -> Iterator[Server]:
        """Have a server run until the end of the context; it answers, and has answered for a moment."""
        with server:
            if server.name == "echo":
                time.sleep(_WARM_UP)
            else:
                server.wait_until_listed(self.written.listed)
            self.send(server, f"{self.queries}@{self.options.rate}", seconds=_WARM_UP)
            yield server


class _Case(NamedTuple):
    """A server with its flags, at rest or not."""

    server: str
    flags: tuple[str, ...] = ()
    is_reloading: bool = False

    def cells(self) -> tuple[str, str]:
        """Return what the table calls it."""
        return " ".join((self.server, *self.flags)), "reloading" if self.is_reloading else "at rest"


_CASES = (
    _Case("echo"),
    _Case("dnsbl-server"),
    _Case("rbldnsd"),
    _Case("dnsbl-server", is_reloading=True),
    _Case("rbldnsd", is_reloading=True),
    _Case("rbldnsd", ("-f",), is_reloading=True),
)


def main() -> None:
    """Measure both, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=30_000, help="queries a second, for reload")
    parser.add_argument("--plain-rate", type=int, default=20_000, help="queries for addresses a second, for slow")
    parser.add_argument("--slow-rate", type=int, default=50_000, help="queries of the slow path a second, for slow")
    parser.add_argument("--seconds", type=float, default=20, help="of a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["reload", "slow"])
    parser.add_argument("--quick", action="store_true", help="some seconds in all: to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.hosts, options.seconds, options.rounds = 20_000, 2, 1
    with workshop() as directory:
        bench = _prepare(directory, options)
        if options.only != "slow":
            _measure_reload(bench)
        if options.only is None:
            print()
        if options.only != "reload":
            _measure_slow(bench)
        print(f"\n{machine()}")


def _prepare(directory: Path, options: argparse.Namespace) -> Bench:
    say("writing lists")
    entries = Entries(IPV4, options.hosts)
    queries, slow = directory / "queries", directory / "slow"
    queries.write_bytes(entries.queries(_QUERIES, A))
    slow.write_bytes(slow_queries())
    load, echo = build(directory)
    core = cores()[1]
    allowed = os.sched_getaffinity(0) - {core}
    return Bench(directory, load, echo, queries, slow, write(directory, entries), allowed, core, options)


def _measure_reload(bench: Bench) -> None:
    stream = f"{bench.queries}@{bench.options.rate}"
    found: dict[_Case, list[Traffic]] = {case: [] for case in _CASES}
    reloads = dict.fromkeys(_CASES, 0)
    for number in range(bench.options.rounds):
        for case in _CASES:
            with bench.run(_start(bench, case.server, *case.flags)) as server, contextlib.ExitStack() as stack:
                count = stack.enter_context(_reloading(bench, server)) if case.is_reloading else None
                (traffic,) = bench.send(server, stream)
                found[case].append(traffic)
                reloads[case] += count() if count else 0
                say(f"reload: round {number + 1}, {' '.join(case.cells())}: {_summary(traffic)}")
    print("| server | | sent | lost | wrong | p50 | p99 | p99.9 | longest | longest silence | reloads |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for case, results in found.items():
        silence, times = _median(results, "silence"), reloads[case] if case.is_reloading else ""
        print(f"| {' | '.join(case.cells())} | {_cells(results)} | {silence} | {times} |", flush=True)


def _measure_slow(bench: Bench) -> None:
    plain = f"{bench.queries}@{bench.options.plain_rate}"
    slow = f"{bench.slow}@{bench.options.slow_rate}"
    found: dict[tuple[str, str], list[Traffic]] = {}
    answered: dict[tuple[str, str], list[Traffic]] = {}
    for number in range(bench.options.rounds):
        for of in ("dnsbl-server", "rbldnsd"):
            with bench.run(_start(bench, of)) as server:
                for beside, streams in (("alone", [plain]), ("beside the slow path", [plain, slow])):
                    traffic, *others = bench.send(server, *streams)
                    found.setdefault((of, beside), []).append(traffic)
                    answered.setdefault((of, beside), []).extend(others)
                    say(f"slow: round {number + 1}, {of}, {beside}: {_summary(traffic)}")
    print("| server | plain queries | sent | lost | wrong | p50 | p99 | p99.9 | longest | slow path answered |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for key, results in found.items():
        sent = sum(traffic.sent for traffic in answered[key])
        share = f"{sum(traffic.answered for traffic in answered[key]) / sent:.1%} of {sent:,}" if sent else ""
        print(f"| {key[0]} | {key[1]} | {_cells(results)} | {share} |")


def _start(bench: Bench, of: str, *flags: str) -> Server:
    if of == "echo":
        return start_echo(bench.echo, bench.allowed)
    if of == "rbldnsd":
        return start_rbldnsd(bench.written.theirs, bench.allowed, bench.written.sets, "-c", "1", *flags)
    return start_dnsbl(bench.written.ours, bench.allowed)


@contextlib.contextmanager
def _reloading(bench: Bench, server: Server) -> Iterator["_Count"]:
    """Have the list file replaced again and again, by turns by one with a host more and by one as it was."""
    served = (bench.written.ours if server.name == "dnsbl-server" else bench.written.theirs) / "list0.txt"
    longer, same = (bench.directory / name for name in ("longer", "same"))
    for version in (longer, same):
        shutil.copyfile(served, version)
    with longer.open("a") as file:
        file.write("200.0.0.1\n")
    count, ended = _Count(server), threading.Event()
    replacing = threading.Thread(target=_replace, args=(bench, served, [longer, same], count, ended))
    replacing.start()
    try:
        yield count
    finally:
        ended.set()
        replacing.join()
        longer.unlink()
        served.unlink()  # it may be `same` by another name, and then a rename would leave both
        same.rename(served)


class _Count:
    """How many times a server said that it had reloaded, since this was made."""

    def __init__(self, server: Server) -> None:
        self._log = server.log
        self._before = 0
        self._before = self()

    def __call__(self) -> int:
        return len(_RELOADED.findall(self._log.read_text())) - self._before


def _replace(bench: Bench, served: Path, versions: list[Path], count: _Count, ended: threading.Event) -> None:
    link = bench.directory / "new"
    turns = itertools.cycle(versions)
    with running_on(bench.allowed):
        while not ended.wait(_PAUSE):
            expected = count() + 1
            os.link(next(turns), link)
            os.utime(link)
            link.replace(served)
            while count() < expected and not ended.wait(_LOOK):
                pass


def _summary(traffic: Traffic) -> str:
    return f"lost {traffic.lost} of {traffic.sent}, p99 {_ms(traffic.p99)}, longest {_ms(traffic.max)}"


def _cells(results: list[Traffic]) -> str:
    """Format what both tables say of the queries."""
    counts = {key: sum(getattr(traffic, key) for traffic in results) for key in ("sent", "lost", "wrong")}
    if dropped := sum(traffic.dropped for traffic in results):
        say(f"{dropped} of the answers that are lost came, and the load generator had no room for them")
    times = " | ".join(_median(results, key) for key in ("p50", "p99", "p999"))
    longest = _ms(max(traffic.max for traffic in results))
    return f"{' | '.join(f'{count:,}' for count in counts.values())} | {times} | {longest}"


def _median(results: list[Traffic], key: str) -> str:
    return _ms(statistics.median(getattr(traffic, key) for traffic in results))


def _ms(us: float) -> str:
    return f"{us / 1000:.2f} ms" if us < 10_000 else f"{us / 1000:,.0f} ms"


if __name__ == "__main__":
    main()
