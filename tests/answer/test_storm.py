"""The native storm: what a seed makes, that the rules hold, and that a broken one is noticed."""

from collections.abc import Callable

import pytest

from dnsbl_server.answer._directory import Directory
from dnsbl_server.answer._storm import Storm
from dnsbl_server.answer.respond import OUTCOMES, Outcome
from dnsbl_server.supply.load import LoadResult
from dnsbl_server.table.table import ZoneTable
from fuzz.answer import MOMENTS, SEEDS, open_zones
from tests.asking import plain
from tests.conftest import NOW
from tests.sameness import Both

PACKETS = [path.read_bytes()[1:] for path in sorted(SEEDS.iterdir())]


@pytest.fixture(scope="module")
def both() -> Both:
    return open_zones()


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("now", MOMENTS)
def test_no_rule_is_broken(both: Both, now: float, tcp: bool) -> None:
    storm = Storm(both.directory, PACKETS, int(now))
    storm.run(20_000, now, tcp)
    for packet in storm.packets(20):
        both.check(packet, now, tcp)
    outcomes = dict(zip([*OUTCOMES, "slow path"], storm.outcomes(), strict=True))
    assert sum(outcomes.values()) == 20_032  # whole batches of 64
    rare = {Outcome.ANSWERED, Outcome.BADVERS, Outcome.SERVFAIL, Outcome.TRUNCATED}
    assert all(count for outcome, count in outcomes.items() if outcome not in rare)


def test_a_seed_decides_everything(both: Both) -> None:
    def made(seed: int) -> list[bytes]:
        return Storm(both.directory, PACKETS, seed).packets(200)

    assert made(7) == made(7)
    assert made(7) != made(8)
    # Some are as they were, most are changed, and all fit into their buffer.
    assert 10 < sum(packet in PACKETS for packet in made(7)) < 150
    assert max(map(len, made(7))) <= 2048


def test_without_a_seed_there_is_nothing_to_change(both: Both) -> None:
    with pytest.raises(ValueError, match="no message"):
        Storm(both.directory, [bytes(2049)], 1)


def test_an_answer_that_breaks_a_rule_is_noticed(load_texts: Callable[..., LoadResult]) -> None:
    load = load_texts("zone: bl.example.org\nentries: [192.0.2.0/24]\n")
    (zone,) = load.zones.values()
    buffer = bytearray(zone.compiled.table)
    table = ZoneTable(memoryview(buffer))
    storm = Storm(Directory([table.native]), [plain("1.2.0.192.bl.example.org")], 1)
    storm.run(1000, NOW)
    # Behind the back of the table, which was checked: a code outside of 127.0.0.0/8.
    code = (0x7F000002).to_bytes(4, "little")
    while (at := buffer.find(code)) >= 0:
        buffer[at + 3] = 10
    with pytest.raises(AssertionError, match=r"^rule 13 of `broken`, tcp False.*: [0-9a-f]+ became [0-9a-f]+$"):
        storm.run(1000, NOW)
