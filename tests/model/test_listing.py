"""Listings: when they end, and the text that a client gets."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dnsbl_server.model.listing import (
    DEFAULT_TEXT,
    DEFAULT_TEXT_OF_LIST,
    Listing,
    Template,
    describe_listing,
    format_time,
)

LISTING = Listing((0x7F000002, 0x7F00000A), "spam", 300)
TIME = datetime(2026, 11, 20, 15, 30, 1, tzinfo=UTC)


def test_a_template_is_literals_and_placeholders_in_turn() -> None:
    template = Template(("a", "ip", "", "zone", "b", "ip", ""))
    assert template.fill({"ip": "1", "zone": "z", "list": "l"}) == "a1zb1"
    assert template.placeholders == {"ip", "zone"}


@pytest.mark.parametrize(
    ("name", "listing", "value"),
    [
        ("ip", LISTING, "192.0.2.7"),
        ("zone", LISTING, "bl.example.org"),
        ("list", LISTING, "traps"),
        ("reason", LISTING, "spam"),
        ("reason", Listing((1,), "", 300), "no reason given"),
        ("code", LISTING, "127.0.0.2, 127.0.0.10"),
        ("listed", LISTING, "an unknown date"),
        ("listed", Listing((1,), "", 300, listed=TIME), "2026-11-20 15:30:01 UTC"),
        ("expires", LISTING, "further notice"),
        ("expires", Listing((1,), "", 300, expires=datetime(2026, 12, 1, tzinfo=UTC)), "2026-12-01"),
    ],
)
def test_every_placeholder_has_a_value(name: str, listing: Listing, value: str) -> None:
    template = Template(("<", name, ">"))
    assert describe_listing("bl.example.org", "traps", template, listing, "192.0.2.7") == f"<{value}>"


def test_the_texts_that_a_list_has_by_default() -> None:
    texts = [describe_listing("z", "l", text, LISTING, "A") for text in (DEFAULT_TEXT, DEFAULT_TEXT_OF_LIST)]
    assert texts == ["A is listed in z: spam; until further notice", "A is listed in z (l): spam; until further notice"]


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (datetime(2026, 11, 20, tzinfo=UTC), "2026-11-20"),
        (datetime(2026, 11, 20, 2, tzinfo=timezone(timedelta(hours=2))), "2026-11-20"),
        (datetime(2026, 11, 20, 0, 0, 1, tzinfo=UTC), "2026-11-20 00:00:01 UTC"),
        (datetime(2026, 11, 20, 0, tzinfo=timezone(timedelta(hours=2))), "2026-11-19 22:00:00 UTC"),
    ],
)
def test_a_time_as_text(moment: datetime, shown: str) -> None:
    assert format_time(moment) == shown


@pytest.mark.parametrize(
    ("expires", "seconds"),
    [(None, 0), (datetime(1970, 1, 1, tzinfo=UTC), 1), (datetime(1970, 1, 2, tzinfo=UTC), 86400), (TIME, 1795188601)],
)
def test_when_a_listing_ends(expires: datetime | None, seconds: int) -> None:
    assert Listing((1,), "", 300, expires=expires).expires_at == seconds


def test_a_text_of_its_own_stands_in_place_of_that_of_the_list() -> None:
    own = replace(LISTING, text=Template(("own ", "what", "")))
    assert describe_listing("z", "l", DEFAULT_TEXT, own, "A") == "own A"
