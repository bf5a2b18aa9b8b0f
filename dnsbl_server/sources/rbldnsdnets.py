"""rbldnsd's sets of addresses: ip4set, ip4trie, ip4tset, ip6trie, ip6tset.

Owns how they write addresses, and what decides where several entries hold one: in an ip4set the smallest whole block of
/8, /16, /24 or /32 that an entry or an exclusion has once it is broken up; in a trie the longest prefix, and of one
prefix the line that comes first.
"""

import re
from array import array
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from dnsbl_server.model._spans import Spans, duplicates, sorted_spans
from dnsbl_server.model.address import LONGEST_TEXT, LOOPBACK_FIRST, LOOPBACK_LAST, Net
from dnsbl_server.sources._rbldnsd import move_spans, whole_blocks
from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.rbldnsddata import BLANKS, EXCLUDED, FIRST_VALUE, Dataset, now_utc, why_unsaid
from dnsbl_server.sources.rbldnsdvalues import Specials, Value, parse_default

# What the entries of an ip4set may be broken up into; as many lines may a file have.
MAX_BLOCKS = 100_000_000
_KEY4 = re.compile(rb"[^ \t#;:]*")
_NET4 = re.compile(rb"([0-9]+(?:\.[0-9]+){0,3})(?:/([0-9]+)|-([0-9]+(?:\.[0-9]+){0,3}))?")
_HEX = re.compile(rb"[0-9A-Fa-f]+")
_BEHIND6 = re.compile(rb"(?:/([0-9]+))?(?=[ \t#;:]|$)")


class NetDataset(Dataset):
    """A set of addresses of one version."""

    version = 4

    def __init__(
        self,
        sink: Sink,
        options: Mapping[str, Any],
        below: Specials | None = None,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        self.rows = Spans(self.version)
        self.longest_subject = LONGEST_TEXT[self.version]
        super().__init__(sink, options, self.rows, below, clock)
        self.scanner.takes_lengths = not isinstance(self, OneValue)
        if not sink.text.takes_nets:
            sink.fail(0, "the list takes no addresses: its txt has {domain}, or it has hash")

    def add(self, net: Net, rest: bytes, number: int, is_excluded: bool) -> None:
        """Add a row. rest: the value, as it is written. Raises ValueError."""
        size = net.last - net.first + 1
        if self.version == 4 and size > self.specials.largest:
            self.sink.left_out(number, str(net), "larger than $MAXRANGE4")
            return
        if is_excluded:
            kind = EXCLUDED
        elif net.version == 4 and net.first >= LOOPBACK_FIRST and net.last <= LOOPBACK_LAST:
            self.kind_of(rest, number)
            self.sink.left_out(number, str(net), "left out: the test entries of 127.0.0.0/8 come from the codes")
            return
        else:
            kind = self.kind_of(rest, number)
        self.rows.append(net.first, net.last, number)
        self.scanner.kinds.append(kind)

    def move(self, rows: Spans, kinds: "array[int]", dropped: bytearray) -> None:
        """Put rows into the sink."""
        numbers = self.numbers()
        into = self.sink.v4 if self.version == 4 else self.sink.v6
        others: list[tuple[int, int, int, int]] = []
        of_rows = self.sink.numbers(self.version)
        of_rows.extend(move_spans(rows, kinds, dropped, numbers, into, lambda *row: others.append(row)))
        for first, last, number, kind in others:
            net = Net(self.version, first, last)
            if kind < FIRST_VALUE:
                self.sink.exclude(net, number)
            else:
                self.sink.add(net, str(net), number, numbers[kind])


class Ip4Set(NetDataset):
    """An ip4set: blocks at octet borders, of which the smallest decides."""

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take a line. Raises ValueError."""
        key = _key(text)
        net = parse_net4(key, self.clears_host_bits, takes_ranges=True)
        self.add(net, text[len(key) :].strip(BLANKS), number, is_excluded)

    def finish(self) -> None:
        """Break everything up, and join what is equal."""
        try:
            rows, kinds = whole_blocks(self.rows, self.scanner.kinds, MAX_BLOCKS)
        except OverflowError:
            self.sink.fail(0, f"more than {MAX_BLOCKS:,} blocks, once its entries are broken up at octet borders")
            return
        dropped = bytearray(len(rows))
        laters, earliers = duplicates(sorted_spans(4, [rows]))
        groups: dict[int, list[int]] = {}
        for later, earlier in zip(laters, earliers, strict=True):
            groups.setdefault(earlier, [kinds[earlier]]).append(kinds[later])
            dropped[later] = True
        for earlier, found in groups.items():
            kinds[earlier] = self.merged(found)
        self.move(rows, kinds, dropped)


class Trie(NetDataset):
    """An ip4trie or ip6trie: the longest prefix decides, and of one prefix the first line."""

    def finish(self) -> None:
        """Leave out what comes again."""
        dropped = bytearray(len(self.rows))
        for later in duplicates(sorted_spans(self.version, [self.rows]))[0]:
            dropped[later] = True
        self.move(self.rows, self.scanner.kinds, dropped)


class Ip4Trie(Trie):
    """An ip4trie."""

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take a line. Raises ValueError."""
        key = _key(text)
        net = parse_net4(key, self.clears_host_bits, takes_all=True)
        self.add(net, text[len(key) :].strip(BLANKS), number, is_excluded)


class Ip6Trie(Trie):
    """An ip6trie."""

    version = 6

    def is_default(self, text: bytes) -> bool:
        """Two colons are an address."""
        return text.startswith(b":") and not text.startswith(b"::")

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take a line. Raises ValueError."""
        net, rest = parse_net6(text, self.clears_host_bits)
        self.add(net, rest, number, is_excluded)


class OneValue(Trie):
    """A set in which all entries have the first default of the dataset, wherever it stands."""

    _first: Value | None = None

    def next_file(self) -> None:
        """The default is that of the whole dataset."""

    def set_default(self, text: bytes) -> None:
        """Only the first one counts. Raises ValueError."""
        value = parse_default(text)
        self._first = self._first or value

    def kind_of(self, text: bytes, number: int) -> int:
        """Values of entries are not even looked at."""
        self.scanner.values[b"" if text[:1] in b"#;" else text] = FIRST_VALUE
        return FIRST_VALUE

    def finish(self) -> None:
        """All entries have the one value, where it can be said."""
        value = self._first or self._default
        reason = why_unsaid(value.code)
        if reason:
            for _, _, number in self.rows:
                self.sink.left_out(number, "", reason)
            return
        self.kind_of_values((value,))
        super().finish()


class Ip4Tset(OneValue):
    """An ip4tset: single addresses, without exclusions."""

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take a line. Raises ValueError."""
        key = _key(text)
        if is_excluded or key.count(b".") != 3 or not _NET4.fullmatch(key) or b"/" in key or b"-" in key:
            raise ValueError("an ip4tset has single addresses, and no exclusions")
        self.add(parse_net4(key, False), text[len(key) :].strip(BLANKS), number, False)


class Ip6Tset(OneValue):
    """An ip6tset: /64 networks of four words, and excluded addresses."""

    version = 6

    def is_default(self, text: bytes) -> bool:
        """Two colons are an address."""
        return text.startswith(b":") and not text.startswith(b"::")

    def take_entry(self, number: int, text: bytes, is_excluded: bool) -> None:
        """Take a line. Raises ValueError."""
        net, rest = parse_net6(text, False)
        is_single = net.first == net.last
        has_length = b"/" in text[: len(text) - len(rest)]
        if has_length or (is_excluded and not is_single) or (not is_excluded and net.last - net.first != (1 << 64) - 1):
            raise ValueError("an ip6tset has networks of four words, and excludes single addresses")
        self.add(net, rest, number, is_excluded)


def _key(text: bytes) -> bytes:
    found = _KEY4.match(text)
    return found[0] if found else b""


def _octets(text: bytes) -> list[int]:
    octets = [int(each) for each in text.split(b".") if len(each) < 10]
    if len(octets) != text.count(b".") + 1 or any(octet > 255 for octet in octets):
        raise ValueError("an octet is at most 255")
    return octets


def _number(octets: list[int], fill: int) -> int:
    return int.from_bytes(bytes([*octets, *[fill] * (4 - len(octets))]), "big")


def parse_net4(text: bytes, clears_host_bits: bool, takes_ranges: bool = False, takes_all: bool = False) -> Net:
    """An address with one to four octets, a CIDR or a range. takes_all: /0 is one. Raises ValueError."""
    found = _NET4.fullmatch(text)
    if not found:
        raise ValueError("no IPv4 address, CIDR or range of rbldnsd")
    octets = _octets(found[1])
    first = _number(octets, 0)
    if found[3] is not None:
        if not takes_ranges:
            raise ValueError("only an ip4set has ranges")
        end = _octets(found[3])
        if len(end) == 1:
            end = [*octets[:-1], *end]
        last = _number(end, 255)
        if len(end) != len(octets) or last < first:
            raise ValueError("the ends of a range have as many octets, and the first is no larger")
        return Net(4, first, last)
    if found[2] is None:
        if len(octets) == 1:
            raise ValueError("one octet alone is no network; write 10/8")
        return Net(4, first, _number(octets, 255))
    if len(found[2]) > 4:
        raise ValueError("a prefix length is at most 32")
    return _cidr(4, first, int(found[2]), clears_host_bits, takes_all)


def _cidr(version: int, first: int, length: int, clears_host_bits: bool, takes_all: bool) -> Net:
    bits = 32 if version == 4 else 128
    if length > bits or (not length and not takes_all):
        raise ValueError(f"a prefix length is {0 if takes_all else 1} to {bits}")
    host = (1 << (bits - length)) - 1
    if first & host and not clears_host_bits:
        raise ValueError("host bits are set; host_bits: clear takes it, as rbldnsd -e does")
    return Net(version, first & ~host, first | host)


def parse_net6(text: bytes, clears_host_bits: bool) -> tuple[Net, bytes]:
    """An IPv6 address or CIDR at the start of a line, and the value behind it. Raises ValueError.

    Missing words at the end are a shorter prefix, unless `::` is written.
    """
    head: list[int] = []
    tail: list[int] | None = None
    at = 0
    if text.startswith(b"::"):
        tail, at = [], 2
    while word := _HEX.match(text, at):
        number = int(word[0][-9:], 16)
        if number > 0xFFFF or word[0][:-9].strip(b"0"):
            raise ValueError("a word of an IPv6 address is at most ffff")
        (head if tail is None else tail).append(number)
        at = word.end()
        words = len(head) + len(tail or ())
        if text.startswith(b"::", at) and tail is None and words < 8:
            tail, at = [], at + 2
        elif words < 8 and text.startswith(b":", at) and _HEX.match(text, at + 1):
            at += 1
        else:
            break
    behind = _BEHIND6.match(text, at)
    words = len(head) + len(tail or ())
    if not behind or (not words and tail is None) or words > 8 or (tail is not None and words == 8):
        raise ValueError("no IPv6 address or CIDR of rbldnsd")
    missing = 8 - words
    all_words = [*head, *[0] * missing, *(tail or ())]
    first = int.from_bytes(b"".join(each.to_bytes(2, "big") for each in all_words), "big")
    rest = text[behind.end() :].strip(BLANKS)
    if behind[1] is not None:
        return _cidr(6, first, int(behind[1][-4:]), clears_host_bits, True), rest
    if words == 1 and tail is None:
        raise ValueError("one word alone is no network; write 2001::/16")
    return _cidr(6, first, 128 if tail is not None else 16 * words, False, True), rest
