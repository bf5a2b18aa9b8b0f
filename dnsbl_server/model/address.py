"""Addresses, CIDRs and ranges: text to numbers and back.

Owns `Address`, and `Net`, the inclusive range of addresses that one line or entry means, and what such text may look
like. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is the IPv4 address, here and everywhere else. Knows nothing
of lists.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

BITS = {4: 32, 6: 128}
MAPPED_FIRST = 0xFFFF << 32
MAPPED_LAST = MAPPED_FIRST | 0xFFFFFFFF
LOOPBACK_FIRST = 127 << 24
LOOPBACK_LAST = LOOPBACK_FIRST | 0xFFFFFF
# Characters of the longest address of each version as text.
LONGEST_TEXT = {4: len("255.255.255.255"), 6: len("ffff:" * 7 + "ffff")}
# What "the whole Internet" is: every address that a host can have from its provider, RFC 1122 section 3.2.1.3 and
# the part of IPv6 that IANA hands out.
INTERNET = {4: (1 << 24, (224 << 24) - 1), 6: (0x2000 << 112, (0x4000 << 112) - 1)}

_NET = "address, CIDR, range or domain name"


class Address(NamedTuple):
    """One address; version: 4 or 6."""

    version: int
    number: int

    def __str__(self) -> str:
        """The address as text (RFC 5952 for IPv6)."""
        return str(IPv4Address(self.number) if self.version == 4 else IPv6Address(self.number))


class Net(NamedTuple):
    """The addresses `first` to `last`, both of them included; `version` is 4 or 6."""

    version: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many addresses there are."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        cidrs = list(cidrs_of(self))
        if len(cidrs) > 1:
            return f"{Address(self.version, self.first)}-{Address(self.version, self.last)}"
        return format_cidr(self.version, *cidrs[0])


def without_loopback(net: Net) -> list[Net]:
    """The parts of a net outside 127.0.0.0/8: none, one or two."""
    if net.version == 6 or net.last < LOOPBACK_FIRST or net.first > LOOPBACK_LAST:
        return [net]
    parts = (Net(4, net.first, LOOPBACK_FIRST - 1), Net(4, LOOPBACK_LAST + 1, net.last))
    return [part for part in parts if part.first <= part.last]


def parse_address(text: str, accepted: str = "address") -> Address:
    """One address; a mapped one is IPv4.

    Raises ValueError; `accepted` is what its text says that there should be.
    """
    try:
        return Address(4, int.from_bytes(inet_pton(AF_INET, text)))
    except (OSError, ValueError):
        pass
    if ":" in text:
        try:
            number = int.from_bytes(inet_pton(AF_INET6, text))
        except (OSError, ValueError):
            raise ValueError("not an IPv6 address") from None
        if MAPPED_FIRST <= number <= MAPPED_LAST:
            return Address(4, number & 0xFFFFFFFF)
        return Address(6, number)
    raise ValueError(_what_is_wrong_with(text, accepted))


def _what_is_wrong_with(text: str, accepted: str) -> str:
    octets = text.split(".")
    if all(octet.isascii() and octet.isdigit() for octet in octets):
        if len(octets) != 4:
            return f"an IPv4 address has 4 octets, not {len(octets)}"
        if any(len(octet) > 1 and octet[0] == "0" for octet in octets):
            return "an octet has no leading zero"
        return "an octet must be 0 to 255"
    return f"not an {accepted}"


def parse_net(text: str) -> Net:
    """An address, a CIDR or a range `first-last`, of either version.

    Raises ValueError for anything else, for a CIDR with host bits set, and for the whole Internet.
    """
    head, slash, length = text.partition("/")
    if slash:
        net = _parse_cidr(head, length)
    else:
        head, dash, tail = text.partition("-")
        version, first = parse_address(head.strip() if dash else head, _NET)
        last = first
        if dash:
            end_version, last = parse_address(tail.strip(), _NET)
            if end_version != version:
                raise ValueError("a range does not mix IPv4 and IPv6")
            if last < first:
                raise ValueError("the range ends before it starts")
        net = Net(version, first, last)
    low, high = INTERNET[net.version]
    if net.first <= low and net.last >= high:
        raise ValueError(f"covers the whole IPv{net.version} Internet")
    return net


def _parse_cidr(head: str, length: str) -> Net:
    version, first = parse_address(head, _NET)
    mapped = version == 4 and ":" in head
    bits = 128 if mapped else BITS[version]
    if not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= bits):
        raise ValueError(f"prefix length must be 0 to {bits}")
    if len(length) > 1 and length[0] == "0":
        raise ValueError("a prefix length has no leading zero")
    size = int(length)
    if mapped:
        if size < 96:
            raise ValueError("host bits are set: an IPv4-mapped prefix is /96 or longer")
        bits, size = 32, size - 96
    host = (1 << (bits - size)) - 1
    if first & host:
        raise ValueError(f"host bits are set; the network is {format_cidr(version, first & ~host, size)}")
    return Net(version, first, first | host)


def cidrs_of(net: Net) -> Iterator[tuple[int, int]]:
    """The fewest CIDRs that make up a net, as (first address, prefix length), in order."""
    first, last = net.first, net.last
    bits = BITS[net.version]
    while first <= last:
        # The largest block that starts here and does not pass the end.
        aligned = (first & -first).bit_length() - 1 if first else bits
        size = min(aligned, (last - first + 1).bit_length() - 1)
        yield first, bits - size
        first += 1 << size


def format_cidr(version: int, first: int, length: int) -> str:
    """The CIDR as text; a single address goes without its length."""
    shown = str(Address(version, first))
    return shown if length == BITS[version] else f"{shown}/{length}"
