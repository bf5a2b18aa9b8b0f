"""Time until a list is served, memory for a host, and CPU for a load, at 1, 4 and 10 million hosts, beside rbldnsd.

    start to served     from the start of the process to its first answer that says "listed"
    change to served    from the moment when a new list file is renamed into place, which has one host more, to the
                        first answer that says "listed" of that host
    CPU                 user and system time of the server and its loader process meanwhile
    memory for a host   what the server holds after the change, less what it holds with a list of ten hosts, for each
                        host; the table in shared memory is counted in full
    loader's peak       the most memory that the process that loads had resident: for dnsbl-server the loader process,
                        which ends afterwards, for rbldnsd the server itself

The servers are asked every millisecond, use the cores as they like, and take turns; medians of the rounds. rbldnsd
learns of a change when it looks, every second (-c 1, the shortest that it has), or at once by a SIGHUP. Its data set is
ip4set, or for domain names dnset: --of names lists them instead of hosts, --of colliding those that collide in hash
tables without a key, of which there are not much more than a million (domains.py).

    python bench/scale.py [--of names] [--millions 1 4 10] [--quick]

It needs a C compiler, some GB of memory and disk, and rbldnsd, which it installs on Debian when it is root.
"""

import argparse
import os
import shutil
import signal
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from domains import Colliding, Names
from lists import IPV4, A, Entries, Listed, message, write
from servers import Server, machine, say, start_dnsbl, start_rbldnsd, workshop

_MILLION = 1_000_000
_TINY = 10  # hosts
_FEW = 20_000  # hosts for a quick run
_LOOK = 0.02  # seconds between two looks at the memory of a loader
_SETTLED = 30.0  # seconds that a loader may take to end after its work is served
_KINDS: dict[str, Callable[[int], Listed]] = {"hosts": partial(Entries, IPV4), "names": Names, "colliding": Colliding}


class _Case(NamedTuple):
    """A server, and how it learns of changes."""

    name: str
    flags: tuple[str, ...] | None  # None: not rbldnsd
    is_signalled: bool = False


_CASES = (
    _Case("dnsbl-server", None),
    _Case("rbldnsd -c 1", ("-c", "1")),
    _Case("rbldnsd, SIGHUP", ("-c", "0"), is_signalled=True),
)


@dataclass(frozen=True)
class Load:
    """One load: seconds until it was served, seconds of CPU, and the peak of the loading process in bytes."""

    seconds: float
    cpu: float
    peak: int


def main() -> None:
    """Measure all sizes and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", choices=_KINDS, default="hosts", help="what is listed")
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 4, 10], help="how many are listed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="some seconds in all: to see that it works")
    options = parser.parse_args()
    sizes = [int(millions * _MILLION) for millions in options.millions]
    if options.quick:
        sizes, options.rounds = [_FEW], 1
    with workshop() as directory:
        columns = "server | start to served | CPU | change to served | CPU | memory for one | loader's peak"
        print(f"| {options.of} | {columns} |")
        print("|---|---|---|---|---|---|---|---|")
        tiny = _Lists(directory / "tiny", _KINDS[options.of](_TINY))
        empty = {case: _measure(tiny, case)[2] for case in _CASES}
        for size in sizes:
            say(f"writing {size:,} {options.of}")
            written = _Lists(directory / str(size), _KINDS[options.of](size))
            runs: dict[_Case, list[tuple[Load, Load, int]]] = {case: [] for case in _CASES}
            for number in range(options.rounds):
                for case in _CASES:
                    runs[case].append(_measure(written, case))
                    start, change, memory = runs[case][-1]
                    say(
                        f"{size:,} {options.of}, round {number + 1}, {case.name}: start {start.seconds:.2f} s, "
                        f"change {change.seconds:.2f} s, {memory / _MILLION:,.0f} MB"
                    )
            for case, results in runs.items():
                _print_row(size, case, results, empty[case])
            shutil.rmtree(written.directory)
        print(f"\n{machine()}")


class _Lists:
    """The lists of one size on disk, for both servers."""

    def __init__(self, directory: Path, entries: Listed) -> None:
        self.directory = directory
        self.files = write(directory, entries)
        self._entries = entries
        self._changes = 0

    def prepare_change(self, place: Path) -> tuple[Path, bytes]:
        """Return a new list file with a line more, which is not in its place yet, and the query for what it lists."""
        self._changes += 1
        line, name = self._entries.added(self._changes)
        new = self.directory / "new"
        shutil.copyfile(place / "list0.txt", new)
        with new.open("a") as file:
            file.write(line + "\n")
        return new, message(name, A)


def _measure(written: _Lists, case: _Case) -> tuple[Load, Load, int]:
    """Start a server and change its list; the two loads, and the bytes that it holds in the end."""
    cores = os.sched_getaffinity(0)
    files = written.files
    if case.flags is None:
        place, server = files.ours, start_dnsbl(files.ours, cores)
    else:
        place, server = files.theirs, start_rbldnsd(files.theirs, cores, files.sets, *case.flags)
    with server:
        start = _watch(server, files.listed, server.started, 0)
        new, packet = written.prepare_change(place)
        cpu, began = server.cpu_of_all(), time.monotonic()
        new.replace(place / "list0.txt")
        if case.is_signalled:
            server.signal(signal.SIGHUP)
        change = _watch(server, packet, began, cpu)
        return start, change, server.memory()


def _watch(server: Server, packet: bytes, began: float, cpu: float) -> Load:
    """Wait until something is listed; what that took, since it began and with that much CPU used before."""
    ended = threading.Event()
    peak = 0

    def look() -> None:
        nonlocal peak
        while not ended.wait(_LOOK):
            peak = max(peak, server.peak_of_descendants())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        seconds = server.wait_until_listed(packet) - began
        deadline = time.monotonic() + _SETTLED
        while server.descendants() and time.monotonic() < deadline:
            time.sleep(_LOOK)
    finally:
        ended.set()
        looking.join()
    return Load(seconds, server.cpu_of_all() - cpu, peak or server.peak())


def _print_row(size: int, case: _Case, results: list[tuple[Load, Load, int]], empty: int) -> None:
    cells = [f"{size:,}", case.name]
    for loads in ([start for start, _, _ in results], [change for _, change, _ in results]):
        cells.append(f"{statistics.median(load.seconds for load in loads):.2f} s")
        cells.append(f"{statistics.median(load.cpu for load in loads):.2f} s")
    cells.append(f"{(statistics.median(memory for _, _, memory in results) - empty) / size:.1f} bytes")
    cells.append(f"{max(max(start.peak, change.peak) for start, change, _ in results) / _MILLION:,.0f} MB")
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
