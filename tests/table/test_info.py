"""What a table says of its zone: it comes back as it was, and any field that is wrong is named."""

import json
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.table.info import ListInfo, TableInfo, read_info, write_info
from dnsbl_server.table.layout import TableError
from dnsbl_server.table.pack import pack
from dnsbl_server.table.table import ZoneTable
from tests.table.test_damaged import assemble, sections_of
from tests.table.test_table import INFO, NO_V4, NO_V6

WORDS = {"zone", "soa", "ns", "apex", "sources", "lists"}


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        replace(INFO, apex=Apex(aaaa=("2001:db8::1",), txt=("", "x")), ns=(), sources=("caf\xe9/\udcff.yaml",)),
        replace(INFO, ttl=0, negative_ttl=(1 << 32) - 1, serial=(1 << 32) - 1, as_of=0.5, next_expiry=(1 << 63) - 1),
        replace(INFO, lists=()),
        replace(INFO, ns=(".".join(["x" * 63] * 3 + ["x" * 61]),)),
        replace(INFO, soa=Soa("a" * 63 + ".b", "c", 0, 1, (1 << 32) - 1)),
    ],
)
def test_what_is_written_is_read(info: TableInfo) -> None:
    assert read_info(write_info(info)) == info


def test_the_entries_are_those_of_all_lists() -> None:
    assert replace(INFO, lists=(ListInfo("a", 1, 20, 0), ListInfo("b", 300, 4000, 0))).entries == 4321


@pytest.mark.parametrize("value", [INFO, ListInfo("a", 1, 2, 0)])
def test_what_was_read_is_not_changed(value: Any) -> None:
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)
    assert not hasattr(value, "__dict__")


def changed(*path: str | int, value: Any = None, missing: bool = False) -> bytes:
    """The section with one value replaced, added or left out."""
    whole = json.loads(write_info(INFO))
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    if missing:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(whole).encode()


def shown(*path: str | int) -> str:
    return "meta" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


FIELDS: list[tuple[str | int, ...]] = [
    *((each.name,) for each in fields(TableInfo)),
    *(("soa", each.name) for each in fields(Soa)),
    *(("apex", each.name) for each in fields(Apex)),
    *(("lists", 1, each.name) for each in fields(ListInfo)),
]


def refused(section: bytes) -> str:
    with pytest.raises(TableError) as error:
        read_info(section)
    # And a table with it is refused with the same words.
    sections = {**sections_of(pack(INFO, NO_V4, NO_V6, (), b"")), "meta": section}
    with pytest.raises(TableError) as whole:
        ZoneTable(assemble(sections))
    assert str(whole.value) == str(error.value)
    return str(error.value)


@pytest.mark.parametrize("path", FIELDS)
def test_a_missing_field_is_named(path: tuple[str | int, ...]) -> None:
    assert refused(changed(*path, missing=True)) == f"{shown(*path)} is missing"


@pytest.mark.parametrize("path", [("x",), ("soa", "x"), ("apex", "x"), ("lists", 0, "x")])
def test_an_unknown_field_is_named(path: tuple[str | int, ...]) -> None:
    assert refused(changed(*path, value=1)) == f"{shown(*path)} is not known"


@pytest.mark.parametrize("value", [None, True, {}, -1, 1.5, "\u00e9" * 2, [None], ["x", 1]])
@pytest.mark.parametrize("path", FIELDS)
def test_a_field_of_a_wrong_type_is_named(path: tuple[str | int, ...], value: Any) -> None:
    if (path, value) in ((("as_of",), -1), (("as_of",), 1.5), (("lists", 1, "name"), "\u00e9" * 2)):
        read_info(changed(*path, value=value))
    else:
        assert refused(changed(*path, value=value)).startswith(shown(*path))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("zone",), "x" * 64, "meta.zone is not a domain name"),
        (("zone",), ".".join(["x" * 63] * 3 + ["x" * 62]), "meta.zone is not a domain name"),
        (("zone",), "a..b", "meta.zone is not a domain name"),
        (("zone",), ".".join(["x" * 63] * 4), "meta.zone is not a domain name"),
        (("zone",), "caf\u00e9", "meta.zone is not ASCII text"),
        (("ttl",), 1 << 32, "meta.ttl is not a whole number of 0 to 4294967295"),
        (("negative_ttl",), -1, "meta.negative_ttl is not a whole number of 0 to 4294967295"),
        (("serial",), 1 << 32, "meta.serial is not a whole number of 0 to 4294967295"),
        (("serial",), 7.0, "meta.serial is not a whole number of 0 to 4294967295"),
        (("soa", "refresh"), "3600", "meta.soa.refresh is not a whole number of 0 to 4294967295"),
        (("ns",), ["a", 5], "meta.ns[1] is not a text"),
        (("ns",), {"a": 1}, "meta.ns is not a list"),
        (("apex", "a"), ["::1"], "meta.apex.a[0] is not an IP address: Expected 4 octets in '::1'"),
        (("apex", "aaaa"), ["192.0.2.1"], "meta.apex.aaaa[0] is not an IP address: "),
        (("apex", "mx"), [[1, "a"], [65536, "a"]], "meta.apex.mx[1][0] is not a whole number of 0 to 65535"),
        (("apex", "mx"), [[1, "a", 2]], "meta.apex.mx[0] is not a pair"),
        (("apex", "txt"), ["\u00e9"], "meta.apex.txt[0] is not ASCII text"),
        (("as_of",), float("nan"), "meta.as_of is not a time"),
        (("as_of",), float("inf"), "meta.as_of is not a time"),
        (("as_of",), "now", "meta.as_of is not a time"),
        (("sources",), "bl.yaml", "meta.sources is not a list"),
        (
            ("lists",),
            [{"name": "a", "v4": 1, "v6": True, "names": 0}],
            "meta.lists[0].v6 is not a whole number of 0 to ",
        ),
        (("expired",), 1 << 63, "meta.expired is not a whole number of 0 to 9223372036854775807"),
        (("next_expiry",), None, "meta.next_expiry is not a whole number of 0 to 9223372036854775807"),
    ],
)
def test_a_value_out_of_range_is_named(path: tuple[str | int, ...], value: Any, message: str) -> None:
    assert refused(changed(*path, value=value)).startswith(message)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (b"", "meta is not JSON"),
        (b"{", "meta is not JSON"),
        (b"\xff", "meta is not JSON"),
        (b"[" * 100_000, "meta is not JSON"),
        (b"[]", "meta is not an object"),
        (b"null", "meta is not an object"),
        (b"{}", "meta.zone is missing"),
    ],
)
def test_what_is_no_object_is_refused(section: bytes, message: str) -> None:
    assert refused(section).startswith(message)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(path=st.sampled_from(FIELDS), value=JSON)
def test_any_value_is_read_or_refused(path: tuple[str | int, ...], value: Any) -> None:
    section = changed(*path, value=value)
    said = ""
    try:
        info = read_info(section)
    except TableError as error:
        said = str(error)
    if said:
        assert shown(*path) in said
    else:
        assert json.loads(write_info(info)) == json.loads(section)
