"""rbldnsd's values: the A record and the text behind an entry, and the specials that change what they mean.

Owns how a value, a time and a special are written in rbldnsd's data files, and how a text with `$` becomes a template
of ours: `$` is what is listed, `{what}`. Knows no datasets and no entries. Source: rbldnsd.8, and the program.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from dnsbl_server.model.listing import Template
from dnsbl_server.sources.values import MAX_TEXT

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(r"([0-9]{1,9})([smhdw]?)", re.ASCII | re.IGNORECASE)
_STAMP = re.compile(
    r"([0-9]{4})[:-]?([0-9]{2})[:-]?([0-9]{2})(?:[:-]?([0-9]{2})(?:[:-]?([0-9]{2})(?:[:-]?([0-9]{2}))?)?)?", re.ASCII
)
_CODE = re.compile(rb":([0-9]+(?:\.[0-9]+){0,3})[ \t]*(?::[ \t]*(.*))?", re.DOTALL)
_MARK = re.compile(r"\$([$=0-9]?)")


class Value(NamedTuple):
    """What stands behind an entry. code: as a number; text: as written, empty where there is none."""

    code: int
    text: bytes


def parse_value(text: bytes, default: Value) -> Value:
    """A value, without blanks around it. Raises ValueError."""
    if not text or text[:1] in b"#;":
        return default
    if text[:1] != b":":
        return Value(default.code, text)
    found = _CODE.fullmatch(text)
    if not found:
        raise ValueError("not an A record of rbldnsd, like :2:text or :127.0.0.2:text")
    own = found[2]
    return Value(parse_a(found[1].decode()), default.text if own is None else own)


def parse_default(text: bytes) -> Value:
    """A default line, which begins with a colon: without a text there is none. Raises ValueError."""
    return parse_value(text, Value(0, b""))


def parse_a(text: str) -> int:
    """One to four octets, of which a single one is the last of 127.0.0.0/24, as a number. Raises ValueError."""
    octets = [int(each) for each in text.split(".") if len(each) < 10]
    if len(octets) != text.count(".") + 1 or any(octet > 255 for octet in octets):
        raise ValueError("an octet is at most 255")
    if len(octets) == 1:
        octets = [127, 0, 0, *octets]
    *first, last = octets
    octets = [*first, *[0] * (3 - len(first)), last]
    number = int.from_bytes(bytes(octets), "big")
    if not number or octets == [127, 0, 0, 0]:
        raise ValueError("no A record: 0")
    return number


def parse_seconds(text: str) -> int:
    """A time: a number with at most one unit. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError("not a time of rbldnsd: digits and at most one of s, m, h, d, w")
    return int(found[1]) * _UNITS.get(found[2].lower(), 1)


def parse_stamp(text: str) -> datetime | None:
    """A point in time in UTC; None where it is not given. Raises ValueError."""
    if text in ("0", "-"):
        return None
    found = _STAMP.fullmatch(text)
    if not found:
        raise ValueError("not a time stamp: yyyy:mm:dd:hh:mi:ss")
    year, month, day, hour, minute, second = (int(each or 0) for each in found.groups())
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


@dataclass
class Specials:
    """What the specials of one dataset say. variables: by their digit, and `=` for the base template."""

    variables: dict[str, str] = field(default_factory=dict)
    ttl: int | None = None
    expires: datetime | None = None
    largest: int = 1 << 32
    below: "Specials | None" = None

    def variable(self, name: str) -> str | None:
        """The text of a variable, of this dataset or of what stands before all sections of a combined file."""
        own = self.variables.get(name)
        return own if own is not None or self.below is None else self.below.variable(name)

    def seconds(self) -> int:
        """The TTL; 0 where none is said."""
        if self.ttl is None:
            return self.below.seconds() if self.below else 0
        return self.ttl

    def ends(self) -> datetime | None:
        """When the data expires; the earliest of several."""
        found = [each for each in (self.expires, self.below.ends() if self.below else None) if each]
        return min(found, default=None)

    def take(self, word: str, rest: str, now: datetime) -> bool:
        """Take a special, without its `$`; false where it is unknown. Raises ValueError, and FutureError."""
        word = word.lower()
        if word in ("soa", "ns", "nameserver"):
            return True
        if len(word) == 1 and word in "0123456789=":
            if not rest:
                raise ValueError(f"${word} has no text")
            self.variables.setdefault(word, rest)
        elif word == "ttl":
            self.ttl = parse_seconds(rest)
        elif word == "maxrange4":
            self._take_largest(rest)
        elif word == "timestamp":
            self._take_stamp(rest.split(), now)
        else:
            return False
        return True

    def _take_largest(self, text: str) -> None:
        bits = text[1:] if text.startswith("/") else ""
        if not (bits or text).isdigit() or not (bits or text).isascii():
            raise ValueError("$MAXRANGE4 is a number of addresses, or /bits")
        if bits and int(bits) > 32:
            raise ValueError("at most /32")
        size = 1 << (32 - int(bits)) if bits else int(text)
        if not size:
            raise ValueError("$MAXRANGE4 is at least 1")
        self.largest = min(self.largest, size)

    def _take_stamp(self, words: list[str], now: datetime) -> None:
        if not 1 <= len(words) <= 2:
            raise ValueError("$TIMESTAMP has a time and perhaps an expiry")
        stamp = parse_stamp(words[0])
        if stamp and stamp > now:
            raise FutureError("$TIMESTAMP is in the future")
        expires = None
        if len(words) == 2 and words[1].startswith("+"):
            if stamp is None:
                raise ValueError("the expiry counts from a time that is not given")
            expires = datetime.fromtimestamp(stamp.timestamp() + parse_seconds(words[1][1:]), UTC)
        elif len(words) == 2:
            expires = parse_stamp(words[1])
        if expires and (self.expires is None or expires < self.expires):
            self.expires = expires


class FutureError(Exception):
    """The data is from the future, and is not loaded."""


def printable_of(text: bytes) -> str:
    """A text, with a question mark for each byte that is no printable character of ASCII."""
    if text.isascii() and (shown := text.decode("ascii")).isprintable():
        return shown
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in text)


def template_of(text: str, specials: Specials) -> Template | None:
    """The template that the text of an entry makes with the base template; None where the answer has no text."""
    base = specials.variable("=")
    if text.startswith("="):
        text = text[1:]
    elif base is not None:
        return _template(base, specials.variable, text)
    return _template(text, specials.variable, None) if text else None


def _template(text: str, variable: Callable[[str], str | None], own: str | None) -> Template | None:
    """A text with `$` as a template; own: what `$=` is, None where it is the text itself. Nothing is expanded twice."""
    if "$" not in text:
        return Template((text,)) if text else None
    parts = [""]
    at = 0
    for mark in _MARK.finditer(text):
        parts[-1] += text[at : mark.start()]
        at = mark.end()
        name = mark[1]
        if name == "$":
            parts[-1] += "$"
        elif name.isdigit():
            found = variable(name)
            parts[-1] += mark[0] if found is None else found
        elif name == "=" and (own is None or own):
            parts[-1] += text if own is None else own
        else:
            parts += ["what", ""]
    parts[-1] += text[at:]
    return Template(tuple(parts)) if parts != [""] else None


def cut(template: Template, longest: int, limit: int = MAX_TEXT) -> Template:
    """The template, cut so that an answer has at most `limit` bytes where a placeholder has `longest`."""
    parts: list[str] = []
    size = 0
    for at, part in enumerate(template.parts):
        width = longest if at % 2 else len(part)
        if size + width > limit:
            return Template((*parts, part[: limit - size])) if at % 2 == 0 else Template(tuple(parts))
        parts.append(part)
        size += width
    return template
