"""Addresses, CIDRs and ranges: text to numbers and back."""

from ipaddress import IPv4Address, IPv6Address, summarize_address_range

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsbl_server.model.address import Address, Net, cidrs_of, parse_address, parse_net, without_loopback

MAX4 = (1 << 32) - 1
MAX6 = (1 << 128) - 1


def _v4(text: str) -> int:
    return int(IPv4Address(text))


def _v6(text: str) -> int:
    return int(IPv6Address(text))


@pytest.mark.parametrize(
    ("text", "net"),
    [
        ("192.0.2.1", Net(4, _v4("192.0.2.1"), _v4("192.0.2.1"))),
        ("0.0.0.0", Net(4, 0, 0)),
        ("255.255.255.255", Net(4, MAX4, MAX4)),
        ("192.0.2.0/24", Net(4, _v4("192.0.2.0"), _v4("192.0.2.255"))),
        ("192.0.2.1/32", Net(4, _v4("192.0.2.1"), _v4("192.0.2.1"))),
        ("0.0.0.0/1", Net(4, 0, MAX4 >> 1)),
        ("192.0.2.3-192.0.2.9", Net(4, _v4("192.0.2.3"), _v4("192.0.2.9"))),
        ("192.0.2.3 - 192.0.2.9", Net(4, _v4("192.0.2.3"), _v4("192.0.2.9"))),
        ("192.0.2.3-192.0.2.3", Net(4, _v4("192.0.2.3"), _v4("192.0.2.3"))),
        ("1.0.0.1-223.255.255.255", Net(4, _v4("1.0.0.1"), _v4("223.255.255.255"))),
        ("::", Net(6, 0, 0)),
        ("2001:DB8::1", Net(6, _v6("2001:db8::1"), _v6("2001:db8::1"))),
        ("2001:db8::/32", Net(6, _v6("2001:db8::"), _v6("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"))),
        ("2001:db8::5-2001:db8::9", Net(6, _v6("2001:db8::5"), _v6("2001:db8::9"))),
        ("2000::1-3fff:" + "ffff:" * 6 + "ffff", Net(6, (0x2000 << 112) + 1, (0x4000 << 112) - 1)),
        ("2000::-3fff:" + "ffff:" * 6 + "fffe", Net(6, 0x2000 << 112, (0x4000 << 112) - 2)),
        ("::ffff:192.0.2.1", Net(4, _v4("192.0.2.1"), _v4("192.0.2.1"))),
        ("::FFFF:c000:201", Net(4, _v4("192.0.2.1"), _v4("192.0.2.1"))),
        ("::ffff:192.0.2.0/120", Net(4, _v4("192.0.2.0"), _v4("192.0.2.255"))),
        ("::ffff:192.0.2.1-192.0.2.9", Net(4, _v4("192.0.2.1"), _v4("192.0.2.9"))),
        ("::192.0.2.1", Net(6, _v4("192.0.2.1"), _v4("192.0.2.1"))),
    ],
)
def test_what_a_net_means(text: str, net: Net) -> None:
    assert parse_net(text) == net


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an address, CIDR, range or domain name"),
        (" ", "not an address, CIDR, range or domain name"),
        ("192.0.2.1 ", "not an address, CIDR, range or domain name"),
        ("192.0.2.x", "not an address, CIDR, range or domain name"),
        ("192.0.2.1\0", "not an address, CIDR, range or domain name"),
        ("١٩٢.0.2.1", "not an address, CIDR, range or domain name"),
        ("\udcff", "not an address, CIDR, range or domain name"),
        ("3221225985", "an IPv4 address has 4 octets, not 1"),
        ("192.0.2", "an IPv4 address has 4 octets, not 3"),
        ("192.0.2.1.5", "an IPv4 address has 4 octets, not 5"),
        ("192.0.2.256", "an octet must be 0 to 255"),
        ("192.0.02.1", "an octet has no leading zero"),
        ("0x7f.0.0.1", "not an address, CIDR, range or domain name"),
        ("::1::", "not an IPv6 address"),
        ("fe80::1%eth0", "not an IPv6 address"),
        ("[2001:db8::1]", "not an IPv6 address"),
        ("2001:db8::\0", "not an IPv6 address"),
        ("192.0.2.0/", "prefix length must be 0 to 32"),
        ("192.0.2.0/33", "prefix length must be 0 to 32"),
        ("192.0.2.0/24/24", "prefix length must be 0 to 32"),
        ("192.0.2.0/+24", "prefix length must be 0 to 32"),
        ("192.0.2.0/٢٤", "prefix length must be 0 to 32"),
        ("192.0.2.0/255.255.255.0", "prefix length must be 0 to 32"),
        ("192.0.2.0/" + "9" * 5000, "prefix length must be 0 to 32"),
        ("192.0.2.0/024", "a prefix length has no leading zero"),
        ("2001:db8::/129", "prefix length must be 0 to 128"),
        ("192.0.2.128/24", "host bits are set; the network is 192.0.2.0/24"),
        ("::ffff:192.0.2.128/120", "host bits are set; the network is 192.0.2.0/24"),
        ("2001:db8::1/64", "host bits are set; the network is 2001:db8::/64"),
        ("192.0.2.9-192.0.2.1", "the range ends before it starts"),
        ("192.0.2.9-", "not an address, CIDR, range or domain name"),
        ("-192.0.2.9", "not an address, CIDR, range or domain name"),
        ("192.0.2.1-9", "an IPv4 address has 4 octets, not 1"),
        ("192.0.2.1-2001:db8::1", "a range does not mix IPv4 and IPv6"),
        ("192.0.2.1-192.0.2.5-192.0.2.9", "not an address, CIDR, range or domain name"),
        ("::ffff:192.0.2.0/95", "host bits are set: an IPv4-mapped prefix is /96 or longer"),
        ("0.0.0.0/0", "covers the whole IPv4 Internet"),
        ("0.0.0.0-255.255.255.255", "covers the whole IPv4 Internet"),
        ("1.0.0.0-223.255.255.255", "covers the whole IPv4 Internet"),
        ("::ffff:0.0.0.0/96", "covers the whole IPv4 Internet"),
        ("::/0", "covers the whole IPv6 Internet"),
        ("::/1", "covers the whole IPv6 Internet"),
        ("2000::/3", "covers the whole IPv6 Internet"),
    ],
)
def test_what_is_no_net(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_net(text)
    assert str(refused.value) == message


@given(st.text(alphabet="0123456789abcdef.:/-% \0x", max_size=50) | st.text(max_size=20))
def test_any_text_is_a_net_or_a_value_error(text: str) -> None:
    try:
        net = parse_net(text)
    except ValueError:
        return
    assert net.version in (4, 6)
    assert 0 <= net.first <= net.last <= (MAX4 if net.version == 4 else MAX6)
    assert parse_net(str(net)) == net


@pytest.mark.parametrize(
    ("net", "shown"),
    [
        (Net(4, _v4("192.0.2.1"), _v4("192.0.2.1")), "192.0.2.1"),
        (Net(4, _v4("192.0.2.0"), _v4("192.0.2.255")), "192.0.2.0/24"),
        (Net(4, _v4("192.0.2.1"), _v4("192.0.2.2")), "192.0.2.1-192.0.2.2"),
        (Net(6, _v6("2001:db8::"), _v6("2001:db8::ffff")), "2001:db8::/112"),
    ],
)
def test_a_net_as_text(net: Net, shown: str) -> None:
    assert str(net) == shown


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("::ffff:0.0.0.0", Address(4, 0)),
        ("::ffff:255.255.255.255", Address(4, MAX4)),
        ("::fffe:ffff:ffff", Address(6, (0xFFFF << 32) - 1)),
        ("::1:0:0:0", Address(6, 1 << 48)),
    ],
)
def test_the_mapped_addresses_are_ipv4_and_their_neighbours_are_not(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_what_is_no_address_is_said_to_be_none() -> None:
    with pytest.raises(ValueError, match=r"^not an address$"):
        parse_address("example.org")
    with pytest.raises(ValueError, match=r"^not an endpoint$"):
        parse_address("example.org", "endpoint")


@pytest.mark.parametrize(
    ("net", "parts"),
    [
        ("126.255.255.255", ["126.255.255.255"]),
        ("128.0.0.0", ["128.0.0.0"]),
        ("192.0.2.0/24", ["192.0.2.0/24"]),
        ("127.0.0.0", []),
        ("127.0.0.0/8", []),
        ("127.255.255.255", []),
        ("126.0.0.0-127.0.0.0", ["126.0.0.0/8"]),
        ("127.255.255.255-128.0.0.1", ["128.0.0.0/31"]),
        ("112.0.0.0/4", ["112.0.0.0-126.255.255.255"]),
        ("126.0.0.0-128.255.255.255", ["126.0.0.0/8", "128.0.0.0/8"]),
        ("::7f00:1", ["::7f00:1"]),
    ],
)
def test_a_net_without_loopback(net: str, parts: list[str]) -> None:
    assert without_loopback(parse_net(net)) == [parse_net(part) for part in parts]


@given(st.integers(0, MAX4), st.integers(0, MAX4))
@example(0, MAX4)
@example(1, MAX4 - 1)
def test_ipv4_cidrs_are_the_fewest(one: int, other: int) -> None:
    first, last = sorted((one, other))
    expected = [
        (int(network.network_address), network.prefixlen)
        for network in summarize_address_range(IPv4Address(first), IPv4Address(last))
    ]
    assert list(cidrs_of(Net(4, first, last))) == expected


@given(st.integers(0, MAX6), st.integers(0, MAX6))
@example(0, MAX6)
@example(1, MAX6 - 1)
def test_ipv6_cidrs_are_the_fewest(one: int, other: int) -> None:
    first, last = sorted((one, other))
    expected = [
        (int(network.network_address), network.prefixlen)
        for network in summarize_address_range(IPv6Address(first), IPv6Address(last))
    ]
    assert list(cidrs_of(Net(6, first, last))) == expected


@given(st.integers(0, MAX6))
def test_an_address_comes_back_from_its_text(number: int) -> None:
    mapped = number >> 32 == 0xFFFF
    assert parse_address(str(Address(6, number))) == (Address(4, number & MAX4) if mapped else Address(6, number))
