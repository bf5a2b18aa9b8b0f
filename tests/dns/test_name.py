"""Domain names: what is accepted, what is said of the rest, and the wire form."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.dns.name import encode_name, labels_of, parse_name, parse_zone_name

LONGEST = ".".join(["a" * 50] * 4 + ["a" * 49])  # 253 characters
LONGEST_ZONE = ".".join(["a" * 62] * 3)  # 188 characters
NAME = "not a domain name: labels are letters, digits, - and _, no - at an end"


@pytest.mark.parametrize(
    ("parse", "text", "name"),
    [
        (parse_name, "Example.ORG.", "example.org"),
        (parse_name, "_dmarc.xn--bcher-kva.example", "_dmarc.xn--bcher-kva.example"),
        (parse_name, "a" * 63, "a" * 63),
        (parse_name, LONGEST, LONGEST),
        (parse_zone_name, LONGEST_ZONE, LONGEST_ZONE),
    ],
)
def test_what_a_name_means(parse: Callable[[str], str], text: str, name: str) -> None:
    assert parse(text) == name


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_name, "", "a domain name has at least one label"),
        (parse_name, ".", "a domain name has at least one label"),
        (parse_name, ".org", "a domain name has no empty label"),
        (parse_name, "org..", "a domain name has no empty label"),
        (parse_name, "a" * 64, "label aaaaaaaaaaaaaaaaaaaa... is longer than 63 characters"),
        (parse_name, "a" * 40 + "\x1b[2J" + "a" * 40, NAME),  # nothing of it is shown
        (parse_name, "-a.org", NAME),
        (parse_name, "a*.org", NAME),
        (parse_name, "a\n.org", NAME),
        (parse_name, "a.org\n", NAME),
        (parse_name, "example.or\u212a", NAME),  # the Kelvin sign, whose lower case is an ASCII k
        (parse_name, "a@b.org", NAME + "; write a mail address with a dot, like hostmaster.example.org"),
        (parse_name, ".".join(["a" * 50] * 5), "a domain name is at most 253 characters long"),
    ],
)
def test_what_is_no_name(parse: Callable[[str], str], text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert str(refused.value) == message


def test_a_zone_name_leaves_room_for_a_reversed_ipv6_address() -> None:
    # 64 bytes of nibbles, a length byte for each label, and the root: RFC 1035 allows 255.
    longest = ".".join(["a" * 47, "a" * 47, "a" * 47, "a" * 45])
    assert len(longest) + 2 + 64 == 255
    assert parse_zone_name(longest) == longest
    with pytest.raises(ValueError, match="too long"):
        parse_zone_name(longest + "a")


@given(st.sampled_from([parse_name, parse_zone_name]), st.text(max_size=40) | st.text("ab.-_@A1", max_size=30))
def test_any_text_is_a_name_or_a_value_error(parse: Callable[[str], str], text: str) -> None:
    try:
        name = parse(text)
    except ValueError:
        return
    assert parse(name) == name
    assert encode_name(name).count(b"\0") == 1


@pytest.mark.parametrize(
    ("name", "labels", "wire"),
    [
        ("", (), b"\0"),
        ("org", (b"org",), b"\3org\0"),
        ("bl.example.org", (b"bl", b"example", b"org"), b"\2bl\7example\3org\0"),
    ],
)
def test_the_labels_and_the_wire_form(name: str, labels: tuple[bytes, ...], wire: bytes) -> None:
    assert labels_of(name) == labels
    assert encode_name(name) == wire
