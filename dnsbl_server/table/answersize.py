"""How large the messages become that carry an answer of a table.

Owns the arithmetic: the largest message with the A records of an answer and the largest with its TXT records, for the
longest question and the longest address there can be. It is that of `respond` and `_records`, of which nothing is known
here; a test holds them together.
"""

import re

from dnsbl_server.dns._protocol import HEADER_SIZE, MAX_NAME, MAX_TCP
from dnsbl_server.table.layout import ADDRESS_MARK, LABELS_MARK, Answer

MAX_MESSAGE = MAX_TCP  # bytes: what TCP can carry (RFC 1035 section 4.2.2)
# Bytes of a question without its name, of an OPT record, and of a record without its data, whose owner is a pointer.
_QUESTION = 4
_OPT = 11
_RECORD = 12
_CODE = 4
_STRING = 255  # bytes of one string of a TXT record (RFC 1035 section 3.3.14)
# A reversed IPv6 address, which an IPv4 address can be asked for as well (::ffff:0:0/96).
_LONGEST_REVERSED = 64
_NAME = re.compile(f"{LABELS_MARK}.", re.DOTALL)


def size_around(zone: str, has_names: bool) -> int:
    """Bytes of a message without its answers. zone: its name; has_names: whether it lists domain names."""
    longest = MAX_NAME if has_names else min(len(zone) + 2 + _LONGEST_REVERSED, MAX_NAME)
    return HEADER_SIZE + longest + _QUESTION + _OPT


def size_of_codes(answer: Answer) -> int:
    """Bytes of its A records."""
    return (_RECORD + _CODE) * len(answer.codes)


def size_of_texts(answer: Answer, longest: int) -> int:
    """Bytes of its TXT records, where an address or a name has so many characters."""
    return sum(size_of_text(text, longest) for _, text in answer.texts)


def size_of_text(text: str, longest: int) -> int:
    """Bytes of the TXT record of a text with marks, where an address or a name has so many characters."""
    if LABELS_MARK in text:
        text = _NAME.sub(ADDRESS_MARK, text)
    length = len(text) + (longest - 1) * text.count(ADDRESS_MARK)
    return _RECORD + length + max(1, -(-length // _STRING))
