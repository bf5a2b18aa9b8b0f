"""rbldnsd's data files: the table of its datasets, and the sections of combined files.

Owns which dataset types are formats of list files, the keys of their items, and how one section of a combined file is
picked. What a dataset means is its module's own.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dnsbl_server.sources.listreader import ListReader, Sink
from dnsbl_server.sources.rbldnsddata import content_of, now_utc, split_special
from dnsbl_server.sources.rbldnsdnames import Dnset
from dnsbl_server.sources.rbldnsdnets import Ip4Set, Ip4Trie, Ip4Tset, Ip6Trie, Ip6Tset
from dnsbl_server.sources.rbldnsdvalues import FutureError, Specials, printable_of

DATASETS = {
    "ip4set": Ip4Set,
    "ip4trie": Ip4Trie,
    "ip4tset": Ip4Tset,
    "ip6trie": Ip6Trie,
    "ip6tset": Ip6Tset,
    "dnset": Dnset,
}
UNREAD = ("generic", "acl", "aclkey", "dnhash", "combined")
_SECTION = re.compile(rb"^[ \t]*[#;:]?\$dataset[ \t][^\n]*\n?", re.IGNORECASE | re.MULTILINE)


def parse_host_bits(text: str) -> str:
    """The value of `host_bits`. Raises ValueError."""
    if text != "clear":
        raise ValueError("host_bits is clear, or is not said")
    return text


def parse_subzone(text: str) -> str:
    """The value of `subzone`: relative to the zone, `@` for the zone itself. Raises ValueError."""
    name = text.lower().removesuffix(".")
    if not name or any(not label for label in name.split(".")):
        raise ValueError("not a name relative to the zone, or @")
    return name


def parse_dataset(text: str) -> int:
    """The value of `dataset`: which one of a subzone, from 1. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= 9999:
        raise ValueError("the number of a dataset, from 1")
    return int(text)


# The keys of the items of a dataset, and of one in a combined file.
KEYS: Mapping[str, Callable[[str], Any]] = {"host_bits": parse_host_bits}
COMBINED_KEYS: Mapping[str, Callable[[str], Any]] = {**KEYS, "subzone": parse_subzone, "dataset": parse_dataset}


def parse_section(text: str) -> tuple[str, list[str]]:
    """The type and the subzones of a `$DATASET` line, from what stands behind that word."""
    words = text.split()
    for at, word in enumerate(words):
        if word.startswith("#"):
            words = words[:at]
            break
    kind = words[0].partition(":")[0].lower() if words else ""
    return kind, [word.lower().removesuffix(".") for word in words[1:]]


class Combined:
    """Reads the datasets of one subzone in a combined file, or the one of them that the item says."""

    def __init__(self, sink: Sink, options: Mapping[str, Any], clock: Callable[[], datetime] = now_utc) -> None:
        self._sink = sink
        self._options = options
        self._clock = clock
        self._subzone = options.get("subzone", "@")
        self._wanted = options.get("dataset", 0)
        self._count = 0
        self._base = Specials()
        self._reader: ListReader | None = None
        self._is_before = True
        self._is_inside = False

    def read(self, block: bytes, line: int) -> int:
        """Read a block of whole lines."""
        count = 0
        at = 0
        for section in _SECTION.finditer(block):
            count += self._read_part(block[at : section.start()], line + count)
            self._begin(section[0], line + count)
            count += 1
            at = section.end()
        return count + self._read_part(block[at:], line + count)

    def next_file(self) -> None:
        """A file begins without a section."""
        self._is_before, self._is_inside = True, False
        if self._reader is not None:
            self._reader.next_file()

    def finish(self) -> None:
        """Everything has been read."""
        if self._reader is not None:
            self._reader.finish()
        elif not self._count:
            self._sink.fail(0, f"no $DATASET is for the subzone {self._subzone}")
        elif self._count < self._wanted:
            self._sink.fail(0, f"the subzone {self._subzone} has no dataset {self._wanted}")

    def _read_part(self, part: bytes, line: int) -> int:
        if self._is_inside and self._reader is not None and part:
            return self._reader.read(part, line)
        lines = part.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if self._is_before:
            for number, each in enumerate(lines, line):
                self._read_before(number, content_of(each))
        return len(lines)

    def _read_before(self, number: int, text: bytes) -> None:
        """Read a line before the first section: specials for all of them."""
        special = split_special(text)
        try:
            if special is not None:
                if not self._base.take(*special, self._clock()):
                    self._sink.warning(number, 0, f"${special[0]}", "unknown special, skipped as rbldnsd does")
            elif text and text[:1] not in b"#;":
                self._sink.fail(number, "an entry before the first $DATASET")
        except FutureError as error:
            self._sink.fail(number, str(error))
        except ValueError as error:
            self._sink.error(number, 0, printable_of(text), str(error))

    def _begin(self, line: bytes, number: int) -> None:
        """Begin a section."""
        self._is_before = self._is_inside = False
        special = split_special(content_of(line.removesuffix(b"\n")))
        kind, subzones = parse_section(special[1] if special else "")
        if kind not in DATASETS and (kind not in UNREAD or kind == "combined"):
            self._sink.fail(number, f"unknown type of dataset: {kind or 'none'}")
            return
        if self._subzone not in subzones:
            return
        self._count += 1
        if self._wanted and self._count != self._wanted:
            return
        if self._count > 1 and not self._wanted:
            self._sink.fail(number, f"the subzone {self._subzone} has several datasets: say which with dataset:")
        elif kind not in DATASETS:
            self._sink.fail(number, f"a dataset of type {kind} cannot be served here")
        else:
            self._reader = DATASETS[kind](self._sink, self._options, self._base, self._clock)
            self._is_inside = True
