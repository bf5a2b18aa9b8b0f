"""The sizes of answers: what fits a message is really answered, and one byte more is refused when it is loaded."""

from collections.abc import Callable

import dns.message
import pytest

from dnsbl_server.answer.respond import Outcome
from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import MAPPED_FIRST, Address, parse_address
from dnsbl_server.supply.load import LoadResult
from dnsbl_server.table.table import ZoneTable
from tests.sameness import Both

ADDRESS = {4: "255.255.255.254", 6: "2001:1db8:1111:2222:3333:4444:5555:6666"}
# Of the zone bl.example.org; the longest question for an IPv4 address is the one for its IPv4-mapped form.
AROUND = 12 + (64 + 16) + 4 + 11


def zone_of(version: int, texts: list[str], codes: int = 1) -> str:
    """A zone in which one address is on a list for each text; list n has `codes` codes of its own."""
    lines = ["zone: bl.example.org", "lists:"]
    for number, text in enumerate(texts):
        low = [number * codes + at + 2 for at in range(codes)]
        shown = ", ".join(f"127.1.{each >> 8}.{each & 255}" for each in low)
        lines.append(f"  - {{name: l{number}, code: [{shown}], txt: '{text}', entries: ['{ADDRESS[version]}']}}")
    return "\n".join(lines)


def answered(load: LoadResult, version: int, qtype: str) -> tuple[int, Outcome]:
    """The size of the answer over TCP to the longest question; the engine answers like respond."""
    assert not load.problems.errors
    (zone,) = load.zones.values()
    number = parse_address(ADDRESS[version]).number
    name = query_name(Address(6, MAPPED_FIRST | number if version == 4 else number), "bl.example.org")
    return ask(ZoneTable(zone.compiled.table), name, qtype)


def ask(table: ZoneTable, name: str, qtype: str) -> tuple[int, Outcome]:
    reply = Both([table]).check(dns.message.make_query(name, qtype, use_edns=0).to_wire(), tcp=True)
    assert reply.packet is not None
    return len(reply.packet), reply.outcome


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("missing", [0, 1])
def test_the_largest_txt_answer_is_answered_and_a_larger_one_refused(
    load_texts: Callable[..., LoadResult], version: int, missing: int
) -> None:
    # Each record: 12, a text of 400 bytes in two strings, the address in it.
    filling = ["{ip}" + "x" * (400 - len(ADDRESS[version]))] * 157
    used = AROUND + 157 * 414
    rest = 65_535 - used - 12 - 2 - missing
    assert 255 < rest < 500
    good = zone_of(version, [*filling, "y" * rest])
    assert answered(load_texts(good), version, "TXT") == (65_535 - missing, Outcome.LISTED)
    load = load_texts(zone_of(version, [*filling, "y" * (rest + missing + 1)]))
    (problem,) = load.problems.errors
    assert (problem.place.line, problem.place.column, problem.value) == (1, 7, "bl.example.org")
    assert problem.message == (
        "where l0, l1, l2 and 155 more lists list an address or name, its TXT answer is 65,536 bytes long, "
        "and a message at most 65,535; let fewer lists overlap, or give them shorter texts"
    )
    assert not load.zones


def test_the_largest_a_answer_is_answered_and_a_larger_one_refused(load_texts: Callable[..., LoadResult]) -> None:
    # (65,535 - 107) / 16 records.
    assert (65_535 - AROUND) // 16 == 4_089
    good = zone_of(6, ["x"] * 141, 29)
    assert answered(load_texts(good), 6, "A") == (AROUND + 16 * 4_089, Outcome.LISTED)
    load = load_texts(zone_of(6, ["x"] * 142, 29))
    (problem,) = load.problems.errors
    assert problem.message.startswith(
        "where l0, l1, l2 and 139 more lists list an address or name, its A answer is 65,995 bytes"
    )
    assert problem.message.endswith("fewer codes")


def test_what_follows_an_expiry_is_measured_too(load_texts: Callable[..., LoadResult]) -> None:
    # Until midnight one list says little, and then what the larger entry says.
    long = zone_of(4, ["x" * 450] * 140).splitlines()
    address = ADDRESS[4]
    for last, refused in (("z" * 400, 0), ("z" * 490, 1)):
        entries = f"{{net: {address}/31, reason: {last}}}, {{net: {address}, reason: y, expires: 2026-11-24}}"
        text = "\n".join([*long, f"  - {{name: last, code: 127.0.0.9, txt: '{{reason}}', entries: [{entries}]}}"])
        assert len(load_texts(text).problems.errors) == refused


def test_lists_that_do_not_overlap_may_be_many(load_texts: Callable[..., LoadResult]) -> None:
    lists = "".join(
        f"  - {{name: l{number}, txt: '{'x' * 480}', entries: [192.0.2.{number}]}}\n" for number in range(200)
    )
    load = load_texts(f"zone: bl.example.org\nlists:\n{lists}")
    assert not load.problems.errors
    # Their test entry has as many texts as a message can carry.
    (zone,) = load.zones.values()
    size, outcome = ask(ZoneTable(zone.compiled.table), "2.0.0.127.bl.example.org", "TXT")
    assert outcome == Outcome.LISTED
    assert 65_535 - 494 - 48 - 11 < size <= 65_535


@pytest.mark.parametrize(
    ("name", "lists", "is_refused"), [("a.example", 250, False), ("x" * 60 + ".example", 250, False)]
)
def test_names_count_by_their_own_length(
    load_texts: Callable[..., LoadResult], name: str, lists: int, is_refused: bool
) -> None:
    text = "zone: bl.example.org\nlists:\n" + "".join(f"  - {{name: l{n}, entries: [{name}]}}\n" for n in range(lists))
    assert bool(load_texts(text).problems.errors) == is_refused
