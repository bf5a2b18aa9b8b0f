"""Zones and lists: what a list counts, and in which order its entries come."""

from array import array

from dnsbl_server.model._spans import Spans
from dnsbl_server.model.address import Net
from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.model.entry import Entry, ListFile
from dnsbl_server.model.listing import Listing, Template
from dnsbl_server.model.problem import Place
from dnsbl_server.model.zone import BlockList, Zone

PLACE = Place("z.yaml", 1, 7)
LIST, OWN = Listing((0x7F000002,), "list", 300), Listing((0x7F000003,), "own", 60)
WRITTEN = Entry(Net(4, 9, 9), "0.0.0.9", "z.yaml", 3, 5, OWN)


def test_a_list_has_the_entries_of_the_zone_file_and_then_those_of_each_list_file() -> None:
    one = ListFile("one", {4: Spans(4, [(1, 1, 1), (2, 2, 3)]), 6: Spans(6, [(3, 3, 2)])})
    two = ListFile("two", {4: Spans(4, [(4, 4, 1)]), 6: Spans(6)}, listings=(OWN,), numbers={4: array("I", [1])})
    block_list = BlockList("traps", PLACE, LIST, Template(("x",)), (WRITTEN,), files=(one, two))
    entries = list(block_list.all_entries())
    assert [(each.file, each.line, each.what.first) for each in entries if isinstance(each.what, Net)] == [
        ("z.yaml", 3, 9),
        ("one", 1, 1),
        ("one", 2, 3),
        ("one", 3, 2),
        ("two", 1, 4),
    ]
    assert [each.listing for each in entries] == [OWN, LIST, LIST, LIST, OWN]
    assert block_list.size == 5


def test_what_a_zone_file_need_not_say() -> None:
    zone = Zone("bl.example.org", PLACE, Soa("ns.example.org", "hostmaster.example.org"), ())
    assert (zone.ttl, zone.negative_ttl, zone.ns, zone.apex, zone.description) == (300, 60, (), Apex(), "")
    assert (zone.soa.refresh, zone.soa.retry, zone.soa.expire) == (3600, 600, 604800)
