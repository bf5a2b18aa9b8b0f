"""What a table says of its zone: the JSON section, as typed values.

Owns `TableInfo`, and how it is written and read. Reading is strict: a field that is missing, unknown or of a wrong type
or range is a `TableError` that names it, so a `TableInfo` need not be checked again. Plain dataclasses: the
loader process must not import pydantic.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from typing import Any

from dnsbl_server.dns._protocol import MAX_LABEL, MAX_NAME
from dnsbl_server.dns.name import labels_of
from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.table.layout import TableError

_MAX16 = (1 << 16) - 1
_MAX32 = (1 << 32) - 1
_MAX63 = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class ListInfo:
    """One list of the zone, and how many entries it has that had not expired: of each version, and of names."""

    name: str
    v4: int
    v6: int
    names: int

    @property
    def entries(self) -> int:
        """All of them."""
        return self.v4 + self.v6 + self.names


@dataclass(frozen=True, slots=True)
class TableInfo:
    """What a table says of its zone.

    zone: the name, without the final dot; ttl, negative_ttl: seconds; as_of: when the table was made, in seconds since
    1970; sources: the files that it was made from; lists: in the order of the zone file; expired: how many entries
    were left out because they had expired; next_expiry: when the next one expires, in seconds since 1970, 0 is never;
    digest: of all that is answered but the serial (`pack` makes it).
    """

    zone: str
    ttl: int
    negative_ttl: int
    soa: Soa
    ns: tuple[str, ...]
    apex: Apex
    serial: int
    as_of: float
    sources: tuple[str, ...]
    lists: tuple[ListInfo, ...]
    expired: int
    next_expiry: int
    digest: str = ""

    @property
    def entries(self) -> int:
        """How many entries are served."""
        return sum(each.entries for each in self.lists)


def write_info(info: TableInfo) -> bytes:
    """The JSON section."""
    return json.dumps(asdict(info)).encode()


def answered_part(info: TableInfo) -> bytes:
    """What of it shows in answers, the serial aside."""
    part = asdict(info)
    for name in ("serial", "as_of", "sources", "expired", "next_expiry", "digest"):
        del part[name]
    return json.dumps(part).encode()


def read_info(section: bytes) -> TableInfo:
    """Read the JSON section. Raises TableError."""
    try:
        value = json.loads(section)
    except (ValueError, RecursionError) as error:
        raise TableError(f"meta is not JSON: {error}") from error
    info: TableInfo = _INFO(value, "meta")
    return info


# How a field is read: its value in JSON and its name, to its value here.
_Read = Callable[[Any, str], Any]


def _whole(largest: int) -> _Read:
    def read(value: Any, where: str) -> int:
        # In Python, True is an int too.
        if type(value) is not int or not 0 <= value <= largest:
            raise TableError(f"{where} is not a whole number of 0 to {largest}")
        return value

    return read


def _time(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not isfinite(value):
        raise TableError(f"{where} is not a time")
    return float(value)


def _text(value: Any, where: str) -> str:
    if type(value) is not str:
        raise TableError(f"{where} is not a text")
    return value


def _ascii(value: Any, where: str) -> str:
    if not _text(value, where).isascii():
        raise TableError(f"{where} is not ASCII text")
    return str(value)


def _name(value: Any, where: str) -> str:
    name = _ascii(value, where)
    labels = labels_of(name)
    if len(name) + 2 > MAX_NAME or not all(0 < len(label) <= MAX_LABEL for label in labels):
        raise TableError(f"{where} is not a domain name")
    return name


def _address(kind: type[IPv4Address] | type[IPv6Address]) -> _Read:
    def read(value: Any, where: str) -> str:
        try:
            kind(_text(value, where))
        except ValueError as error:
            raise TableError(f"{where} is not an IP address: {error}") from error
        return str(value)

    return read


def _tuple_of(item: _Read) -> _Read:
    def read(value: Any, where: str) -> tuple[Any, ...]:
        if type(value) is not list:
            raise TableError(f"{where} is not a list")
        return tuple(item(each, f"{where}[{at}]") for at, each in enumerate(value))

    return read


def _pair(first: _Read, second: _Read) -> _Read:
    def read(value: Any, where: str) -> tuple[Any, Any]:
        if type(value) is not list or len(value) != 2:
            raise TableError(f"{where} is not a pair")
        return first(value[0], f"{where}[0]"), second(value[1], f"{where}[1]")

    return read


def _record(kind: type[Any], **known: _Read) -> _Read:
    """A JSON object as a dataclass; `known`: how each of its fields is read."""
    assert tuple(known) == tuple(field.name for field in fields(kind))

    def read(value: Any, where: str) -> Any:
        if type(value) is not dict:
            raise TableError(f"{where} is not an object")
        for name in value:
            if name not in known:
                raise TableError(f"{where}.{name} is not known")
        for name in known:
            if name not in value:
                raise TableError(f"{where}.{name} is missing")
        return kind(**{name: item(value[name], f"{where}.{name}") for name, item in known.items()})

    return read


_INFO = _record(
    TableInfo,
    zone=_name,
    ttl=_whole(_MAX32),
    negative_ttl=_whole(_MAX32),
    soa=_record(Soa, mname=_name, rname=_name, refresh=_whole(_MAX32), retry=_whole(_MAX32), expire=_whole(_MAX32)),
    ns=_tuple_of(_name),
    apex=_record(
        Apex,
        a=_tuple_of(_address(IPv4Address)),
        aaaa=_tuple_of(_address(IPv6Address)),
        mx=_tuple_of(_pair(_whole(_MAX16), _name)),
        txt=_tuple_of(_ascii),
    ),
    serial=_whole(_MAX32),
    as_of=_time,
    sources=_tuple_of(_text),
    lists=_tuple_of(_record(ListInfo, name=_text, v4=_whole(_MAX63), v6=_whole(_MAX63), names=_whole(_MAX63))),
    expired=_whole(_MAX63),
    next_expiry=_whole(_MAX63),
    digest=_ascii,
)
