"""Very many zone files and list files changed at random: `python -m fuzz.files --files N --seed S`.

The invariant: whatever a file holds, reading it raises nothing, and gives a zone or at least one error, whose text is
one line; a zone without errors compiles to a table that opens, or to errors; a list file lists nothing of 127.0.0.0/8,
whatever its format and however it is compressed; a file of at most 32 KB takes at most two seconds of the processor,
and the process at most a gigabyte of memory.

The files are made from the samples in `zones`, the zones beside this file, the cases of the tests, and `lists`: a
folder for each format, with files of it, and in `items` what an item may say of them, a line for each way. A format
that has no folder gets the files of `plain`. They are written to memory (/dev/shm) and read from there like any others.
What breaks the invariant is printed, and kept in `--keep`. `--format` tries list files of one format alone.
"""

import argparse
import bz2
import gzip
import lzma
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dnsbl_server.compiler.compile import compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import LOOPBACK_FIRST, LOOPBACK_LAST, Address
from dnsbl_server.model.entry import NAMES
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.document import read_document
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.fileitem import FileItem, ItemReader
from dnsbl_server.sources.listable import can_be_listed
from dnsbl_server.sources.listfile import FORMATS, read_list_file
from dnsbl_server.sources.zonefile import read_zone_file
from dnsbl_server.table.table import ZoneTable
from tests.conftest import NOW

_ROOT = Path(__file__).parent.parent
_LISTS = _ROOT / "fuzz" / "lists"
_ITEMS = "items"
_PACK = (bytes, bytes, bytes, bytes, gzip.compress, bz2.compress, lzma.compress)
# How many list files are read without a zone file for each that is read with one.
_WITHOUT_ZONE = 20
_SEEDS = ("zones", "fuzz/zones", "tests/sources/cases")
_MOST = 32_768  # bytes of a file
_SLOW = 2.0  # seconds of processor time
_MEMORY = 1 << 30
_LISTING = Listing((0x7F000002,), "", 300)
_REPORT = 60.0
_PIECES = (
    *(b"zone: ", b"lists:\n", b"entries: ", b"files: ", b"except: ", b"code: ", b"txt: ", b"expires: ", b"ttl: "),
    *(b"- ", b": ", b"\n", b"\r\n", b"\t", b" ", b"#", b"'", b'"', b"[", b"]", b"{", b"}", b",", b"&a ", b"*a", b"!!"),
    *(b"|\n", b">\n", b"---\n", b"...\n", b"? ", b"<<: ", b"%YAML 1.1\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xc3"),
    *(b"\xe2\x80\xa8", b"\xf0\x9f\x98\x80", b"\x1f\x8b\x08\0", b"{ip}", b"{reason}", b"{expires}", b"{", b"}"),
    *(b"0.0.0.0/0", b"::/0", b"192.0.2.0/24", b"192.0.2.1-192.0.2.0", b"2001:db8::-2001:db8:ffff::ffff", b"/33"),
    *(b"999999999999999999999", b"-1", b"0x10", b"010", b"1e9", b"inf", b"nan", b"1d", b"9999-12-31T23:59:59Z"),
    *(
        b"0000-00-00",
        b"127.0.0.2",
        b"!192.0.2.1",
        b"a" * 64,
        b"xn--",
        b"." * 4,
        b"../" * 3,
        b"/dev/zero",
        b"~",
        b"null",
    ),
)


class Way(NamedTuple):
    """One way to read list files. text: the keys of the item, as written; item: what these say."""

    name: str
    text: str
    item: FileItem


def ways(only: str = "") -> list[Way]:
    """The ways to read the files of each format, or of one."""
    found = []
    for name in FORMATS:
        items = _LISTS / name / _ITEMS
        for text in items.read_text().splitlines() if items.exists() else [""]:
            problems = Problems()
            node = read_document(f"{{path: x, format: {name}, {text}}}".encode(), "item", problems)
            item = ItemReader("item", problems).file_item(node) if node is not None else None
            if item is None:
                raise ValueError(f"{items}: {text}: {', '.join(map(str, problems.errors))}")
            if name == (only or name):
                found.append(Way(name, text, item))
    return found


class Failure(NamedTuple):
    """A file that breaks the invariant, and how."""

    name: str
    data: bytes
    what: str


class Mutator:
    """Files changed at random; a seed decides them."""

    def __init__(self, seed: int, only: str = "") -> None:
        """only: of which format list files are made, and nothing else; empty: of all, and zone files."""
        self._random = random.Random(seed)
        self._only = only
        self._ways = ways(only)
        paths = [path for name in _SEEDS for path in sorted((_ROOT / name).rglob("*")) if path.is_file()]
        self._seeds = {".yaml": [path.read_bytes()[:_MOST] for path in paths if path.suffix == ".yaml"]}
        # Of the cases most are wrong already.
        good = [path.read_bytes()[:_MOST] for path in paths if path.suffix == ".yaml" and "invalid" not in path.parts]
        self._seeds[".yaml"] += good * (len(self._seeds[".yaml"]) // len(good))
        for name in FORMATS:
            folder = _LISTS / name if (_LISTS / name).is_dir() else _LISTS / "plain"
            self._seeds[name] = [path.read_bytes()[:_MOST] for path in sorted(folder.iterdir()) if path.name != _ITEMS]
        self._seeds["plain"] += [path.read_bytes()[:_MOST] for path in paths if path.suffix == ".txt"]

    def make(self) -> tuple[Way | None, bytes]:
        """How a file is read, None for a zone file, and what it holds."""
        if not self._only and self._random.random() < 0.4:
            return None, self._changed(".yaml")
        way = self._random.choice(self._ways)
        data = self._random.choice(_PACK)(self._changed(way.name))
        if data[:2] in (b"\x1f\x8b", b"BZ", b"\xfd7") and self._random.random() < 0.5:
            packed = bytearray(data)
            self._change(packed, way.name)
            data = bytes(packed)
        return way, data

    def _changed(self, kind: str) -> bytes:
        data = bytearray(self._random.choice(self._seeds[kind]))
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 6))):
            self._change(data, kind)
            # A line that is repeated again and again
            del data[_MOST:]
        return bytes(data)

    def _change(self, data: bytearray, kind_of_file: str) -> None:
        choose, below = self._random.choice, self._random.randrange
        at = below(len(data) + 1)
        end = min(len(data), at + choose((0, 1, 1, 2, 4, 8, 40)))
        kind = below(8)
        if kind == 0:
            data[at:end] = self._random.randbytes(choose((0, 1, 2, 8)))
        elif kind in (1, 2):
            data[at:end] = choose(_PIECES)
        elif kind == 3:
            data[at:] = choose(self._seeds[kind_of_file])[at:]
        elif kind == 4:
            data[at:at] = data[at:end] * choose((1, 2, 100))
        elif kind == 5:
            lines = data.splitlines(keepends=True)
            self._random.shuffle(lines)
            data[:] = b"".join(lines)
        elif kind == 6:
            lines = data.splitlines(keepends=True) or [bytearray()]
            lines.insert(below(len(lines) + 1), choose(lines) * choose((1, 1, 50)))
            data[:] = b"".join(lines)
        else:
            del data[at:]


def check(path: Path, way: Way | None, seen: Counter[str]) -> None:
    """Read a file; way: how, None where it is a zone file. Raises what it should not, and AssertionError."""
    problems = Problems()
    if way is None:
        _check_zone_file(path, problems)
    elif seen.total() % _WITHOUT_ZONE:
        _check_list_file(path, way, problems)
    else:
        zone_file = path.with_suffix(".of-list.yaml")
        zone_file.write_text(f"zone: bl.example.org\nfiles: [{{path: {path.name}, format: {way.name}, {way.text}}}]\n")
        _check_zone_file(zone_file, problems)
    for problem in (*problems.errors, *problems.warnings):
        text = str(problem)
        assert text.isprintable(), f"no printable line: {text!r}"
        text.encode()
    seen["errors" if problems.errors else "fine"] += 1


def _check_zone_file(path: Path, problems: Problems) -> None:
    result = read_zone_file(str(path), problems, lambda *_: None)
    assert result.failed == bool(problems.errors) or result.states
    assert result.failed or result.zone is not None, "neither a zone nor an error"
    if result.zone is None or result.failed:
        return
    compiled = compile_zone(ZoneRib(result.zone, problems), 2026112300, NOW, problems)
    assert compiled is not None or problems.errors, "neither a table nor an error"
    if compiled is not None:
        found = ZoneTable(compiled.table).find(Address(4, LOOPBACK_FIRST + 1), NOW)
        assert found is None, "127.0.0.1 is listed"


def _check_list_file(path: Path, way: Way, problems: Problems) -> None:
    def accept(what: Subjects, written: str, place: Place) -> bool:
        return can_be_listed(what, written, place, problems)

    text = EntryText("bl.example.org", reason_room=200)
    reading = read_list_file(
        [str(path)], _LISTING, problems, lambda *_: None, accept, text, way.item.format, way.item.options
    )
    file = reading.file
    for net in file.nets[4]:
        assert net[0] < LOOPBACK_FIRST or net[1] > LOOPBACK_LAST, "lists something of 127.0.0.0/8 alone"
    for family, numbers in file.numbers.items():
        assert len(numbers) == len(file.names if family == NAMES else file.nets[family])
        assert max(numbers, default=0) <= len(file.listings)
    for listing in file.listings:
        assert listing.reason.isascii(), "a reason is not ASCII"
        assert len(listing.reason) <= text.reason_room, "a reason is too long"


def _run(job: tuple[int, int, Path, str]) -> tuple[Counter[str], float, list[Failure]]:
    """Try so many files; how many were fine, the longest time of one, and the first few that broke the invariant."""
    count, seed, directory, only = job
    mutator = Mutator(seed, only)
    seen: Counter[str] = Counter()
    failures: dict[str, Failure] = {}
    longest = 0.0
    place = directory / str(seed)
    shutil.copytree(_ROOT / "zones", place)
    for number in range(count):
        way, data = mutator.make()
        path = place / f"tried.{way.name if way else 'yaml'}"
        path.write_bytes(data)
        started = time.process_time()
        try:
            check(path, way, seen)
            took = time.process_time() - started
            longest = max(longest, took)
            assert took < _SLOW, f"it took {took:.1f} s"
        except Exception as error:
            seen["broken"] += 1
            frame = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {error}"
            failures.setdefault(
                f"{frame.filename}:{frame.lineno}", Failure(f"{seed}-{number}{path.suffix}", data, what)
            )
    return seen, longest, list(failures.values())


def _jobs(files: int, seed: int, directory: Path, only: str) -> Iterator[tuple[int, int, Path, str]]:
    each = 5000
    for number in range(-(-files // each)):
        yield min(each, files - number * each), seed * 1_000_000 + number, directory, only


def main() -> None:
    """Run it, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=tuple(FORMATS), default="")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path(".build/files"))
    options = parser.parse_args()
    shared = Path("/dev/shm")
    started = reported = time.monotonic()
    seen: Counter[str] = Counter()
    longest = 0.0
    kept: dict[str, Failure] = {}
    with (
        tempfile.TemporaryDirectory(prefix="dnsbl-files-", dir=shared if shared.is_dir() else None) as name,
        multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=4) as pool,
    ):
        for counted, slowest, failures in pool.imap_unordered(
            _run, _jobs(options.files, options.seed, Path(name), options.format)
        ):
            seen += counted
            longest = max(longest, slowest)
            for failure in failures:
                kept.setdefault(failure.what.partition(":")[0] + failure.what[:60], failure)
            if time.monotonic() - reported > _REPORT:
                reported = time.monotonic()
                print(f"{seen.total():,} of {options.files:,} files, {len(kept)} kinds of failures", flush=True)
    seconds = time.monotonic() - started
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    print(
        f"{seen.total():,} files with seed {options.seed} in {seconds:,.0f} s ({seen.total() / seconds:,.0f}/s): "
        f"{seen['errors']:,} with errors, {seen['fine']:,} without, {seen['broken']:,} that broke the invariant; "
        f"the slowest took {longest * 1000:,.0f} ms, the largest process {memory >> 20} MB"
    )
    for failure in kept.values():
        options.keep.mkdir(parents=True, exist_ok=True)
        (options.keep / failure.name).write_bytes(failure.data)
        print(f"{options.keep / failure.name}: {failure.what}")
    sys.exit(bool(kept) or memory > _MEMORY)


if __name__ == "__main__":
    main()
