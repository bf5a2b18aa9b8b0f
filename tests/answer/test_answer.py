"""The compiled answer is that of its specification, byte for byte, for any query to any zone."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dnsbl_server.answer import _outcome
from dnsbl_server.answer.respond import OUTCOMES, Outcome
from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.model.zone import Zone
from tests import oracle
from tests.answer.test_packets import HOSTILE, LISTS, PACKETS, TEXT
from tests.conftest import NOW
from tests.profiles import examples
from tests.sameness import Both, make_packet, snapshots


@given(snapshots(), st.integers(0, 1 << 63))
@settings(max_examples=examples(4), suppress_health_check=list(HealthCheck))
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


@pytest.mark.parametrize("packet", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_packets(both: Both, packet: bytes) -> None:
    both.check(packet, tcp=True)
    both.check(packet[:4096])


def test_every_outcome_has_its_number() -> None:
    assert set(OUTCOMES) == set(Outcome)
    assert [getattr(_outcome, outcome.name) for outcome in OUTCOMES] == list(range(_outcome.OUTCOME_COUNT))
