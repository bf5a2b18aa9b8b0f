"""Test entries (RFC 5782 section 5): 127.0.0.2, and 127.0.0.N for each code 127.0.0.N of the zone.

Owns which of them a zone has and what they answer. They come from the codes and from nothing else: no entry, exclusion
or expiry changes them.
"""

from array import array
from bisect import bisect_right

from dnsbl_server.compiler.answers import Answers
from dnsbl_server.compiler.layers import distinct_listings
from dnsbl_server.model.address import LOOPBACK_FIRST
from dnsbl_server.model.listing import DEFAULT_CODE, DEFAULT_TEXT, TEST_REASON, Listing, describe_listing
from dnsbl_server.table._format import NO_LIST
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
        number = answers.number_of(Answer((code,), tuple((NO_LIST, text) for text in texts[code]), zone.ttl))
        v4.firsts.insert(at, code)
        v4.lasts.insert(at, code)
        v4.answers.insert(at, number)
        at += 1
