"""What a zone's own name answers: the values of its SOA, NS, A, AAAA, MX and TXT records.

Owns the typed values, with nothing left to check. Knows neither files nor the wire form.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA record without its serial (RFC 1035 section 3.3.13); times in seconds."""

    mname: str
    rname: str
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800


@dataclass(frozen=True, slots=True)
class Apex:
    """What the zone's own name answers besides SOA and NS; mx: (preference, exchange)."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    mx: tuple[tuple[int, str], ...] = ()
    txt: tuple[str, ...] = ()
