"""What is read from files does not change any more: the dataclasses of the model are frozen, and small."""

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.model.entry import ListFile
from dnsbl_server.model.listing import Listing, Template
from dnsbl_server.model.problem import Place, Problem
from dnsbl_server.model.zone import BlockList, Zone

PLACE = Place("z.yaml", 1, 7)
SOA, LISTING, TEMPLATE = Soa("ns.example.org", "hostmaster.example.org"), Listing((2,), "", 300), Template(("x",))
VALUES = [
    SOA,
    Apex(),
    ListFile("feed.txt", {}),
    TEMPLATE,
    LISTING,
    Problem(PLACE, "x", "wrong"),
    BlockList("traps", PLACE, LISTING, TEMPLATE, ()),
    Zone("bl.example.org", PLACE, SOA, ()),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_not_changed(value: Any) -> None:
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_has_no_room_for_more(value: Any) -> None:
    assert not hasattr(value, "__dict__")
