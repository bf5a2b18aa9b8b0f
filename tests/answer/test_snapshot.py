"""The snapshot: the zone that a name is in, the names that exist, and the records of the apex."""

from collections.abc import Callable
from dataclasses import fields

import pytest

from dnsbl_server.answer.snapshot import Snapshot
from dnsbl_server.dns import _protocol
from dnsbl_server.dns.name import labels_of
from dnsbl_server.model.apex import Apex

OUTER = "zone: example.org\nentries: [192.0.2.1]\n"
INNER = "zone: in.a.example.org\nns: [ns.example.net]\nentries: [192.0.2.1]\n"


@pytest.fixture
def snapshot(snapshot_of: Callable[..., Snapshot]) -> Snapshot:
    return snapshot_of(OUTER, INNER)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("example.org", "example.org"),
        ("a.example.org", "example.org"),
        ("in.a.example.org", "in.a.example.org"),
        ("x.in.a.example.org", "in.a.example.org"),
        ("x.example.org", "example.org"),
        ("1.2.3.4.5.6.7.in.a.example.org", "in.a.example.org"),
        ("ain.a.example.org", "example.org"),
        ("org", None),
        ("", None),
        ("example.net", None),
        ("xexample.org", None),
    ],
)
def test_the_zone_with_the_longest_name_is_found(snapshot: Snapshot, name: str, zone: str | None) -> None:
    found = snapshot.find(labels_of(name))
    assert (found.name if found else None) == zone


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("in.a.example.org", True),
        ("a.example.org", True),
        ("example.org", True),
        ("org", True),
        ("b.example.org", False),
        ("x.in.a.example.org", False),
        ("net", False),
    ],
)
def test_zones_and_the_names_above_them_exist(snapshot: Snapshot, name: str, exists: bool) -> None:
    assert snapshot.has_zone_at_or_below(labels_of(name)) is exists


def test_the_apex_has_every_type_that_a_zone_file_can_give_it(snapshot: Snapshot) -> None:
    types = {getattr(_protocol, f"TYPE_{field.name.upper()}") for field in fields(Apex)}
    for zone in snapshot.zones.values():
        assert zone.apex.keys() == types | {_protocol.TYPE_NS}
