"""Reversed addresses: the labels that an address has in front of a zone's name (RFC 5782 sections 2.1 and 2.4).

Owns how such labels are read and written. Knows no zones.
"""

from collections.abc import Sequence
from typing import NamedTuple

from dnsbl_server.model.address import MAPPED_FIRST, MAPPED_LAST, Address
from dnsbl_server.model.domain import Domain
from dnsbl_server.model.subject import Subject


class Reversed(NamedTuple):
    """What the labels in front of a zone's name mean.

    address: a whole address, else None; partial: whether they are the end of a longer one.
    `1.0.0.2` is both: the address 2.0.0.1 and the end of an IPv6 name.
    """

    address: Address | None
    partial: bool


def parse_reversed(labels: Sequence[bytes]) -> Reversed:
    """Read a reversed address (RFC 5782 sections 2.1 and 2.4): octets, or nibbles in either case."""
    address: Address | None = None
    partial = False
    if len(labels) <= 4 and all(_is_octet(label) for label in labels):
        if len(labels) == 4:
            address = Address(4, int.from_bytes(bytes(int(label) for label in reversed(labels))))
        else:
            partial = True
    if len(labels) <= 32 and all(len(label) == 1 and label in _NIBBLES for label in labels):
        if len(labels) == 32:
            number = int(b"".join(reversed(labels)), 16)
            mapped = MAPPED_FIRST <= number <= MAPPED_LAST
            address = Address(4, number & 0xFFFFFFFF) if mapped else Address(6, number)
        else:
            partial = True
    return Reversed(address, partial)


_NIBBLES = b"0123456789abcdefABCDEF"


def _is_octet(label: bytes) -> bool:
    return label.isdigit() and len(label) <= 3 and (label[:1] != b"0" or len(label) == 1) and int(label) <= 255


def query_name(subject: Subject, zone: str) -> str:
    """The name that a client asks for (RFC 5782 sections 2.1, 2.4 and 2.2)."""
    if isinstance(subject, Domain):
        return f"{subject.name}.{zone}"
    version, number = subject
    parts = list(number.to_bytes(4)) if version == 4 else list(f"{number:032x}")
    return ".".join(map(str, reversed(parts))) + f".{zone}"
