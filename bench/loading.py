"""How much CPU and memory a load takes, beside rbldnsd where it is installed.

Each kind of list is loaded by loader processes as a server starts them; what counts is the median of the CPU seconds,
user and system together, and the largest memory. rbldnsd reads the same hosts and is ended when it has.

    python bench/loading.py [--hosts 1000000] [--rounds 5]
"""

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from dnsbl_server.supply.exchange import Job
from dnsbl_server.supply.process import LoaderProcess

# Entries, CPU seconds and memory in kB of a load.
Run = tuple[int, float, int]
_PLAIN = "IPv4 addresses"


def main() -> None:
    """Load everything in turn and print it as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    kinds: dict[str, Callable[[Path, int], None]] = {
        "one address": _write_one,
        _PLAIN: _write_hosts,
        "the same in csv, 1,000 reasons": _write_csv,
        "the same, 1,000 reasons as comments": _write_comments,
        "the same as an ip4set": _write_ip4set,
        "the same as an ip4set, 5 values with texts": _write_values,
        "the same in csv, all reasons distinct": _write_distinct,
        "addresses and CIDRs": _write_mix,
        "IPv6 addresses": _write_ipv6,
        "zone file, reason and expiry": _write_yaml,
    }
    print("| list | entries | CPU | memory | beside plain addresses |\n|---|---|---|---|---|")
    plain: Run | None = None
    with tempfile.TemporaryDirectory() as name:
        for number, (kind, write) in enumerate(kinds.items()):
            path = Path(name) / f"{number}.yaml"
            _apart(write, path, options.hosts)
            run = _median([_load(path) for _ in range(options.rounds)])
            plain = run if kind == _PLAIN else plain
            _show(kind, run, plain if kind.startswith("the same") else None)
        if shutil.which("rbldnsd"):
            _show("rbldnsd", _median([_rbldnsd(Path(name), "1.txt", options.hosts) for _ in range(options.rounds)]))


def _write(path: Path, lines: list[str], item: str = "format: plain") -> None:
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    path.write_text(f"zone: bl.example.org\nfiles: [{{path: {path.stem}.txt, {item}}}]\n")


def _write_one(path: Path, count: int) -> None:
    _write(path, ["192.0.2.1"])


def _hosts(count: int) -> list[int]:
    return random.Random(1).sample(range(1 << 24, 127 << 24), count)


def _write_hosts(path: Path, count: int) -> None:
    _write(path, [str(IPv4Address(host)) for host in _hosts(count)])


def _write_csv(path: Path, count: int, reasons: int = 1000) -> None:
    rows = [f"{IPv4Address(host)},reason number {number % reasons}" for number, host in enumerate(_hosts(count))]
    _write(path, ["ip,why", *rows], "format: csv, columns: {net: ip, reason: why}")


def _write_distinct(path: Path, count: int) -> None:
    _write_csv(path, count, count)


def _write_comments(path: Path, count: int) -> None:
    lines = [f"{IPv4Address(host)} # reason number {number % 1000}" for number, host in enumerate(_hosts(count))]
    _write(path, lines, "reason: comment")


def _write_ip4set(path: Path, count: int) -> None:
    _write(path, [str(IPv4Address(host)) for host in _hosts(count)], "format: ip4set")


def _write_values(path: Path, count: int) -> None:
    lines = [
        f"{IPv4Address(host)} :{2 + number % 5}:reason {number % 5}, $" for number, host in enumerate(_hosts(count))
    ]
    _write(path, lines, "format: ip4set")


def _write_mix(path: Path, count: int) -> None:
    chance = random.Random(2)
    nets = {(host >> 32 - length << 32 - length, length) for host in _hosts(count) for length in [chance.choice(_MIX)]}
    lines = [f"{IPv4Address(first)}/{length}" if length < 32 else str(IPv4Address(first)) for first, length in nets]
    chance.shuffle(lines)
    _write(path, lines)


_MIX = (32, 32, 32, 32, 30, 28, 24)


def _write_ipv6(path: Path, count: int) -> None:
    chance = random.Random(3)
    _write(path, [str(IPv6Address(0x20010DB8 << 96 | chance.getrandbits(96))) for _ in range(count)])


def _write_yaml(path: Path, count: int) -> None:
    lines = [
        f"  - net: {IPv4Address(host)}\n    reason: ticket {number}\n    expires: 2036-{number % 12 + 1:02}-01\n"
        for number, host in enumerate(_hosts(count // 10))
    ]
    path.write_text("zone: bl.example.org\nentries:\n" + "".join(lines))


def _apart(work: Callable[..., object], *arguments: object) -> str:
    """Do work in a process of its own, and return what it returned as text.

    What a process needed once, the kernel counts for the processes that it starts too.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(work(*arguments)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def _load(path: Path) -> Run:
    """Entries, CPU seconds and memory in kB of a loader."""
    entries, cpu, memory = _apart(_count_load, path).split()
    return int(entries), float(cpu), int(memory)


def _count_load(path: Path) -> str:
    delivery = LoaderProcess(600).run(Job((str(path),), {}, {}))
    entries = sum(table.table.info.entries for table in delivery.tables)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return f"{entries} {used.ru_utime + used.ru_stime} {used.ru_maxrss}"


def _rbldnsd(directory: Path, file: str, count: int) -> Run:
    directory.chmod(0o755)
    command = ["rbldnsd", "-n", "-w", str(directory), "-b", "127.0.0.1/0", f"bl.example.org:ip4set:{file}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if b"started" in line:  # which it says when it has read everything
                break
        server.terminate()
        _, _, used = os.wait4(server.pid, 0)
    return count, used.ru_utime + used.ru_stime, used.ru_maxrss


def _median(runs: list[Run]) -> Run:
    """Of several runs of one kind; of the memory the most."""
    return runs[0][0], statistics.median(run[1] for run in runs), max(run[2] for run in runs)


def _show(kind: str, run: Run, plain: Run | None = None) -> None:
    entries, cpu, memory = run
    beside = f"{cpu / plain[1]:.2f} of the time, {memory / plain[2]:.2f} of the memory" if plain else ""
    print(f"| {kind} | {entries:,} | {cpu:.2f} s | {memory / 1024:.0f} MB | {beside} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
