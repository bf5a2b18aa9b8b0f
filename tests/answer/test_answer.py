"""The compiled answer is that of its specification, byte for byte, for any query to any zone."""

from collections.abc import Callable
from ipaddress import IPv6Address
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbl_server.answer import _outcome
from dnsbl_server.answer.respond import OUTCOMES, Outcome
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import Address
from dnsbl_server.model.zone import Zone
from tests import oracle
from tests.answer.test_packets import APEX, HOSTILE, LISTED, LISTS, PACKETS, RECORD, TEXT
from tests.answer.test_respond_edns import NO_QUERIES
from tests.asking import ZONE, header, name_wire, opt, padded, plain, question
from tests.conftest import NOW
from tests.profiles import examples
from tests.sameness import Both, make_packet, snapshots

# Of a message behind its questions.
RECORDS = (
    *(RECORD, RECORD[:-1], b"\0" + RECORD[2:], b"\1a\0" + RECORD[2:], b"\x40" + RECORD[2:]),
    *(opt(), opt(512, 0, 0x8000), opt(4096, 1, 0x8000, b"?"), opt(options=b"\0\x0a\0\1x"), opt(options=b"\0\x0a\0\2x")),
    *(opt(owner=b"\1a\0"), opt(owner=b"\xc0\x0c"), opt()[:-1]),
)


@given(snapshots(), st.integers(0, 1 << 63))
@settings(max_examples=examples(2), suppress_health_check=list(HealthCheck))
def test_any_packet_gets_the_answer_of_the_specification(world: tuple[Both, list[Zone]], seed: int) -> None:
    both, zones = world
    random = Random(seed)
    moments = sorted({moment for zone in zones for moment in oracle.moments(zone)} | {NOW})
    for _ in range(100):
        both.check(make_packet(random, zones), random.choice(moments), random.random() < 0.3)


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=examples(4))
def test_any_bytes_get_the_answer_of_the_specification(packet: bytes, tcp: bool) -> None:
    Both([]).check(packet, NOW, tcp)
    Both([]).check(packet[:2] + b"\1\0\0\1\0\0\0\0\0\0" + packet[2:], NOW, tcp)


@pytest.fixture
def both(snapshot_of: Callable[..., Snapshot]) -> Both:
    snapshot = snapshot_of(f"{TEXT}lists:\n{LISTS}")
    return Both([zone.table for zone in snapshot.zones.values()])


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())
def test_packets_whole_cut_and_changed_anywhere(both: Both, packet: bytes) -> None:
    for at in range(len(packet)):
        both.check(packet[:at])
        both.check(packet[:at] + packet[at + 1 :])
        both.check(packet[:at] + packet[at:][:1] + packet[at:])
        for bit in (0x01, 0x10, 0x80, 0xFF):
            both.check(packet[:at] + bytes([packet[at] ^ bit]) + packet[at + 1 :])
    for tcp in (False, True):
        both.check(packet, tcp=tcp)


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("length", [2, 3, 63])
@pytest.mark.parametrize("end", [b"\0", APEX], ids=["root", "zone"])
def test_labels_of_one_character_up_to_the_longest_name(both: Both, before: int, length: int, end: bytes) -> None:
    """Some stand before a longer label, and so many behind it that the name has 246 to 260 bytes."""
    for size in range(246, 261):
        rest, odd = divmod(size - len(end) - 2 * before - 1 - length, 2)
        labels = [b"a"] * before + [b"b" * (length + odd)] + [b"c"] * rest
        packet = header() + question(name_wire(*labels)[:-1] + end)
        reply = both.check(packet)
        assert (reply.outcome is Outcome.FORMERR) == (length + odd > 63 or size > 255)
        for cut in range(1, 20):
            assert both.check(packet[:-cut]).outcome is Outcome.FORMERR


@pytest.mark.parametrize("length", range(1, 10))
def test_lengths_inside_of_labels(both: Both, length: int) -> None:
    """A character may look like the length of a label of one character."""
    for before in range(5):
        for character in b"\0\1\2":
            labels = [b"a"] * before + [bytes([character]) * length] + [b"c"] * 5
            both.check(header() + question(name_wire(*labels)[:-1] + APEX))


@pytest.mark.parametrize("count", [1, 4, 16, 17, 31, 32, 33])
def test_every_nibble_of_an_address(both: Both, count: int) -> None:
    nibbles = [b"%x" % (number * 7 % 16) for number in range(count)]
    for at in range(count):
        for character in b"09afAF/:@G`g\0\xff\x10":
            labels = [*nibbles[:at], bytes([character]), *nibbles[at + 1 :]]
            both.check(header() + question(name_wire(*labels)[:-1] + APEX))
            both.check(header() + question(name_wire(*labels[:at], b"aa", *labels[at:])[:-1] + APEX))


@pytest.mark.parametrize("at", range(32))
def test_an_address_that_differs_in_one_nibble_is_another(snapshot_of: Callable[..., Snapshot], at: int) -> None:
    address = 0x20010DB8_01234567_89ABCDEF_02468ACE
    other = address ^ 1 << 4 * at
    snapshot = snapshot_of(f"{TEXT}entries: ['{IPv6Address(address)}']\n")
    both = Both([zone.table for zone in snapshot.zones.values()])
    for number, outcome in ((address, Outcome.LISTED), (other, Outcome.NOT_LISTED)):
        assert both.check(plain(query_name(Address(6, number), ZONE))).outcome is outcome


def test_addresses_of_the_same_and_of_different_64s(snapshot_of: Callable[..., Snapshot]) -> None:
    first = 0x20010DB8 << 96
    listed = {first + (high << 64) + low for high in range(0, 6, 2) for low in (0, 2, 4, (1 << 64) - 1)}
    snapshot = snapshot_of(f"{TEXT}entries: {[str(IPv6Address(each)) for each in sorted(listed)]}\n")
    both = Both([zone.table for zone in snapshot.zones.values()])
    for number in {each + beside for each in listed for beside in (-1, 0, 1)}:
        outcome = Outcome.LISTED if number in listed else Outcome.NOT_LISTED
        assert both.check(plain(query_name(Address(6, number), ZONE))).outcome is outcome


@pytest.mark.parametrize(("packet", "is_read"), NO_QUERIES.values(), ids=NO_QUERIES.keys())
def test_no_queries_with_and_without_a_readable_opt(both: Both, packet: bytes, is_read: bool) -> None:
    for opcode in range(16):
        for tcp in (False, True):
            reply = both.check(packet[:2] + bytes([packet[2] | opcode << 3]) + packet[3:], tcp=tcp)
            assert reply.packet is not None
            assert bool(reply.packet[11]) == is_read or reply.qtype


@given(
    questions=st.lists(st.sampled_from((LISTED, b"\0", b"\xc0\x0c", b"\x40")), max_size=3),
    records=st.lists(st.sampled_from(RECORDS), max_size=5),
    counts=st.tuples(*[st.integers(-1, 1)] * 4),
    sections=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    flags=st.sampled_from((0, 0x0100, 0x2000, 0x2800)),
    rest=st.binary(max_size=2),
)
@settings(max_examples=examples(10))
def test_questions_and_records_of_all_kinds(
    questions: list[bytes],
    records: list[bytes],
    counts: tuple[int, ...],
    sections: tuple[int, int],
    flags: int,
    rest: bytes,
) -> None:
    counted = (len(questions), *sections, max(0, len(records) - sum(sections)))
    wrong = tuple(max(0, count + more) for count, more in zip(counted, counts, strict=True))
    body = b"".join(question(name) for name in questions) + b"".join(records)
    for given_counts in (counted, wrong):
        for end in (b"", rest):
            Both([]).check(header(flags, (*given_counts,)[:4]) + body + end)  # type: ignore[arg-type]


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_packets(both: Both, packet: bytes) -> None:
    both.check(packet, tcp=True)
    both.check(packet[:4096])


@pytest.mark.parametrize("size", [4095, 4096, 4097, 65534, 65535])
@pytest.mark.parametrize("qtype", [1, 16, 28])
def test_a_padded_query_of_any_size(both: Both, size: int, qtype: int) -> None:
    for front in ("1.2.0.192.", "9.9.9.9.", ""):
        reply = both.check(padded(front + ZONE, size, qtype), tcp=True)
        assert reply.packet is not None
        assert reply.packet[3] & 15 in (0, 3)


def test_every_outcome_has_its_number() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert [getattr(_outcome, outcome.name) for outcome in OUTCOMES] == list(range(_outcome.OUTCOME_COUNT))
