"""How long the TXT answers of a list become.

Owns the two limits of a text, the size of an answer for the longest address, and what to say of a text that is too long
or that mail servers cut. Knows no nodes.
"""

from dnsbl_server.model.listing import Listing, Template, describe_listing
from dnsbl_server.sources.values import MAX_TEXT

SHORT_TEXT = 255  # bytes of its first string: what Exim and Postfix show
# The longest address of each version as text.
_LONGEST = {4: "255.255.255.255", 6: "ffff:" * 7 + "ffff"}


class AnswerText:
    """What the TXT answers of a list are made from."""

    def __init__(self, zone: str, name: str, template: Template) -> None:
        """name: that of the list."""
        self.zone = zone
        self.list = name
        self.template = template
        self._literal = sum(map(len, template.parts[::2]))

    def may_be_long(self, listing: Listing) -> bool:
        """Whether an answer of the listing may have more than SHORT_TEXT bytes; much cheaper than making it."""
        longest = len(_LONGEST[6])
        value = max(longest, len(listing.reason), len(self.zone), len(self.list), 17 * len(listing.codes))
        return self._literal + value * (len(self.template.parts) // 2) > SHORT_TEXT

    def size(self, listing: Listing, version: int) -> int:
        """How many bytes the answer of the listing has for the longest address of a version."""
        return len(describe_listing(self.zone, self.list, self.template, listing, _LONGEST[version]))


def check_size(size: int) -> tuple[str, bool] | None:
    """What is wrong with a text of so many bytes, and whether that is only a warning; None where nothing is."""
    if size > MAX_TEXT:
        return f"the TXT answer is at most {MAX_TEXT} bytes long; this makes it {size}", False
    if size > SHORT_TEXT:
        return f"the TXT answer can be {size} bytes long, and Exim and Postfix show the first {SHORT_TEXT}", True
    return None
