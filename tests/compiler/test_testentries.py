"""Test entries (RFC 5782 section 5): which there are, what they answer, and that nothing else changes them."""

from collections.abc import Callable

import pytest

from dnsbl_server.compiler.compile import compile_zone
from dnsbl_server.compiler.rib import ZoneRib
from dnsbl_server.model.address import Net, parse_address
from dnsbl_server.model.apex import Soa
from dnsbl_server.model.entry import Entry, Exclusion
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import BlockList, Zone
from dnsbl_server.sources.values import parse_template
from dnsbl_server.supply.load import LoadResult
from dnsbl_server.table._format import NO_LIST
from dnsbl_server.table.table import ZoneTable
from tests import oracle
from tests.compiler.tables import find, loaded, reasons
from tests.conftest import NOW

PLACE = Place("zone.yaml", 1, 1)


def table_of(zone: Zone) -> ZoneTable:
    problems = Problems()
    compiled = compile_zone(ZoneRib(zone, problems), 1, NOW, problems)
    assert compiled is not None
    assert not len(problems)
    return ZoneTable(compiled.table)


def zone_of(*entries: str, code: int = 0x7F000002, exclude: tuple[str, ...] = ()) -> Zone:
    listing = Listing((code,), "spam", 300)
    made = []
    for text in entries:
        version, number = parse_address(text)
        made.append(Entry(Net(version, number, number), text, *PLACE, listing))
    excluded = tuple(Exclusion(Net(*parse_address(text), parse_address(text)[1]), text, PLACE) for text in exclude)
    block_list = BlockList("traps", PLACE, listing, parse_template("{ip}: {reason}"), tuple(made))
    return Zone("bl.example.org", PLACE, Soa("ns.example.org", "h.example.org"), (block_list,), exclusions=excluded)


@pytest.mark.parametrize(
    ("address", "code", "listed"),
    [
        ("127.0.0.2", 0x7F000002, True),
        ("127.0.0.2", 0x7F00000A, True),  # always, whatever the codes
        ("127.0.0.10", 0x7F00000A, True),
        ("127.0.0.10", 0x7F000002, False),
        ("127.0.0.1", 0x7F000002, False),
        ("127.0.0.1", 0x7F00000A, False),
        ("127.0.1.10", 0x7F00010A, False),  # only codes 127.0.0.N have a test address
        ("::ffff:127.0.0.2", 0x7F000002, True),
        ("::ffff:127.0.0.1", 0x7F000002, False),
        ("127.255.255.254", 0x7F000002, False),
    ],
)
@pytest.mark.parametrize("exclude", [(), ("127.0.0.2", "127.0.0.10")])
def test_test_entries_come_from_the_codes(address: str, code: int, listed: bool, exclude: tuple[str, ...]) -> None:
    table = table_of(zone_of("192.0.2.1", code=code, exclude=exclude))
    subject = parse_address(address)
    answer = table.find(subject, NOW)
    assert (answer is not None) == listed
    if answer is not None:
        assert answer.codes == (subject.number,)
        assert [index for index, _ in answer.texts] == [NO_LIST]
        assert "test entry" in answer.texts[0][1]


CODES = """\
lists:
  - {name: a, code: 127.0.0.2, txt: "a {ip}", entries: [126.0.0.0-128.255.255.255, 192.0.2.1]}
  - {name: b, code: [127.0.0.10, 127.0.5.9], txt: "b {ip}", entries: [192.0.2.1]}
  - name: c
    code: 127.0.0.4
    txt: "c {ip}"
    entries:
      - {net: 192.0.2.2, code: 127.0.0.200}
      - {net: 192.0.2.3, code: 127.0.0.3, expires: 2020-01-01}
    except: [127.0.0.0/8]
"""


@pytest.mark.parametrize("form", ["{}", "::ffff:{}"])
@pytest.mark.parametrize(
    ("address", "codes"),
    [
        ("127.0.0.1", ()),
        ("127.0.0.2", ("127.0.0.2",)),
        ("127.0.0.4", ("127.0.0.4",)),
        ("127.0.0.10", ("127.0.0.10",)),
        ("127.0.0.200", ("127.0.0.200",)),
        ("127.0.0.0", ()),
        ("127.0.0.5", ()),
        ("127.0.0.9", ()),
        ("127.0.0.255", ()),
        ("127.0.5.9", ()),
        ("127.0.5.1", ()),
        ("127.255.255.254", ()),
        ("127.255.255.255", ()),
        ("126.255.255.255", ("127.0.0.2",)),
        ("128.0.0.0", ("127.0.0.2",)),
        ("125.255.255.255", ()),
        ("129.0.0.0", ()),
    ],
)
def test_no_other_loopback_address_is_listed(
    load_texts: Callable[..., LoadResult], form: str, address: str, codes: tuple[str, ...]
) -> None:
    answer = find(loaded(load_texts, CODES), form.format(address))
    assert (answer.codes if answer else ()) == tuple(parse_address(code)[1] for code in codes)


def test_a_test_entry_has_the_texts_of_the_lists_with_its_code(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(
        load_texts,
        'lists:\n  - {name: a, txt: "a", entries: [192.0.2.1]}\n  - {name: b, txt: "b", entries: [192.0.2.1]}\n',
    )
    assert reasons(find(zone, "127.0.0.2")) == ["a", "b"]


def test_test_entries_outlive_everything(load_texts: Callable[..., LoadResult]) -> None:
    zone = loaded(load_texts, "except: [0.0.0.0/1]\nentries:\n  - {net: 192.0.2.1, expires: 2020-01-01}\n")
    answer = find(zone, "127.0.0.2", NOW + 1e9)
    assert answer is not None
    assert answer.expires == 0


def test_the_codes_of_a_list_file_have_test_entries_too() -> None:
    listing = Listing((0x7F000002,), "", 300)
    file = oracle.make_file("feed", "annotated", ["192.0.2.1 | spam | 127.0.0.77,127.0.1.5 | 60 | -"], listing)
    block_list = BlockList("traps", PLACE, listing, oracle.REASON, (), (), (file,))
    table = table_of(oracle.make_zone((block_list,)))
    found = [code for code in range(256) if table.find(parse_address(f"127.0.0.{code}"), NOW)]
    assert found == [2, 77]
