"""Test entries (RFC 5782 section 5): 127.0.0.2, 127.0.0.N for each code 127.0.0.N, and the name `test`.

Owns which of them a zone has and what they answer. They come from the codes and from nothing else: no entry, exclusion
or expiry changes them. The addresses are in zones with a list of addresses, the name in those with a list of names.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from dnsbl_server.compiler.answers import Answers
from dnsbl_server.compiler.layers import distinct_listings
from dnsbl_server.model.address import LONGEST_TEXT, LOOPBACK_FIRST
from dnsbl_server.model.domain import TEST
from dnsbl_server.model.listing import DEFAULT_CODE, DEFAULT_TEXT, TEST_REASON, Listing, describe_listing
from dnsbl_server.model.zone import BlockList
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table.answersize import MAX_MESSAGE, size_around, size_of_codes, size_of_text
from dnsbl_server.table.layout import ADDRESS_MARK, Answer, Intervals, mark_of


def add_test_entries(v4: Intervals, answers: Answers) -> None:
    """Put the test entries into the columns of IPv4; each answers its own address."""
    zone = answers.zone
    texts: dict[int, list[str]] = {DEFAULT_CODE: []}
    for block_list in zone.lists:
        for code in sorted(_codes_of(block_list) if block_list.has_addresses else ()):
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
        held = tuple(
            (NO_LIST, text) for text in _sendable(texts[code], LONGEST_TEXT[4], size_around(zone.name, has_names=False))
        )
        number = answers.number_of(Answer((code,), held, zone.ttl))
        v4.firsts.insert(at, code)
        v4.lasts.insert(at, code)
        v4.answers.insert(at, number)
        at += 1


def test_name_answer(answers: Answers) -> int:
    """The number of the answer of the name `test`: the codes of all lists of names, and a text for each."""
    zone = answers.zone
    codes: dict[int, None] = {}
    texts = []
    for block_list in zone.lists:
        if block_list.has_names:
            codes.update(dict.fromkeys(sorted(_codes_of(block_list))))
            test = Listing(block_list.listing.codes, TEST_REASON, zone.ttl)
            texts.append(describe_listing(zone.name, block_list.name, block_list.template, test, mark_of(1)))
    around = size_around(zone.name, has_names=True)
    held = tuple((NO_LIST, text) for text in _sendable(texts, len(TEST), around))
    # As many as one message can carry: no list is to be refused because of its test entry.
    most = (MAX_MESSAGE - around) // size_of_codes(Answer((0,), (), 0))
    return answers.number_of(Answer(tuple(codes)[:most], held, zone.ttl))


def _codes_of(block_list: BlockList) -> set[int]:
    listings = (block_list.listing, *distinct_listings(block_list))
    return {code for listing in listings for code in listing.codes}


def _sendable(texts: list[str], shown: int, size: int) -> Iterator[str]:
    """The first of the texts, as many as a message of `size` bytes can carry besides.

    shown: how many characters the address or name has that they show.
    """
    for text in texts:
        size += size_of_text(text, shown)
        if size > MAX_MESSAGE:
            return
        yield text
