"""Whether a storm of edits costs an answer: 30,000 queries a second while files are changed in every way they can be.

One zone has a list file of hosts and is asked for them all the time; half of the queries are for hosts that are listed
in every version of it, and half for some that never are. Meanwhile its files, and those of other zones beside it, are
renamed, truncated, appended to, swapped behind a symbolic link, made unreadable, replaced by a FIFO, a directory, bytes
that are no list, a line of 5 MB or half a gzip file; directories go away and come back; zones are added and removed;
SIGHUP comes in between, and loaders are killed. Nothing may be lost or wrong, and in the end the server has as many
descriptors as before, and no more memory.

    python bench/storm.py [--edits 1000] [--seed 1]

It needs two cores and a C compiler. The edits and their order come from a seed.
"""

import argparse
import contextlib
import gzip
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lists import IPV4, NOERROR, NXDOMAIN, A, Entries, message, record
from servers import Server, machine, say, start_dnsbl, workshop
from traffic import Traffic, build, send

_HOSTS = 20_000
_ZONE = "bl.example.org"
_RATE = 30_000
_SECONDS = 10.0  # of a run of the load generator; one follows the other as long as there are edits
_PAUSE = 0.15  # seconds between two edits, at most
_PATIENCE = 60.0
_GROWTH = 16 << 20  # bytes of memory that the server may have more in the end


class Storm:
    """The files of the zones, and every way to change them."""

    def __init__(self, directory: Path, source: random.Random) -> None:
        self.root = directory / "zones"
        # What the server is given: a link to the directory.
        self.served = directory / "served"
        self._source = source
        self._entries = Entries(IPV4, _HOSTS)
        self._aside = directory / "aside"
        for each in (self.root / "releases", self._aside):
            each.mkdir(parents=True)
        # The zone that is asked: its list file stands behind a link, as a deployment has it.
        for release in ("a", "b"):
            place = self.root / "releases" / release
            place.mkdir()
            (place / "hosts.txt").write_text("".join(f"{line}\n" for line in self._entries.lines()) + f"# {release}\n")
        self._point("a")
        self._good = {
            self.root / "bl.yaml": f"zone: {_ZONE}\nlists:\n"
            "  - {name: hosts, files: [current/hosts.txt]}\n  - {name: more, code: 127.0.0.3, files: [more.txt]}\n",
            self.root / "more.txt": "200.0.0.1\n200.0.0.2\n",
            self.root / "other.yaml": "zone: other.example.org\nfiles: [other.txt]\n",
            self.root / "other.txt": "203.0.113.0/24\n",
        }
        self._serve("zones")
        self.mend()
        kinds = (
            *(self.rename_over, self.append, self.truncate, self.swap_link, self.remove, self.make_unreadable),
            *(self.make_fifo, self.make_directory, self.write_garbage, self.write_long_line, self.write_half_gzip),
            *(
                self.take_directory_away,
                self.replace_directory,
                self.add_zone,
                self.remove_zone,
                self.break_link,
                self.mend,
                self.mend,
            ),
        )
        self.kinds: dict[str, Callable[[], object]] = {kind.__name__: kind for kind in kinds}

    def queries(self) -> bytes:
        """For hosts that are always listed and some that never are, in random order."""
        listed = [record(self._entries.name(host), A, NOERROR) for host in self._entries.hosts[:5000]]
        others = range(201 << 24, (201 << 24) + 5000)
        queries = listed + [record(self._entries.name(host), A, NXDOMAIN) for host in others]
        self._source.shuffle(queries)
        return b"".join(queries)

    def first(self) -> bytes:
        return message(self._entries.name(self._entries.hosts[0]), A)

    def mend(self) -> None:
        """Put every file back as it should be."""
        if not self.root.is_dir():
            (self._aside / "root").rename(self.root)
        for path, text in self._good.items():
            self._write(path, text.encode())
        self._point("a")

    def rename_over(self) -> None:
        path = self._any()
        self._write(path, (self._good[path] + f"# {self._source.random()}\n").encode())

    def append(self) -> None:
        path = self._list()
        if path.is_file():
            with path.open("a") as file:
                file.write(f"198.51.{self._source.randrange(256)}.{self._source.randrange(256)}\n")

    def truncate(self) -> None:
        path = self._any()
        if path.is_file():
            os.truncate(path, self._source.randrange(path.stat().st_size + 1))

    def swap_link(self) -> None:
        self._point(self._source.choice("ab"))

    def break_link(self) -> None:
        self._point(self._source.choice(("nowhere", "../current", "a/hosts.txt")))

    def remove(self) -> None:
        self._clear(self._other())

    def make_unreadable(self) -> None:
        path = self._any()
        if path.is_file():
            path.chmod(0)

    def make_fifo(self) -> None:
        path = self._any()
        self._clear_directory(path)
        pipe = self._aside / "new-fifo"
        os.mkfifo(pipe)
        pipe.rename(path)

    def make_directory(self) -> None:
        path = self._other()
        self._clear(path)
        path.mkdir()

    def write_garbage(self) -> None:
        path = self._any()
        self._write(path, self._source.choice((b"\0" * 9, b"<html>502</html>\n" * 99, self._source.randbytes(999))))

    def write_long_line(self) -> None:
        path = self._list()
        self._clear(path)
        self._write(path, b"x" * 5_000_000)

    def write_half_gzip(self) -> None:
        path = self._list()
        self._clear(path)
        data = gzip.compress(self._good[path].encode() * 500)
        self._write(path, data[: len(data) // 2])

    def take_directory_away(self) -> None:
        away = self._aside / "root"
        self.root.rename(away)
        time.sleep(self._source.random() * 0.3)
        away.rename(self.root)

    def replace_directory(self) -> None:
        kind = self._source.choice(("nowhere", "served", "aside/file", "aside/fifo"))
        for name, make in (("file", Path.touch), ("fifo", os.mkfifo)):
            if not (self._aside / name).exists():
                make(self._aside / name)
        self._serve(kind)
        time.sleep(self._source.random() * 0.5)
        self._serve("zones")

    def add_zone(self) -> None:
        name = f"new{self._source.randrange(5)}"
        self._write(self.root / f"{name}.yaml", f"zone: {name}.example.org\nentries: [192.0.2.1]\n".encode())

    def remove_zone(self) -> None:
        for path in list(self.root.glob("new*.yaml"))[:2]:
            path.unlink()

    def _other(self) -> Path:
        """Any but the zone file of the zone that is asked: without that one, it is right that the zone goes."""
        return self._source.choice([path for path in self._good if path.name != "bl.yaml"])

    def _any(self) -> Path:
        return self._source.choice(list(self._good))

    def _list(self) -> Path:
        return self._source.choice([path for path in self._good if path.suffix == ".txt"])

    def _serve(self, target: str) -> None:
        link = self._aside / "link"
        link.symlink_to(self.served.parent / target)
        link.rename(self.served)

    def _point(self, release: str) -> None:
        link = self.root / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{release}")
        link.rename(self.root / "current")

    def _write(self, path: Path, data: bytes) -> None:
        self._clear_directory(path)
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(data)
        new.rename(path)

    @staticmethod
    def _clear_directory(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)

    @staticmethod
    def _clear(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


class _Load(threading.Thread):
    """Sends queries until it is stopped."""

    def __init__(self, program: Path, server: Server, queries: Path) -> None:
        super().__init__()
        self._arguments = (program, server.port, _SECONDS, [f"{queries}@{_RATE}"])
        self._ended = threading.Event()
        self.results: list[Traffic] = []

    def run(self) -> None:
        while not self._ended.is_set():
            self.results += send(*self._arguments)

    def stop(self) -> None:
        self._ended.set()
        self.join()


def _descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def _wait_until_quiet(server: Server, reload: bool) -> None:
    """Wait until the server has no loader any more, and has loaded everything as it is now."""
    end = time.monotonic() + _PATIENCE
    before = server.log.read_text().count("zone bl.example.org: ")
    if reload:
        server.signal(signal.SIGHUP)
        while server.log.read_text().count("zone bl.example.org: ") == before:
            if time.monotonic() > end:
                sys.exit(f"it does not reload:\n{server.log.read_text()[-3000:]}")
            time.sleep(0.1)
    while server.descendants():
        if time.monotonic() > end:
            sys.exit("a loader does not end")
        time.sleep(0.1)


def main() -> int:
    """Make the storm; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = random.Random(options.seed)
    done: Counter[str] = Counter()
    killed = 0
    with workshop() as directory:
        storm = Storm(directory, source)
        program, _ = build(directory)
        queries = directory / "queries"
        queries.write_bytes(storm.queries())
        with start_dnsbl(storm.served, os.sched_getaffinity(0), 2) as server:
            server.wait_until_listed(storm.first())
            _wait_until_quiet(server, reload=True)
            before, memory = _descriptors(server), server.memory()
            load = _Load(program, server, queries)
            load.start()
            for number in range(options.edits):
                kind = source.choice(list(storm.kinds))
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    storm.kinds[kind]()
                done[kind] += 1
                if source.random() < 0.05:
                    server.signal(signal.SIGHUP)
                    done["sighup"] += 1
                if source.random() < 0.05:
                    for loader in server.descendants():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(loader, signal.SIGKILL)
                            killed += 1
                time.sleep(source.random() * _PAUSE)
                if number % 100 == 99:
                    say(f"{number + 1} edits, {killed} loaders killed")
            load.stop()
            storm.mend()
            for path in storm.root.glob("new*.yaml"):
                path.unlink()
            _wait_until_quiet(server, reload=True)
            time.sleep(1)
            after, grown = _descriptors(server), server.memory() - memory
            text = server.log.read_text()
            tracebacks, withdrawn = text.count("Traceback"), text.count(f"zone {_ZONE}: withdrawn")
    sent, answered, lost, wrong = (sum(getattr(each, key) for each in load.results) for key in _COUNTS)
    longest = max(each.max for each in load.results) / 1000
    print(f"{options.edits} edits with seed {options.seed}: {dict(done)}, {killed} loaders killed")
    print(f"{sent:,} queries, {answered:,} answered, {lost} lost, {wrong} wrong; longest {longest:.1f} ms")
    print(f"descriptors {before} before, {after} after; memory {grown >> 10:+,} kB; {tracebacks} tracebacks in the log")
    print(f"{_ZONE} was withdrawn {withdrawn} times")
    print(machine())
    return 1 if lost or wrong or after > before or grown > _GROWTH or tracebacks else 0


_COUNTS = ("sent", "answered", "lost", "wrong")

if __name__ == "__main__":
    sys.exit(main())
