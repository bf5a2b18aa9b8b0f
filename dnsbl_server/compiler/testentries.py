"""Test entries (RFC 5782 section 5): 127.0.0.2, and 127.0.0.N for each code 127.0.0.N of the zone.

Owns which of them a zone has and what they answer. They come from the codes and from nothing else: no entry, exclusion
or expiry changes them.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from dnsbl_server.compiler.answers import Answers
from dnsbl_server.compiler.layers import distinct_listings
from dnsbl_server.model.address import LOOPBACK_FIRST
from dnsbl_server.model.listing import DEFAULT_CODE, DEFAULT_TEXT, TEST_REASON, Listing, describe_listing
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table.answersize import MAX_MESSAGE, size_around, size_of_text
from dnsbl_server.table.layout import ADDRESS_MARK, Answer, Intervals


def add_test_entries(v4: Intervals, answers: Answers) -> None:
    """Put the test entries into the columns of IPv4; each answers its own address."""
    zone = answers.zone
    texts: dict[int, list[str]] = {DEFAULT_CODE: []}
    for block_list in zone.lists:
        listings = (block_list.listing, *distinct_listings(block_list))
        codes = {code for listing in listings for code in listing.codes}
        for code in sorted(codes):
            if code >> 8 == LOOPBACK_FIRST >> 8:
                test = Listing((code,), TEST_REASON, zone.ttl)
                text = describe_listing(zone.name, block_list.name, block_list.template, test, ADDRESS_MARK)
                texts.setdefault(code, []).append(text)
    if not texts[DEFAULT_CODE]:
        test = Listing((DEFAULT_CODE,), TEST_REASON, zone.ttl)
        texts[DEFAULT_CODE].append(describe_listing(zone.name, "", DEFAULT_TEXT, test, ADDRESS_MARK))
    assert isinstance(v4.firsts, array)
    assert isinstance(v4.lasts, array)
    at = bisect_right(v4.firsts, LOOPBACK_FIRST)
    for code in sorted(texts):
        held = tuple((NO_LIST, text) for text in _sendable(texts[code], zone.name))
        number = answers.number_of(Answer((code,), held, zone.ttl))
        v4.firsts.insert(at, code)
        v4.lasts.insert(at, code)
        v4.answers.insert(at, number)
        at += 1


def _sendable(texts: list[str], zone: str) -> Iterator[str]:
    """The first of the texts, as many as one message can carry: no list is to be refused because of its test entry."""
    size = size_around(zone)
    for text in texts:
        size += size_of_text(text, 4)
        if size > MAX_MESSAGE:
            return
        yield text
