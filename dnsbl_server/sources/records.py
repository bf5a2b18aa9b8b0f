"""Records: the fields of one row or object of a list file to an entry with a listing of its own.

Owns which fields there are, how their values are written, and what becomes of a reason that cannot stand in an answer:
other characters than printable ASCII become `?`, and one that is too long is cut, each with a single warning for the
file. Values are bytes, as they stand in the file. Knows neither rows nor objects.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from dnsbl_server.model.address import parse_address
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.entrytext import EntryText, is_name
from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.values import parse_code, parse_expiry, parse_time

FIELDS = ("net", "domain", "reason", "listed", "expires", "code")
LISTING_FIELDS = FIELDS[2:]
# What `number_of` has not found in the columns of a listing.
BAD = -1
# How many distinct listings are known by their bytes; where there are more, they are begun with anew.
MAX_KNOWN = 100_000

_UNIX_TIME = re.compile(r"([0-9]{9,10})(?:\.[0-9]+)?", re.ASCII)
_FRACTION = re.compile(r"(:[0-9]{2})\.[0-9]{1,9}", re.ASCII)
_UNPRINTABLE = re.compile(r"[^ -~]")


class LeftOutError(ValueError):
    """A value is right, but cannot be said here."""


class Records:
    """Puts the entries of one list file into its sink.

    known: the number of the listing for the values of its fields (see `key_of`), BAD where one of them is wrong. It
    never has more than MAX_KNOWN.
    """

    def __init__(self, sink: Sink, fields: Sequence[str]) -> None:
        """fields: those of LISTING_FIELDS that a record has, in the order of their values in a key."""
        self.known: dict[bytes, int] = {}
        self._sink = sink
        self._fields = fields
        self._has_warned_of: set[str] = set()
        self._line = 0

    def add(self, what: Subjects, text: str, line: int, key: bytes) -> None:
        """Take an entry. text: as written; key: of its listing. What is wrong with the listing is noted instead."""
        self._line = line
        number = self.known.get(key, BAD)
        if number == BAD:
            try:
                number = self._read(key)
            except LeftOutError as error:
                self._sink.left_out(line, text, str(error))
                return
            except ValueError as error:
                self._sink.error(line, 0, text, str(error))
                return
        self._sink.add(what, text, line, number)

    def number_of(self, key: bytes, line: int) -> int:
        """The number of a listing that is not known yet; BAD where one of its fields is wrong."""
        self._line = line
        try:
            return self._read(key)
        except ValueError:
            return BAD

    def _read(self, key: bytes) -> int:
        values = dict(zip(self._fields, map(as_text, key.split(b"\n")), strict=True)) if self._fields else {}
        number = self._sink.number_of(self._listing(values))
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
        self.known[key] = number
        return number

    def _listing(self, values: Mapping[str, str]) -> Listing:
        default = self._sink.default
        reason, code, since = values.get("reason"), values.get("code"), values.get("listed")
        until = values.get("expires")
        if not (reason or code or since or until):
            return default
        listed = _called("listed", since, parse_moment) if since else default.listed
        return Listing(
            codes=(_parse_own_code(code),) if code else default.codes,
            reason=self.reason(reason) if reason else default.reason,
            ttl=default.ttl,
            listed=listed,
            expires=_called("expires", until, lambda text: _parse_end(text, listed)) if until else default.expires,
        )

    def reason(self, text: str) -> str:
        """A reason as it can stand in an answer."""
        shown, count = _UNPRINTABLE.subn("?", text)
        if count:
            self._warn_once(text, "a reason is printable ASCII; other characters are shown as ? (in this file)")
        room = self._sink.text.reason_room
        if len(shown) > room:
            self._warn_once(
                text, f"the txt of this list has room for {room} characters of a reason; longer ones are cut"
            )
        return shown[:room].rstrip()

    def _warn_once(self, text: str, message: str) -> None:
        if message not in self._has_warned_of:
            self._has_warned_of.add(message)
            self._sink.warning(self._line, 0, text, message)


def key_of(values: Sequence[bytes]) -> bytes:
    """The values of the fields of a listing as one key."""
    return b"\n".join(values)


def as_text(value: bytes) -> str:
    """A value as text: UTF-8, or else Latin-1, without blanks around it."""
    try:
        return value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()


def parse_entry(text: EntryText, kind: str, values: Sequence[str]) -> Subjects:
    """What the fields of an entry mean: `net`, which may be two, the ends of a range; `domain`; or `either` in one.

    Raises ValueError.
    """
    first = values[0]
    if not first:
        raise ValueError(f"has no {'net or domain' if kind == 'either' else kind}")
    if kind == "net":
        if text.hashing is None and is_name(first):
            raise ValueError("a domain name, in place of a net")
        return text.parse_net("-".join(filter(None, values)))
    if kind == "domain" and text.hashing is None and not is_name(first):
        raise ValueError("not a domain name")
    return text.parse(first)


def check_entry_fields(fields: Mapping[str, Sequence[str]], key: str) -> None:
    """Check where the fields of records stand. Raises ValueError. key: the key of the item that says it."""
    has = [name for name in FIELDS[:2] if name in fields]
    if not has:
        raise ValueError(f"{key} names neither net nor domain")
    if len(has) == 2 and fields["net"] != fields["domain"]:
        raise ValueError(f"{key} names net and domain; both only where they are the same, which has either")
    for name, where in fields.items():
        most = 2 if has == ["net"] and name == "net" else 1
        if not 1 <= len(where) <= most:
            more = ", or two: the first and the last address" if most == 2 else ""
            raise ValueError(f"{name} in {key} has one value{more}")


def parse_moment(text: str) -> datetime:
    """A time in UTC: as in a zone file, with a fraction of a second, which is left out, or seconds since 1970."""
    if found := _UNIX_TIME.fullmatch(text):
        return datetime.fromtimestamp(int(found.group(1)), UTC)
    return parse_time(_FRACTION.sub(r"\1", text))


def _parse_end(text: str, listed: datetime | None) -> datetime:
    if _UNIX_TIME.fullmatch(text):
        text = f"{parse_moment(text):%Y-%m-%dT%H:%M:%SZ}"
    return parse_expiry(_FRACTION.sub(r"\1", text), listed)


def _parse_own_code(text: str) -> int:
    try:
        return parse_code(text)
    except ValueError as error:
        try:
            parse_address(text)
        except ValueError:
            raise ValueError(f"code: {text[:40]!r}: {error}") from None
        raise LeftOutError(f"code {text[:40]!r}: {error}") from None


def _called(name: str, text: str, parse: Callable[[str], datetime]) -> datetime:
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text[:40]!r}: {error}") from None
