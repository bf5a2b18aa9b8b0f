"""Reversed addresses: what the labels in front of a zone mean, and the name that a client asks for."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnsbl_server.dns.reversed import Reversed, parse_reversed, query_name
from dnsbl_server.model.address import Address, parse_address
from tests.asking import ZONE
from tests.profiles import examples


def _v4(text: str) -> int:
    return int(IPv4Address(text))


def _v6(text: str) -> int:
    return int(IPv6Address(text))


NIBBLES = b"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
MAPPED = b"1.2.0.0.0.0.0.c.f.f.f.f" + b".0" * 20  # ::ffff:192.0.0.33


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        (b"1.2.0.192", Reversed(Address(4, _v4("192.0.2.1")), False)),
        (b"1.0.0.2", Reversed(Address(4, _v4("2.0.0.1")), True)),
        (b"192", Reversed(None, True)),
        (b"2.0.192", Reversed(None, True)),
        (b"255.255.255.255", Reversed(Address(4, (1 << 32) - 1), False)),
        (b"256.2.0.192", Reversed(None, False)),
        (b"01.2.0.192", Reversed(None, False)),
        (b"5.1.2.0.192", Reversed(None, False)),
        (b"5.1.2.0.1", Reversed(None, True)),
        (NIBBLES, Reversed(Address(6, _v6("2001:db8::1")), False)),
        (NIBBLES.upper(), Reversed(Address(6, _v6("2001:db8::1")), False)),
        (NIBBLES[2:], Reversed(None, True)),
        (b"0." + NIBBLES, Reversed(None, False)),
        (MAPPED, Reversed(Address(4, _v4("192.0.0.33")), False)),
        (b"a", Reversed(None, True)),
        (b"g", Reversed(None, False)),
        (b"ab", Reversed(None, False)),
        (b"www.2.0.192", Reversed(None, False)),
        (b"-1.2.0.192", Reversed(None, False)),
        ("²".encode() + b".2.0.192", Reversed(None, False)),
    ],
)
def test_what_reversed_labels_mean(name: bytes, meaning: Reversed) -> None:
    assert parse_reversed(name.split(b".")) == meaning


@given(st.integers(0, (1 << 32) - 1))
def test_every_ipv4_address_is_found_by_its_reversed_name(number: int) -> None:
    name = ".".join(reversed(str(IPv4Address(number)).split(".")))
    assert parse_reversed(name.encode().split(b".")).address == Address(4, number)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", f"7.2.0.192.{ZONE}"),
        ("0.0.0.255", f"255.0.0.0.{ZONE}"),
        ("::ffff:192.0.2.7", f"7.2.0.192.{ZONE}"),
        ("2001:db8::a", "a." + "0." * 23 + f"8.b.d.0.1.0.0.2.{ZONE}"),
        ("::", "0." * 32 + ZONE),
    ],
)
def test_the_name_that_a_client_asks_for(address: str, name: str) -> None:
    assert query_name(parse_address(address), ZONE) == name


@given(st.integers(0, (1 << 128) - 1))
@settings(max_examples=examples(0.5))
def test_a_query_name_is_the_address_reversed(number: int) -> None:
    labels = query_name(Address(6, number), ZONE).removesuffix(f".{ZONE}").split(".")
    assert len(labels) == 32
    assert int("".join(reversed(labels)), 16) == number
