"""Records: how the values of fields are written, and what becomes of a reason that cannot stand in an answer."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from dnsbl_server.model.address import parse_net
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.model.problem import Problems
from dnsbl_server.sources import records
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.records import (
    BAD,
    LISTING_FIELDS,
    Records,
    check_entry_fields,
    key_of,
    parse_entry,
    parse_moment,
)
from tests.sources.formats import LISTING, TEXT, Row, read

NET = parse_net("192.0.2.1")


def listed(values: Sequence[str], text: EntryText = TEXT) -> tuple[list[Row], list[str]]:
    """What an entry lists whose listing has these values for LISTING_FIELDS, and what is said of it."""
    options = {name: (str(number),) for number, name in enumerate(LISTING_FIELDS, 2)}
    row = "|".join(("192.0.2.1", *values))
    found = read("csv", row.encode(), text=text, columns={"net": ("1",), **options}, delimiter="|", comment="")
    return found.rows, found.said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("", "", "", ""), ()),
        ((" why ", " ", "", ""), ("why",)),
        (("", "", "", "127.0.0.9"), ("of the list", None, None, "127.0.0.9")),
        (("x", "2026-11-20", "", ""), ("x", datetime(2026, 11, 20, tzinfo=UTC))),
        (("x", "2026-11-20", "1d", ""), ("x", datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))),
        (("", "", "2022-06-04 21:24:53", ""), ("of the list", None, datetime(2022, 6, 4, 21, 24, 53, tzinfo=UTC))),
        (("", "", "1790000000", ""), ("of the list", None, datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC))),
        (("", "", "2026-11-20T00:00:01.5Z", ""), ("of the list", None, datetime(2026, 11, 20, 0, 0, 1, tzinfo=UTC))),
    ],
)
def test_values_make_the_listing(values: Sequence[str], expected: tuple[object, ...]) -> None:
    assert listed(values) == ([Row("192.0.2.1", 1, *expected)], [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("", "soon", "", ""), "listed: 'soon': not a date or time; write 2026-11-20 or 2026-11-20T15:00:00Z"),
        (("", "", "2026-13-01", ""), "expires: '2026-13-01': no such time"),
        (("", "2026-11-20", "2026-11-19", ""), "expires: '2026-11-19': expires before it is listed"),
        (("", "", "30d", ""), "expires: '30d': a duration counts from `listed`, which is missing"),
        (("", "", "", "spam"), "code: 'spam': a code is an address in 127.0.0.0/8"),
    ],
)
def test_a_value_that_is_wrong_makes_its_line_one_that_cannot_be_read(values: Sequence[str], said: str) -> None:
    rows, problems = listed(values)
    assert rows == []
    assert problems[0].startswith(f"1: 192.0.2.1: {said}")


@pytest.mark.parametrize("code", ["10.0.0.2", "127.0.0.1", "127.255.255.254", "2001:db8::1"])
def test_a_code_that_cannot_be_said_here_leaves_its_line_out(code: str) -> None:
    rows, problems = listed(("", "", "", code))
    assert rows == []
    assert len(problems) == 1
    assert problems[0].startswith(f"1: warning: 192.0.2.1: code {code!r}: ")


def test_other_characters_than_printable_ascii_are_shown_as_question_marks_with_one_warning() -> None:
    data = "192.0.2.1 # caf\xe9 \x07\n192.0.2.2 # \xfc\u4e16\n192.0.2.3 # fine\n".encode()
    found = read("plain", data, reason="comment")
    assert [row.reason for row in found.rows] == ["caf? ?", "??", "fine"]
    assert len(found.said) == 1
    assert found.said[0].startswith("1: warning: caf\xe9 \\x07: a reason is printable ASCII")


def test_a_long_reason_is_cut_with_one_warning() -> None:
    text = EntryText("bl.example.org", reason_room=8)
    found = read(
        "plain", b"192.0.2.1 # 12345678\n192.0.2.2 # 123456789\n192.0.2.3 # 1234567 9\n", text=text, reason="comment"
    )
    assert [row.reason for row in found.rows] == ["12345678", "12345678", "1234567"]
    assert found.said == [
        "2: warning: 123456789: the txt of this list has room for 8 characters of a reason; longer ones are cut"
    ]


def test_equal_listings_are_kept_once() -> None:
    found = read(
        "csv",
        b"192.0.2.1,a\n192.0.2.2, a\n192.0.2.3,b\n192.0.2.4,of the list\n",
        columns={"net": ("1",), "reason": ("2",)},
    )
    assert [listing.reason for listing in found.reading.file.listings] == ["a", "b"]
    assert list(found.reading.file.numbers[4]) == [1, 1, 2, 0]


def test_only_so_many_listings_are_known_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_KNOWN", 10)
    sink = Sink(["list"], LISTING, Problems(), lambda *_: True, TEXT)
    found = Records(sink, ("reason",))
    numbers = [found.number_of(b"%d" % (number % 40), 1) for number in range(100)]
    assert len(found.known) <= 10
    assert numbers == [number % 40 + 1 for number in range(100)]
    assert Records(sink, ("listed",)).number_of(b"soon", 1) == BAD


MD5 = EntryText("bl.example.org", hashing=Hashing("md5", "hex"))


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("net", ["192.0.2.1"], "192.0.2.1"),
        ("net", ["192.0.2.0/24"], "192.0.2.0/24"),
        ("net", ["192.0.2.0", "192.0.2.255"], "192.0.2.0/24"),
        ("net", ["2001:db8::", "2001:db8::1"], "2001:db8::/127"),
        ("net", ["192.0.2.0", ""], "192.0.2.0"),
        ("domain", ["a.example"], "a.example"),
        ("either", ["a.example"], "a.example"),
        ("either", ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_what_an_entry_means(kind: str, values: list[str], expected: str) -> None:
    assert str(parse_entry(TEXT, kind, values)) == expected


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("net", [""], "has no net$"),
        ("domain", [""], "has no domain$"),
        ("either", [""], "has no net or domain"),
        ("net", ["a.example"], "a domain name, in place of a net"),
        ("domain", ["192.0.2.1"], "not a domain name"),
        ("domain", ["com"], "top-level domain"),
        ("net", ["192.0.2.9", "192.0.2.1"], "range"),
        ("net", ["192.0.2.9", "2001:db8::"], "."),
        ("net", ["0.0.0.0/0"], "covers the whole IPv4 Internet"),
    ],
)
def test_what_no_entry_is(kind: str, values: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_entry(TEXT, kind, values)


def test_hashes_stand_in_place_of_names() -> None:
    assert str(parse_entry(MD5, "domain", ["a@b.example"])) == str(parse_entry(MD5, "either", ["a@b.example"]))
    with pytest.raises(ValueError, match="stands for a name"):
        parse_entry(MD5, "net", ["a@b.example"])


@pytest.mark.parametrize(
    "text", ["", "123", "12345678901", "179000000x", "2026-11-20 10:00:00.1234567890", "31.12.2026"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="not a date or time"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "columns names neither net nor domain"),
        ({"reason": ("x",)}, "columns names neither net nor domain"),
        ({"net": ("a",), "domain": ("b",)}, "columns names net and domain"),
        ({"net": ("a", "b", "c")}, "net in columns has one value, or two"),
        ({"net": ()}, "net in columns has one value"),
        ({"domain": ("a", "b")}, "domain in columns has one value$"),
        ({"net": ("a", "b"), "domain": ("a", "b")}, "net in columns has one value$"),
        ({"net": ("a",), "reason": ("b", "c")}, "reason in columns has one value$"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_entry_fields(fields, "columns")


def test_fields_that_go_together() -> None:
    for fields in (
        {"net": ("a",)},
        {"net": ("a", "b"), "code": ("c",)},
        {"domain": ("a",)},
        {"net": ("a",), "domain": ("a",)},
    ):
        check_entry_fields(fields, "fields")


def test_a_key_keeps_values_apart() -> None:
    assert key_of([b"a", b"bc"]) != key_of([b"ab", b"c"])
