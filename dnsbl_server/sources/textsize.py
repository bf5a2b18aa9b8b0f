"""How long the TXT answers of a list become.

Owns the two limits of a text, the size of an answer for the longest address or name, and what to say of a text that is
too long or that mail servers cut. Knows no nodes.
"""

from dataclasses import replace
from datetime import UTC, datetime

from dnsbl_server.model.address import LONGEST_TEXT
from dnsbl_server.model.domain import Domains
from dnsbl_server.model.listing import OF_SUBJECT, Listing, Template, describe_listing
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.values import MAX_TEXT

SHORT_TEXT = 255  # bytes of its first string: what Exim and Postfix show
_LONGEST_CODE = 0x7FFEFEFE  # 127.254.254.254
_LONGEST_TIME = datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)


class AnswerText:
    """What the TXT answers of a list are made from."""

    def __init__(self, zone: str, name: str, template: Template) -> None:
        """name: that of the list."""
        self.zone = zone
        self.list = name
        self.template = template

    def may_be_long(self, listing: Listing, longest: int) -> bool:
        """Whether an answer of the listing may have more than SHORT_TEXT bytes; much cheaper than making it."""
        parts = (listing.text or self.template).parts
        value = max(longest, len(listing.reason), len(self.zone), len(self.list), 17 * len(listing.codes))
        return sum(map(len, parts[::2])) + value * (len(parts) // 2) > SHORT_TEXT

    def size(self, listing: Listing, longest: int) -> int:
        """How many bytes the answer of the listing has for an address or a name of so many characters."""
        return len(describe_listing(self.zone, self.list, self.template, listing, "x" * longest))

    def room(self, listing: Listing) -> int:
        """How many characters of a name an answer has room for."""
        marks = sum(each in OF_SUBJECT for each in self.template.parts[1::2])
        return (MAX_TEXT - self.size(listing, 0)) // marks if marks else MAX_TEXT

    def reason_room(self, listing: Listing, longest: int) -> int:
        """How many characters of a reason an answer has room for, whatever times and code the listing has.

        longest: characters of an address or a name.
        """
        marks = self.template.parts[1::2].count("reason")
        if not marks:
            return MAX_TEXT
        # One of its own is never longer than two of the list.
        codes = listing.codes if len(listing.codes) > 1 else (_LONGEST_CODE,)
        full = replace(listing, codes=codes, reason="x", listed=_LONGEST_TIME, expires=_LONGEST_TIME)
        one = self.size(full, longest)
        return max(0, (MAX_TEXT - one + marks) // marks)


def shown_size(what: Subjects) -> int:
    """How many characters a text shows at most for what an entry means."""
    return len(what.name) if isinstance(what, Domains) else LONGEST_TEXT[what.version]


def check_size(size: int) -> tuple[str, bool] | None:
    """What is wrong with a text of so many bytes, and whether that is only a warning; None where nothing is."""
    if size > MAX_TEXT:
        return f"the TXT answer is at most {MAX_TEXT} bytes long; this makes it {size}", False
    if size > SHORT_TEXT:
        return f"the TXT answer can be {size} bytes long, and Exim and Postfix show the first {SHORT_TEXT}", True
    return None
