"""Internationalised names: Unicode to A-labels and back (IDNA 2008, RFC 5890; mapped as UTS 46 says).

Owns all use of the idna library, which is loaded when the first such name comes: most lists have none, and every load
would pay for it. Labels of ASCII alone are left as they are, underscores and all.
"""

import unicodedata
from functools import cache
from importlib import import_module
from typing import Any

_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # what UTS 46 takes for a dot
_MAX_LABEL = 63  # RFC 1035 section 2.3.4; one of Unicode has no more characters than its A-label


@cache
def _idna() -> Any:
    return import_module("idna")


def to_a_labels(text: str) -> str:
    """A name in lower case, its Unicode labels as A-labels. Raises ValueError."""
    return ".".join(map(_to_a_label, text.translate(_DOTS).split(".")))


def _to_a_label(label: str) -> str:
    if label.isascii():
        return label.lower()
    if len(label) > _MAX_LABEL:
        raise ValueError(f"label {label[:20]}... is longer than {_MAX_LABEL} characters")
    try:
        return str(_idna().encode(label, uts46=True).decode("ascii")).lower()
    except UnicodeError as error:  # IDNAError is one
        raise ValueError(f"not an internationalised domain name: {error}") from None


def to_u_labels(name: str) -> str:
    """A name with its A-labels in Unicode, as far as they can be shown for what they are."""
    return ".".join(map(_to_u_label, name.split(".")))


def _to_u_label(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        shown = str(_idna().decode(label))
        same = _idna().encode(shown) == label.encode("ascii")
    except UnicodeError:
        return label
    # What is written from right to left would put a line out of order.
    is_plain = all(
        unicodedata.bidirectional(each) not in ("R", "AL", "AN", "RLE", "RLO", "LRE", "LRO") for each in shown
    )
    return shown if same and is_plain and shown.isprintable() else label
