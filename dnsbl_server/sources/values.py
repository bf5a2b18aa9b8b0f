"""Single values of a zone file: raw text to a typed value, or a ValueError that says what is accepted.

Owns how a duration, a time, a code, a domain name and a TXT template are written. Knows nothing of YAML, files or
places; the caller adds the place to the error.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address

from dnsbl_server.dns.name import parse_name
from dnsbl_server.model.address import parse_address
from dnsbl_server.model.listing import Template

MAX_TTL = (1 << 31) - 1  # RFC 2181 section 8
MAX_TEXT = 500  # bytes of a TXT answer: what Postfix shows
PLACEHOLDERS = ("what", "ip", "domain", "reason", "zone", "list", "code", "listed", "expires")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(?:[0-9]{1,10}[smhdw])+|[0-9]{1,10}", re.ASCII)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?: ?(?:Z|UTC|[+-][0-9]{2}:[0-9]{2}))?)?",
    re.ASCII,
)
_LIST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


def parse_duration(text: str) -> int:
    """Seconds: `300`, `5m`, `1h30m`, `30d`, `1w`."""
    if not _DURATION.fullmatch(text):
        raise ValueError("not a duration; write seconds or units, like 300, 5m, 1h30m, 30d, 1w")
    if text.isdigit():
        return int(text)
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"([0-9]+)([smhdw])", text))


def parse_ttl(text: str) -> int:
    """A duration that fits a DNS TTL field."""
    seconds = parse_duration(text)
    if seconds > MAX_TTL:
        raise ValueError(f"a TTL is at most {MAX_TTL} seconds")
    return seconds


@lru_cache(10000)
def parse_time(text: str) -> datetime:
    """A date (its midnight) or a time, in UTC where no offset is written."""
    if _TIME.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text.replace(" UTC", "Z").replace("UTC", "Z").replace(" Z", "Z"))
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"no such time ({error})") from None
        if moment.year < 1970:
            raise ValueError("a time before 1970")
        return moment
    raise ValueError("not a date or time; write 2026-11-20 or 2026-11-20T15:00:00Z")


def parse_expiry(text: str, listed: datetime | None) -> datetime:
    """A time, or a duration after `listed`."""
    if _TIME.fullmatch(text):
        moment = parse_time(text)
    elif not _DURATION.fullmatch(text):
        raise ValueError(
            "not a date or time; write 2026-11-20, 2026-11-20T15:00:00Z or how long after `listed`, like 30d"
        )
    elif listed is None:
        raise ValueError("a duration counts from `listed`, which is missing; add it, or write a date")
    else:
        try:
            moment = listed + timedelta(seconds=parse_duration(text))
        except OverflowError:
            raise ValueError("too far in the future") from None
    if listed is not None and moment <= listed:
        raise ValueError("expires before it is listed")
    return moment


def parse_code(text: str) -> int:
    """An answer code as a number: inside 127.0.0.0/8, but no address that clients read as "the list is broken"."""
    try:
        version, code = parse_address(text)
    except ValueError:
        version, code = 0, 0
    if version != 4 or ":" in text or code >> 24 != 127:
        raise ValueError("a code is an address in 127.0.0.0/8, like 127.0.0.2")
    if code == 0x7F000001:
        raise ValueError("127.0.0.1 is no code: clients take it as a sign that the list is broken")
    if code >> 8 == 0x7FFFFF:
        raise ValueError("127.255.255.0/24 is kept for errors: clients take it as a sign that the list is broken")
    return code


def one_of(known: Iterable[str]) -> Callable[[str], str]:
    """What parses one of some words."""
    words = tuple(known)

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return text

    return parse


def parse_bool(text: str) -> bool:
    """`true` or `false`."""
    if text not in ("true", "false"):
        raise ValueError("either true or false")
    return text == "true"


def parse_exchange(text: str) -> tuple[int, str]:
    """An MX value, `10 mx.example.org`: preference and exchange."""
    preference, _, exchange = text.partition(" ")
    if not (preference.isascii() and preference.isdigit() and len(preference) <= 5 and int(preference) <= 65535):
        raise ValueError("an MX is a preference of 0 to 65535 and a name, like 10 mx.example.org")
    return int(preference), parse_name(exchange.strip())


def parse_printable(text: str) -> str:
    """Text for a TXT record: printable ASCII, because it goes into SMTP replies."""
    for position, character in enumerate(text):
        if not " " <= character <= "~":
            raise ValueError(f"only printable ASCII; U+{ord(character):04X} stands at character {position + 1}")
    return text


def parse_list_name(text: str) -> str:
    """The name of a list, which stands in metrics and texts."""
    if not _LIST_NAME.fullmatch(text):
        raise ValueError("a list name is 1 to 63 letters, digits, _ . and -, and starts with a letter or digit")
    return text


def parse_ipv4(text: str) -> str:
    """The value of an A record."""
    address = parse_address(text)
    if address.version != 4 or ":" in text:
        raise ValueError("not an IPv4 address")
    return str(address)


def parse_ipv6(text: str) -> str:
    """The value of an AAAA record."""
    try:
        return str(IPv6Address(text if "%" not in text else ""))
    except ValueError:
        raise ValueError("not an IPv6 address") from None


def parse_text(text: str) -> str:
    """The value of a TXT record."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"a text is at most {MAX_TEXT} bytes long, this has {len(text)}")
    return parse_printable(text)


def parse_template(text: str) -> Template:
    """A TXT template: printable ASCII with {placeholders}; {{ and }} stand for braces."""
    parse_printable(text)
    parts = [""]
    position = 0
    for match in re.finditer(r"\{\{|\}\}|\{([^{}]*)\}|[{}]", text):
        parts[-1] += text[position : match.start()]
        position = match.end()
        token = match.group()
        if token in ("{{", "}}"):
            parts[-1] += token[0]
        elif match.group(1) is None:
            raise ValueError(f"a single {token} at character {match.start() + 1}; write {token * 2} for a brace")
        elif match.group(1) not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"unknown placeholder {token}; there are {known}")
        else:
            parts += [match.group(1), ""]
    parts[-1] += text[position:]
    return Template(tuple(parts))
