"""Single values: what is accepted and what it means, and what is said of the rest."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.sources.values import (
    PLACEHOLDERS,
    parse_code,
    parse_duration,
    parse_exchange,
    parse_expiry,
    parse_ipv4,
    parse_ipv6,
    parse_list_name,
    parse_printable,
    parse_template,
    parse_text,
    parse_time,
    parse_ttl,
)

LISTED = datetime(2026, 11, 20, tzinfo=UTC)


def _expiry(text: str) -> datetime:
    return parse_expiry(text, LISTED)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_duration, "0", 0),
        (parse_duration, "300", 300),
        (parse_duration, "5m", 300),
        (parse_duration, "1h30m", 5400),
        (parse_duration, "1w2d3h4m5s", 788645),
        (parse_duration, "0090", 90),
        (parse_ttl, "2147483647", 2147483647),
        (parse_ttl, "3550w", 2147040000),
        (parse_time, "2026-11-20", LISTED),
        (parse_time, "2026-11-20T15:00", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        (parse_time, "2026-11-20 15:00:01", datetime(2026, 11, 20, 15, 0, 1, tzinfo=UTC)),
        (parse_time, "2026-11-20T15:00:00Z", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        (parse_time, "2026-11-20 15:00 Z", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        (parse_time, "2026-11-20T15:00UTC", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        (parse_time, "2026-11-20 15:00:00 UTC", datetime(2026, 11, 20, 15, tzinfo=UTC)),
        (parse_time, "2026-11-20T15:00:00+02:00", datetime(2026, 11, 20, 13, tzinfo=UTC)),
        (parse_time, "2026-11-20 15:00:00 +02:00", datetime(2026, 11, 20, 13, tzinfo=UTC)),
        (parse_time, "1970-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
        (parse_time, "9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (_expiry, "30d", datetime(2026, 12, 20, tzinfo=UTC)),
        (_expiry, "1h30m", datetime(2026, 11, 20, 1, 30, tzinfo=UTC)),
        (_expiry, "2026-12-20", datetime(2026, 12, 20, tzinfo=UTC)),
        (parse_code, "127.0.0.2", 0x7F000002),
        (parse_code, "127.0.1.1", 0x7F000101),
        (parse_code, "127.255.254.255", 0x7FFFFEFF),
        (parse_exchange, "10 mx.example.org", (10, "mx.example.org")),
        (parse_exchange, "65535  MX.example.org.", (65535, "mx.example.org")),
        (parse_ipv4, "192.0.2.1", "192.0.2.1"),
        (parse_ipv6, "2001:DB8:0::1", "2001:db8::1"),
        (parse_list_name, "Spam.traps_2-b", "Spam.traps_2-b"),
        (parse_printable, "", ""),
        (parse_text, " ~" * 250, " ~" * 250),
    ],
)
def test_what_a_value_means(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


DURATION = "not a duration; write seconds or units, like 300, 5m, 1h30m, 30d, 1w"
TIME = "not a date or time; write 2026-11-20 or 2026-11-20T15:00:00Z"
CODE = "a code is an address in 127.0.0.0/8, like 127.0.0.2"
NAME = "not a domain name: labels are letters, digits, - and _, no - at an end"
MX = "an MX is a preference of 0 to 65535 and a name, like 10 mx.example.org"
LIST_NAME = "a list name is 1 to 63 letters, digits, _ . and -, and starts with a letter or digit"


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_duration, "", DURATION),
        (parse_duration, "-5", DURATION),
        (parse_duration, "1.5h", DURATION),
        (parse_duration, "5 m", DURATION),
        (parse_duration, "5m30", DURATION),
        (parse_duration, "5m\n", DURATION),
        (parse_duration, "٣", DURATION),
        (parse_duration, "9" * 5000, DURATION),
        (parse_ttl, "2147483648", "a TTL is at most 2147483647 seconds"),
        (parse_ttl, "9999999999w" * 5000, "a TTL is at most 2147483647 seconds"),
        (parse_time, "", TIME),
        (parse_time, "20.11.2026", TIME),
        (parse_time, "2026-11-2", TIME),
        (parse_time, "20261120", TIME),
        (parse_time, "2026-11-20T15", TIME),
        (parse_time, "2026-11-20\n", TIME),
        (parse_time, "2026-13-01", "no such time (month must be in 1..12)"),
        (parse_time, "2026-11-20T25:00", "no such time (hour must be in 0..23)"),
        (parse_time, "1969-12-31", "a time before 1970"),
        (parse_time, "1970-01-01T00:00:00+01:00", "a time before 1970"),
        (_expiry, "2026-11-19", "expires before it is listed"),
        (_expiry, "0s", "expires before it is listed"),
        (_expiry, "9999999999w", "too far in the future"),
        (_expiry, "9999999999w" * 5000, "too far in the future"),
        (parse_code, "", CODE),
        (parse_code, "2", CODE),
        (parse_code, "128.0.0.2", CODE),
        (parse_code, "::ffff:127.0.0.2", CODE),
        (parse_code, "127.0.0.2/32", CODE),
        (parse_code, "127.0.0.1", "127.0.0.1 is no code: clients take it as a sign that the list is broken"),
        (
            parse_code,
            "127.255.255.0",
            "127.255.255.0/24 is kept for errors: clients take it as a sign that the list is broken",
        ),
        (parse_exchange, "mx.example.org", MX),
        (parse_exchange, "-1 mx.example.org", MX),
        (parse_exchange, "65536 mx.example.org", MX),
        (parse_exchange, "10", "a domain name has at least one label"),
        (parse_exchange, "10 mx example.org", NAME),
        (parse_ipv4, "2001:db8::1", "not an IPv4 address"),
        (parse_ipv4, "::ffff:192.0.2.1", "not an IPv4 address"),
        (parse_ipv4, "192.0.2.0/24", "not an address"),
        (parse_ipv6, "192.0.2.1", "not an IPv6 address"),
        (parse_ipv6, "fe80::1%eth0", "not an IPv6 address"),
        (parse_list_name, "", LIST_NAME),
        (parse_list_name, "-a", LIST_NAME),
        (parse_list_name, "a b", LIST_NAME),
        (parse_list_name, "a\n", LIST_NAME),
        (parse_list_name, "é", LIST_NAME),
        (parse_list_name, "a" * 64, LIST_NAME),
        (parse_printable, "tab\there", "only printable ASCII; U+0009 stands at character 4"),
        (parse_printable, "\x7f", "only printable ASCII; U+007F stands at character 1"),
        (parse_printable, "über", "only printable ASCII; U+00FC stands at character 1"),
        (parse_text, "x" * 501, "a text is at most 500 bytes long, this has 501"),
    ],
)
def test_what_is_said_of_a_wrong_value(parse: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert str(refused.value) == message


@pytest.mark.parametrize("text", ["30d", "20261220"])
def test_a_duration_needs_the_time_it_counts_from(text: str) -> None:
    with pytest.raises(ValueError, match="counts from `listed`, which is missing"):
        parse_expiry(text, None)


def test_an_expiry_stands_alone_as_a_date() -> None:
    assert parse_expiry("2026-12-20", None) == datetime(2026, 12, 20, tzinfo=UTC)


def test_a_time_without_an_offset_is_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "UTC-9")
        time.tzset()
        found = parse_time("2026-11-20 12:34:56")
    time.tzset()
    assert found == datetime(2026, 11, 20, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{ip} and {ip}", "<ip> and <ip>"),
        ("{ip}{reason}", "<ip><reason>"),
        ("{{ip}}", "{ip}"),
        ("{{{ip}}}", "{<ip>}"),
        ("100%s {{}}", "100%s {}"),
        ("a {ip} b {zone} c", "a <ip> b <zone> c"),
        *((f"{{{name}}}", f"<{name}>") for name in PLACEHOLDERS),
    ],
)
def test_a_template_is_filled(text: str, filled: str) -> None:
    template = parse_template(text)
    assert template.fill({name: f"<{name}>" for name in PLACEHOLDERS}) == filled
    assert template.placeholders == set(re.findall(r"<(\w+)>", filled))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "a single { at character 1; write {{ for a brace"),
        ("a}", "a single } at character 2; write }} for a brace"),
        ("{ip", "a single { at character 1; write {{ for a brace"),
        ("{}", "unknown placeholder {}; there are {what}, {ip}, "),
        ("{IP}", "unknown placeholder {IP}; there are {what}, {ip}, "),
        ("{ip.__class__}", "unknown placeholder {ip.__class__}; there are {what}, {ip}, "),
        ("{ip!r:>99}", "unknown placeholder {ip!r:>99}; there are {what}, {ip}, "),
        ("é", "only printable ASCII; U+00E9 stands at character 1"),
        ("{ip}\n", "only printable ASCII; U+000A stands at character 5"),
        ("\0", "only printable ASCII; U+0000 stands at character 1"),
    ],
)
def test_what_is_no_template(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_template(text)
    assert str(refused.value).startswith(message)


EVERY_PARSE: list[Callable[[str], object]] = [
    parse_ttl,
    parse_time,
    _expiry,
    parse_code,
    parse_exchange,
    parse_ipv4,
    parse_ipv6,
    parse_list_name,
    parse_text,
    parse_template,
]


@given(st.sampled_from(EVERY_PARSE), st.text(max_size=40) | st.text("0123456789-:.TZ+smhdw{}ip /", max_size=30))
def test_no_text_is_more_than_a_value_error(parse: Callable[[str], object], text: str) -> None:
    try:
        value = parse(text)
    except ValueError:
        return
    assert value is not None
