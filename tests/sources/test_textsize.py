"""How long TXT answers become: the two limits, and the quick estimate beside the exact size."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.address import LONGEST_TEXT
from dnsbl_server.model.listing import Listing, Template
from dnsbl_server.sources.textsize import SHORT_TEXT, AnswerText, check_size
from dnsbl_server.sources.values import MAX_TEXT, PLACEHOLDERS

PART = st.text("x", max_size=120)
TEMPLATES = st.lists(st.tuples(st.sampled_from(PLACEHOLDERS), PART), max_size=5).flatmap(
    lambda pairs: PART.map(lambda first: Template((first, *(part for pair in pairs for part in pair))))
)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, None),
        (255, None),
        (256, ("the TXT answer can be 256 bytes long, and Exim and Postfix show the first 255", True)),
        (500, ("the TXT answer can be 500 bytes long, and Exim and Postfix show the first 255", True)),
        (501, ("the TXT answer is at most 500 bytes long; this makes it 501", False)),
    ],
)
def test_the_limits(size: int, expected: tuple[str, bool] | None) -> None:
    assert check_size(size) == expected


@pytest.mark.parametrize(("version", "size"), [(4, 3 + 15), (6, 3 + 39)])
def test_the_size_is_that_for_the_longest_address(version: int, size: int) -> None:
    answer_text = AnswerText("bl.example.org", "traps", Template(("<", "ip", "> ")))
    assert answer_text.size(Listing((2,), "", 300), LONGEST_TEXT[version]) == size
    twice = AnswerText("bl.example.org", "traps", Template(("", "ip", "", "ip", "")))
    assert twice.size(Listing((2,), "", 300), LONGEST_TEXT[version]) == 2 * (size - 3)


@given(
    template=TEMPLATES,
    reason=st.text("y", max_size=300),
    codes=st.integers(1, 32),
    name=st.text("l", min_size=1, max_size=63),
    zone=st.text("z", min_size=1, max_size=189),
    has_dates=st.booleans(),
)
def test_no_long_text_is_taken_for_a_short_one(
    template: Template, reason: str, codes: int, name: str, zone: str, has_dates: bool
) -> None:
    date = datetime(2026, 11, 20, 15, 30, 1, tzinfo=UTC) if has_dates else None
    listing = Listing(tuple(range(0x7FFFFE80, 0x7FFFFE80 + codes)), reason, 300, date, date)
    answer_text = AnswerText(zone, name, template)
    for longest in (*LONGEST_TEXT.values(), 253):
        assert answer_text.size(listing, longest) <= SHORT_TEXT or answer_text.may_be_long(listing, longest)


@given(TEMPLATES, st.integers(0, 253), st.booleans())
def test_a_reason_that_there_is_room_for_makes_no_text_too_long(
    template: Template, longest: int, has_times: bool
) -> None:
    answer_text = AnswerText("bl.example.org", "traps", template)
    default = Listing((0x7F000002,), "of the list", 300)
    room = answer_text.reason_room(default, longest)
    moment = datetime(2026, 11, 24, 18, 30, 59, tzinfo=UTC) if has_times else None
    if not room or "reason" not in template.placeholders:
        return
    assert answer_text.size(replace(default, reason="x" * room, listed=moment, expires=moment), longest) <= MAX_TEXT
    full = replace(default, codes=(0x7FFFFF7F,), listed=_LATE, expires=_LATE)
    assert answer_text.size(replace(full, reason="x" * room), longest) <= MAX_TEXT
    assert answer_text.size(replace(full, reason="x" * (room + 1)), longest) > MAX_TEXT


_LATE = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_text_of_its_own_counts_in_place_of_that_of_the_list() -> None:
    short = AnswerText("bl.example.org", "traps", Template(("short",)))
    own = Listing((2,), "", 300, text=Template(("x" * 250, "what", "")))
    assert short.may_be_long(own, 15)
    assert short.size(own, 15) == 265
