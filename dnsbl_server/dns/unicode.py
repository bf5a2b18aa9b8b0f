"""Internationalised names: Unicode to A-labels and back (IDNA 2008, RFC 5890; mapped as UTS 46 says).

Owns all use of the idna library, and which names are safe to show in Unicode. Labels of ASCII alone are left as they
are, underscores and all. Knows no other rules of names.
"""

import unicodedata
from functools import lru_cache

import idna

from dnsbl_server.dns._protocol import MAX_LABEL

_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # what UTS 46 section 2.3 takes for a dot
# Bidirectional classes of what is written from right to left (UAX 9): it moves the text beside it, a dot and ASCII too.
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def to_a_labels(text: str) -> str:
    """A name in lower case, its Unicode labels as A-labels. Raises ValueError.

    The caller bounds how long the text is; a label is refused here before the library looks at it, which may take
    time that grows with the square of its length.
    """
    return ".".join(map(_to_a_label, text.translate(_DOTS).split(".")))


def to_u_labels(name: str) -> str:
    """A name with its A-labels in Unicode, except for those that cannot be shown for what they are."""
    return ".".join(map(_to_u_label, name.split(".")))


@lru_cache(10_000)
def _to_a_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    # An A-label has more characters than its U-label; only some that UTS 46 drops or joins could make up for that.
    if len(label) > MAX_LABEL:
        # Nothing of it is shown: it may hold what a terminal would obey.
        raise ValueError(f"a label is longer than {MAX_LABEL} characters")
    try:
        return idna.encode(label, uts46=True).decode("ascii")
    except UnicodeError as error:
        # The library quotes the label as repr does, and says which character is wrong.
        raise ValueError(f"not an internationalised domain name: {error}") from None


def _to_u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        shown = idna.decode(label)
        is_same = idna.encode(shown) == label.encode("ascii")
    except UnicodeError:
        return label
    is_ordered = _RIGHT_TO_LEFT.isdisjoint(map(unicodedata.bidirectional, shown))
    return shown if is_same and is_ordered and shown.isprintable() else label
