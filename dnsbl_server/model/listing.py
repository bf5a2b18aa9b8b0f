"""Listings: what being listed means, and the text that a client gets.

Owns `Listing`, the template of a TXT answer and how it is filled in. Nothing of it changes once it is made. Knows
neither files nor DNS messages nor tables.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from dnsbl_server.model.address import Address

DEFAULT_TTL = 300
DEFAULT_CODE = (127 << 24) | 2
TEST_REASON = "test entry (RFC 5782)"
# The placeholders of a template in whose place the listed address or name stands; a list has those that fit to it.
OF_SUBJECT = frozenset(("ip", "domain", "what"))


@dataclass(frozen=True, slots=True)
class Template:
    """The template of a TXT answer: literal strings and the names of placeholders, in turn, a literal first."""

    parts: tuple[str, ...]

    def fill(self, values: dict[str, str]) -> str:
        parts = list(self.parts)
        parts[1::2] = [values[name] for name in parts[1::2]]
        return "".join(parts)

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(self.parts[1::2])


# {what} is listed in {zone}: {reason}; until {expires}
DEFAULT_TEXT = Template(("", "what", " is listed in ", "zone", ": ", "reason", "; until ", "expires", ""))
# {what} is listed in {zone} ({list}): {reason}; until {expires}
DEFAULT_TEXT_OF_LIST = Template(
    ("", "what", " is listed in ", "zone", " (", "list", "): ", "reason", "; until ", "expires", "")
)


@dataclass(frozen=True, slots=True)
class Listing:
    """What being listed means: shared by all entries of a list that say nothing of their own.

    codes: A records, as numbers inside 127.0.0.0/8; ttl: seconds; listed, expires: None where not said; text: the
    template of its TXT answer, None where it is that of its list.
    """

    codes: tuple[int, ...]
    reason: str
    ttl: int
    listed: datetime | None = None
    expires: datetime | None = None
    text: Template | None = None

    @property
    def expires_at(self) -> int:
        """When the listing ends, in seconds since 1970; 0 is never."""
        return max(1, int(self.expires.timestamp())) if self.expires else 0


@lru_cache(10000)
def format_time(moment: datetime) -> str:
    """A date where it is midnight UTC, else the time to the second."""
    moment = moment.astimezone(UTC)
    if moment.hour == moment.minute == moment.second == 0:
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def describe_listing(zone: str, name: str, text: Template, listing: Listing, what: str) -> str:
    """The TXT answer of a listing on the list `name`, whose template is `text`.

    what: the listed address or name, or what stands for it.
    """
    return (listing.text or text).fill(
        {
            **dict.fromkeys(OF_SUBJECT, what),
            "reason": listing.reason or "no reason given",
            "zone": zone,
            "list": name,
            "code": _format_codes(listing.codes),
            "listed": format_time(listing.listed) if listing.listed else "an unknown date",
            "expires": format_time(listing.expires) if listing.expires else "further notice",
        }
    )


@lru_cache(10000)
def _format_codes(codes: tuple[int, ...]) -> str:
    return ", ".join(str(Address(4, code)) for code in codes)
