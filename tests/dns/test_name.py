"""Domain names: what is accepted, what is said of the rest, and the wire form."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.dns.name import (
    display_name,
    encode_name,
    labels_of,
    parse_domain,
    parse_domains,
    parse_name,
    parse_zone_name,
)
from dnsbl_server.model.domain import AT, BELOW, Domain, Domains

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


@pytest.mark.parametrize(
    ("text", "name", "scope"),
    [
        ("example.com", "example.com", AT),
        ("Example.COM.", "example.com", AT),
        ("*.Example.com", "example.com", BELOW),
        (".example.com", "example.com", AT | BELOW),
        (".com.", "com", AT | BELOW),
        ("com", "com", AT),
        ("-a-.b_c._d.0a", "-a-.b_c._d.0a", AT),
        ("1.2.3.4.example", "1.2.3.4.example", AT),
        ("a" * 63 + ".com", "a" * 63 + ".com", AT),
        (LONGEST, LONGEST, AT),
        (LONGEST + ".", LONGEST, AT),
        ("*." + LONGEST, LONGEST, BELOW),
        ("bücher.example", "xn--bcher-kva.example", AT),
        (".Bücher.example", "xn--bcher-kva.example", AT | BELOW),
        ("*._x.bücher.example。", "_x.xn--bcher-kva.example", BELOW),
        ("a\u3002b\uff0ec\uff61d", "a.b.c.d", AT),
        ("example.or\u212a", "example.ork", AT),  # as UTS 46 maps the Kelvin sign
    ],
)
def test_which_names_an_entry_means(text: str, name: str, scope: int) -> None:
    assert parse_domains(text) == Domains(name, scope)
    if scope == AT:
        assert parse_domain(text) == Domain(name)


EMPTY = "a domain name has at least one label"
STAR = "only one *, as the whole first label: *.example.com is all names below example.com"
LISTED = "not a domain name: labels are letters, digits, - and _"
LONG = "a domain name is at most 253 characters long"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", EMPTY),
        (".", EMPTY),
        ("*.", EMPTY),
        ("*", STAR),
        ("*.*.example.com", STAR),
        (".*.example.com", STAR),
        ("foo.*.com", STAR),
        ("f*.com", STAR),
        ("..", EMPTY),
        ("a..b", "a domain name has no empty label"),
        ("..example.com", "a domain name has no empty label"),
        ("example.com..", "a domain name has no empty label"),
        ("ü..b", "a domain name has no empty label"),
        ("a b.com", LISTED),
        (" a.com", LISTED),
        ("a.com\n", LISTED),
        ("a@b.com", LISTED),
        ("a/b.com", LISTED),
        ("a" * 40 + "\x1b[2J" + "a" * 40, LISTED),  # nothing of it is shown
        ("a" * 64 + ".com", "label aaaaaaaaaaaaaaaaaaaa... is longer than 63 characters"),
        ("a" * 4 + "." + LONGEST[4:], LONG),
        (LONGEST + "a", LONG),
        ("ü." * 60 + "example", LONG),  # as A-labels
        ("ü" * 1_000_000, LONG),
        ("a" * 1_000_000, LONG),
        ("192.0.2.300", "the last label of a domain name is no number"),
        ("example.1", "the last label of a domain name is no number"),
        ("example.\uff11", "the last label of a domain name is no number"),
        ("1", "the last label of a domain name is no number"),
        ("a_ü.com", "not an internationalised domain name: Codepoint U+005F at position 2 of 'a_ü' not allowed"),
    ],
)
def test_what_no_entry_means(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_domains(text)
    assert str(refused.value) == message


@pytest.mark.parametrize("text", ["*.example.com", ".example.com", "*", ""])
def test_a_domain_is_one_name(text: str) -> None:
    with pytest.raises(ValueError):
        parse_domain(text)


def test_a_name_is_shown_in_unicode() -> None:
    assert display_name(Domain("_x.xn--bcher-kva.example")) == "_x.bücher.example"


@given(st.text(max_size=40) | st.text("ab.-_*@Aü。1", max_size=30))
def test_any_text_is_domains_or_a_value_error(text: str) -> None:
    try:
        domains = parse_domains(text)
    except ValueError:
        return
    assert parse_domains(str(domains)) == domains
    assert parse_domain(domains.name).name == domains.name
    assert encode_name(domains.name).count(b"\0") == 1
    assert not domains.name.rpartition(".")[2].isdigit()


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
