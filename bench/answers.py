"""How many queries a second, and how much CPU for each, beside rbldnsd and a bare echo.

A zone of 1,000,000 hosts and 20,000 networks, or of 1,000,000 domain names, is asked for 400,000 names in random order,
half of them listed, in a closed loop: 96 queries are in flight over 16 sockets, and every answer is checked. The server
has one core and the load another. dnsbl-server, Debian's rbldnsd with the same data, and an echo, which shows what the
kernel alone costs, take turns; rates and CPU are medians of the rounds, and so are the ratios, each of two runs of the
same round. "Busy" is the server's share of its core: below 95 % the load was too slow, or somebody else was at work,
and the CPU for a query says more than the rate. User and system time are told apart by the kernel's clock ticks.

    ipv4      A records of IPv4 addresses
    ipv6      A records of IPv6 addresses
    lists     the same number of IPv4 entries on five lists of one zone, a tenth on two (for rbldnsd: five data sets)
    txt       TXT records of IPv4 addresses
    threads   as ipv4, also with two threads. With fewer than three cores server and load share both: then the rates
              are of all that together, and compare with each other, but not with those of the other scenarios
    names     A records of domain names (domains.py, as all that follow): for rbldnsd a dnset
    colliding names that collide in hash tables without a key
    longest   queries of 127 labels
    deepest   the same where names of 127 labels are listed

    python bench/answers.py [--only ipv4 ...] [--quick]
    python bench/answers.py --before PYTHON [--rounds 9]

The second form compares two versions of dnsbl-server, without rbldnsd: PYTHON is of an environment in which the other
one is installed. It prints the ratio of their user time for a query, with its 95 % confidence interval.

It needs two cores, a C compiler, and rbldnsd, which it installs on Debian when it is root.
"""

import argparse
import math
import os
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from domains import Colliding, Deepest, Longest, Names
from lists import IPV4, IPV6, TXT, A, Entries, Family, Listed, write
from servers import Server, cores, machine, say, start_dnsbl, start_echo, start_rbldnsd, workshop
from traffic import Traffic, build, send

_QUERIES = 400_000
_WARM_UP = 0.5  # seconds that do not count
_BUSY = 0.95  # below that a server was not saturated
_TRIES = 3  # so many times the rounds that count are run at most
_LOST = 0.001  # more than that is said
_BEFORE = "before"
# Student's t for 95 % by degrees of freedom; the last one is for more.
_T95 = (math.inf, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.0)


@dataclass(frozen=True)
class Scenario:
    """A zone and what it is asked for. kind: of addresses or of domain names."""

    name: str
    kind: Family | type[Names] = IPV4
    parts: int = 1
    qtype: int = A
    threads: tuple[int, ...] = (1,)


_SCENARIOS = (
    Scenario("ipv4"),
    Scenario("ipv6", IPV6),
    Scenario("lists", parts=5),
    Scenario("txt", qtype=TXT),
    Scenario("threads", threads=(1, 2)),
    Scenario("names", Names),
    Scenario("colliding", Colliding),
    Scenario("longest", Longest),
    Scenario("deepest", Deepest),
)


@dataclass(frozen=True)
class Run:
    """One run against one server: queries a second, microseconds of CPU for each, and the CPU it had, in cores."""

    rate: float
    user: float
    system: float
    busy: float


def main() -> None:
    """Run the scenarios and print their figures as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1_000_000, help="or domain names")
    parser.add_argument("--networks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3, help="of a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=[scenario.name for scenario in _SCENARIOS], default=[])
    parser.add_argument("--before", metavar="PYTHON", help="compare with the version that is installed there")
    parser.add_argument("--quick", action="store_true", help="some seconds in all: to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.hosts, options.networks, options.seconds, options.rounds = 20_000, 400, 0.5, 1
    with workshop() as directory:
        print("| scenario | server | queries/s | CPU for a query | user | system | busy | to rbldnsd | to the echo |")
        print("|---|---|---|---|---|---|---|---|---|")
        load, echo = build(directory)
        for scenario in _SCENARIOS:
            if options.only and scenario.name not in options.only:
                continue
            say(f"{scenario.name}: writing lists")
            entries = _entries(scenario, options.hosts, options.networks)
            queries = directory / "queries"
            queries.write_bytes(entries.queries(_QUERIES, scenario.qtype))
            with _servers(directory, echo, scenario, entries, options.before) as servers:
                del entries
                measured = _measure(load, queries, scenario, servers, options.seconds, options.rounds)
                _print_rows(scenario, measured)
                if options.before:
                    _print_ratio(scenario, measured)
        print(f"\n{machine()}")


def _entries(scenario: Scenario, hosts: int, networks: int) -> Listed:
    return Entries(scenario.kind, hosts, networks) if isinstance(scenario.kind, Family) else scenario.kind(hosts)


@contextmanager
def _servers(
    directory: Path, echo: Path, scenario: Scenario, entries: Listed, before: str | None
) -> Iterator[dict[str, Server]]:
    """Start all of them and wait until they answer; they idle while it is not their turn."""
    written = write(directory, entries, scenario.parts)
    allowed = _server_cores(max(scenario.threads))
    with ExitStack() as running:
        servers = {}
        for threads in scenario.threads:
            name = "dnsbl-server" if threads == 1 else f"dnsbl-server, {threads} threads"
            servers[name] = running.enter_context(start_dnsbl(written.ours, allowed, threads))
        if before:
            servers[_BEFORE] = running.enter_context(start_dnsbl(written.ours, allowed, 1, before))
        else:
            servers["rbldnsd"] = running.enter_context(start_rbldnsd(written.theirs, allowed, written.sets))
        for name, server in servers.items():
            server.wait_until_listed(written.listed)
            say(f"{scenario.name}: {name} answers")
        servers["echo"] = running.enter_context(start_echo(echo, allowed))
        yield servers


def _server_cores(threads: int) -> set[int]:
    """One for one thread; the first ones for more; all where that would leave none for the load."""
    allowed = sorted(os.sched_getaffinity(0))
    return {cores()[0]} if threads == 1 else set(allowed[:threads])


def _measure(
    load: Path, queries: Path, scenario: Scenario, servers: dict[str, Server], seconds: float, rounds: int
) -> list[dict[str, Run]]:
    """Return the rounds that count: those in which all servers were saturated, or else those that came next to it."""
    core = cores()[1]
    shared = core in _server_cores(max(scenario.threads))
    measured: list[dict[str, Run]] = []
    good = 0
    while good < rounds and len(measured) < _TRIES * rounds:
        measured.append({})
        for name, server in servers.items():
            flags = ["--unchecked"] if name == "echo" else []
            if len(measured) == 1:
                send(load, server.port, _WARM_UP, [str(queries)], *flags)
            before = server.cpu()
            (traffic,) = send(load, server.port, seconds, [str(queries)], *flags, core=None if shared else core)
            user, system = (b - a for a, b in zip(before, server.cpu(), strict=True))
            _check(scenario, name, traffic)
            rate, busy = traffic.answered / traffic.seconds, (user + system) / traffic.seconds
            measured[-1][name] = Run(rate, 1e6 * user / traffic.answered, 1e6 * system / traffic.answered, busy)
            say(f"{scenario.name}: round {len(measured)}, {name}: {rate:,.0f}/s, busy {busy:.0%}")
        if shared or _least_busy(measured[-1]) >= _BUSY:
            good += 1
        else:
            say("  not all of them were saturated: once more")
    return measured if shared else sorted(measured, key=_least_busy)[-rounds:]


def _least_busy(one: dict[str, Run]) -> float:
    return min(run.busy for run in one.values())


def _check(scenario: Scenario, name: str, traffic: Traffic) -> None:
    if traffic.wrong or not traffic.answered:
        sys.exit(f"{scenario.name}: {name}: not what was expected: {traffic}")
    if traffic.lost > _LOST * traffic.sent:
        say(f"{scenario.name}: {name}: {traffic.lost} of {traffic.sent} lost, {traffic.dropped} of them by the load")


def _print_rows(scenario: Scenario, rounds: list[dict[str, Run]]) -> None:
    for name in rounds[0]:
        runs = [one[name] for one in rounds]
        cells = [scenario.name, name, f"{statistics.median(run.rate for run in runs):,.0f}"]
        cells.append(f"{statistics.median(run.user + run.system for run in runs):.2f} us")
        cells.append(f"{statistics.median(run.user for run in runs):.2f} us")
        cells.append(f"{statistics.median(run.system for run in runs):.2f} us")
        cells.append(f"{statistics.median(run.busy for run in runs):.0%}")
        for other in ("rbldnsd", "echo"):
            is_shown = other != name and other in rounds[0]
            cells.append(
                f"{statistics.median(one[name].rate / one[other].rate for one in rounds):.2f}" if is_shown else ""
            )
        print(f"| {' | '.join(cells)} |", flush=True)


def _print_ratio(scenario: Scenario, rounds: list[dict[str, Run]]) -> None:
    """The ratio of the user times, now to before, as a geometric mean with its interval (Student's t on logarithms)."""
    logs = [math.log(one["dnsbl-server"].user / one[_BEFORE].user) for one in rounds]
    mean = statistics.fmean(logs)
    half = _T95[min(len(logs) - 1, len(_T95) - 1)] * statistics.stdev(logs) / math.sqrt(len(logs))
    low, middle, high = (math.exp(each) for each in (mean - half, mean, mean + half))
    print(
        f"\n{scenario.name}: user time, now to before: {middle:.3f}, 95 % interval {low:.3f} to {high:.3f}\n",
        flush=True,
    )


if __name__ == "__main__":
    main()
