"""The text of entries: what is taken for an address and what for a name, and what a name means on a list."""

import hashlib
from base64 import b32encode

import pytest

from dnsbl_server.model.address import Net
from dnsbl_server.model.domain import AT, BELOW, Domains
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.sources.entrytext import EntryText, is_name

ZONE = "bl.example.org"
PLAIN = EntryText(ZONE)
BOTH = AT | BELOW
SHA1 = EntryText(ZONE, hashing=Hashing("sha1", "hex"))
ADDRESS = hashlib.sha1(b"someone@example.com").hexdigest()

NAMES = [
    ("example.com", "example.com", AT),
    ("Example.COM.", "example.com", AT),
    (".example.com", "example.com", BOTH),
    ("*.example.com", "example.com", BELOW),
    (".com", "com", BOTH),
    ("*.com", "com", BELOW),
    ("_dmarc.-x-.example.com", "_dmarc.-x-.example.com", AT),
    ("1.2.3.4.example", "1.2.3.4.example", AT),
    ("müller.example", "xn--mller-kva.example", AT),
    (".пример.рф", "xn--e1afmkfd.xn--p1ai", BOTH),
    ("example.xn--p1ai", "example.xn--p1ai", AT),
    ("example.c0m", "example.c0m", AT),
]


@pytest.mark.parametrize(("text", "name", "scope"), NAMES)
def test_a_name_means_itself_or_those_below_it(text: str, name: str, scope: int) -> None:
    assert PLAIN.parse(text) == Domains(name, scope)
    assert PLAIN.parse_domains(text) == Domains(name, scope)
    # With subdomains, and under `except`, a plain name means those below it, too; another goes on meaning what it says.
    wide = Domains(name, BOTH if scope == AT else scope)
    with_subdomains = EntryText(ZONE, subdomains=True)
    assert with_subdomains.parse(text) == with_subdomains.parse_domains(text) == wide
    assert PLAIN.parse_exclusion(text) == with_subdomains.parse_exclusion(text) == wide
    with pytest.raises(ValueError, match="a domain name; write domain: instead of net:"):
        PLAIN.parse_net(text)


NETS = [
    ("192.0.2.1", Net(4, 0xC0000201, 0xC0000201)),
    ("192.0.2.0/24", Net(4, 0xC0000200, 0xC00002FF)),
    ("192.0.2.1-192.0.2.9", Net(4, 0xC0000201, 0xC0000209)),
    ("2001:db8::", Net(6, 0x20010DB8 << 96, 0x20010DB8 << 96)),
    ("2001:db8::/32", Net(6, 0x20010DB8 << 96, (0x20010DB9 << 96) - 1)),
    ("::ab-::cd", Net(6, 0xAB, 0xCD)),
    ("fe80::face", Net(6, (0xFE80 << 112) + 0xFACE, (0xFE80 << 112) + 0xFACE)),
]


@pytest.mark.parametrize(("text", "net"), NETS)
def test_a_net_is_one_whatever_names_mean(text: str, net: Net) -> None:
    for each in (PLAIN, EntryText(ZONE, subdomains=True), EntryText(ZONE, placeholders=frozenset({"ip"}))):
        assert each.parse(text) == each.parse_net(text) == each.parse_exclusion(text) == net
    with pytest.raises(ValueError, match=r"domain name|number"):
        PLAIN.parse_domains(text)


MISTYPED = [
    *("10.0.0.x", "10.0.0", "10.0.0.", "192.0.2.300", "300.1.2.3", "192.0.2.1-9", "1.2.3.4x", "192.0.2.1.5", "10"),
    *("192.0.2.1/24x", "192.0.2.O", "192.0.2.l", "192.0.2.1-192.0.2.x", "0x7f.0.0.1", "192.0.2.*", "192.0.2.0/x"),
    *("2001:db8::g", "2001:db8::1.2.3.x", "fe80::1%eth0", "::ffff:1.2.3.com", "dead:beef", "1.2.3.4 example.com"),
    *("192.0.2.1:25", "example.com:25", "http://example.com", "example.com/24", "a@example.com", "", ".", "*", "..com"),
    *("mail example.com", "mail\u00a0example.com", "example.com,example.org", "a.*.example.com", "*.*.example.com"),
    *("**.example.com", "example..com", "exa$mple.com", "example.com..", "example.1", "example.1a", "a" * 64 + ".com"),
]


@pytest.mark.parametrize("text", MISTYPED)
def test_what_is_mistyped_is_neither_an_address_nor_a_name(text: str) -> None:
    for parse in (PLAIN.parse, PLAIN.parse_exclusion, EntryText(ZONE, subdomains=True).parse, PLAIN.parse_net):
        with pytest.raises(ValueError, match=r"."):
            parse(text)


@pytest.mark.parametrize("text", ["localhost", "com", "com.", "mail", "müller"])
def test_a_single_word_is_refused_where_it_may_be_anything(text: str) -> None:
    for parse in (PLAIN.parse, PLAIN.parse_exclusion, EntryText(ZONE, subdomains=True).parse):
        with pytest.raises(ValueError, match=r"a whole top-level domain is written \.com"):
            parse(text)
    # Under the key `domain` it is plain what is meant.
    assert PLAIN.parse_domains(text).labels == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("example.com", True), ("example.com.", True), (".com", True), ("com", True), ("a.c0", True), ("a.рф", True)),
        *(("a.c", False), ("a.0c", False), ("a.c.", False), ("1.2.3.4", False), ("", False), (".", False)),
        *(("a.com/24", False), ("a.com:25", False), ("a b.com", False), ("a\tb.com", False), ("a@b.com", False)),
    ],
)
def test_the_last_label_shows_what_is_meant(text: str, expected: bool) -> None:
    assert is_name(text) == expected


@pytest.mark.parametrize("zone", [ZONE, "x.y", ".".join(["z" * 50] * 3)])
def test_a_name_fits_below_its_zone(zone: str) -> None:
    text = EntryText(zone, subdomains=True)
    room = 253 - 1 - len(zone)
    assert text.longest == room
    end = "com" if room % 2 else "info"
    longest = "a." * ((room - len(end)) // 2) + end
    assert len(longest) == room
    for prefix in ("", ".", "*."):
        for parse in (text.parse, text.parse_domains, EntryText(zone).parse):
            assert str(parse(prefix + longest)).endswith(longest)
            with pytest.raises(ValueError, match=f"at most {room} characters, not {room + 1}"):
                parse(prefix + "b" + longest)
    # An exclusion that no query reaches is a mistake, too.
    assert text.parse_exclusion(longest) == Domains(longest, BOTH)
    with pytest.raises(ValueError, match=f"at most {room} characters, not {room + 1}"):
        text.parse_exclusion("b" + longest)


def test_a_text_that_shows_an_address_takes_no_names() -> None:
    text = EntryText(ZONE, placeholders=frozenset({"ip", "zone"}))
    assert (text.takes_nets, text.takes_names) == (True, False)
    for parse in (text.parse, text.parse_domains):
        with pytest.raises(ValueError, match=r"the txt of this list has \{ip\}, .* write \{what\} there"):
            parse("example.com")
    assert text.parse_exclusion("example.com") == Domains("example.com", BOTH)


def test_a_text_that_shows_a_name_takes_no_addresses() -> None:
    text = EntryText(ZONE, placeholders=frozenset({"domain", "zone"}))
    assert (text.takes_nets, text.takes_names) == (False, True)
    for parse in (text.parse, text.parse_net):
        with pytest.raises(ValueError, match=r"the txt of this list has \{domain\}, .* write \{what\} there"):
            parse("192.0.2.1")
    assert text.parse("example.com") == Domains("example.com", AT)
    assert text.parse_exclusion("192.0.2.1") == Net(4, 0xC0000201, 0xC0000201)


def test_a_text_that_shows_either_takes_both() -> None:
    text = EntryText(ZONE, placeholders=frozenset({"what"}))
    assert (text.takes_nets, text.takes_names) == (True, True)
    assert isinstance(text.parse("192.0.2.1"), Net)
    assert isinstance(text.parse("example.com"), Domains)


@pytest.mark.parametrize("placeholders", [(), ("ip",), ("domain",), ("what",)])
def test_a_list_of_hashes_takes_addresses_of_people_and_their_hashes(placeholders: tuple[str, ...]) -> None:
    text = EntryText(ZONE, subdomains=True, hashing=Hashing("sha1", "hex"), placeholders=frozenset(placeholders))
    assert (text.takes_nets, text.takes_names) == (False, False)
    for parse in (text.parse, text.parse_domains, text.parse_exclusion):
        for written in ("someone@example.com", "SomeOne@Example.COM", ADDRESS, ADDRESS.upper()):
            assert parse(written) == Domains(ADDRESS, AT)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "example.com",
            ".example.com",
            "192.0.2.1",
            "2001:db8::1",
            "",
            ADDRESS[:-1],
            ADDRESS + "0",
            ADDRESS[:-1] + "g",
        ),
        *("*." + ADDRESS, "." + ADDRESS, ADDRESS + "."),
    ],
)
def test_a_list_of_hashes_takes_nothing_else(text: str) -> None:
    for parse in (SHA1.parse, SHA1.parse_domains, SHA1.parse_exclusion, SHA1.parse_net):
        with pytest.raises(ValueError, match=r"neither an e-mail address nor a hash: .* sha1 in hex \(40 characters\)"):
            parse(text)


@pytest.mark.parametrize("text", ["someone@example.com", ADDRESS])
def test_a_hash_is_no_net(text: str) -> None:
    with pytest.raises(ValueError, match="stands for a name; write domain: instead of net:"):
        SHA1.parse_net(text)


@pytest.mark.parametrize("text", ["@example.com", "a@", "a@b@example.com", "a b@example.com", "ä@example.com"])
def test_a_mistyped_mail_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"e-mail address|domain name"):
        SHA1.parse(text)


def test_hashes_are_of_the_encoding_of_the_list() -> None:
    text = EntryText(ZONE, hashing=Hashing("sha256", "base32"))
    label = b32encode(hashlib.sha256(b"someone@example.com").digest()).decode().rstrip("=").lower()
    assert text.parse("someone@example.com") == text.parse(label.upper()) == Domains(label, AT)
    with pytest.raises(ValueError, match=r"sha256 in base32 \(52 characters\)"):
        text.parse(ADDRESS)


def test_a_hash_fits_below_its_zone() -> None:
    room = 253 - 1 - 40
    fitting, longer = "z" * room, "z" * (room + 1)
    assert EntryText(fitting, hashing=Hashing("sha1", "hex")).parse(ADDRESS) == Domains(ADDRESS, AT)
    too_long = EntryText(longer, hashing=Hashing("sha1", "hex"))
    for parse in (too_long.parse, too_long.parse_domains):
        with pytest.raises(ValueError, match="at most 39 characters, not 40"):
            parse(ADDRESS)


def test_a_mail_address_needs_a_list_of_hashes() -> None:
    for parse in (PLAIN.parse, PLAIN.parse_net, PLAIN.parse_domains, PLAIN.parse_exclusion):
        with pytest.raises(ValueError, match=r"e-mail address|labels are letters"):
            parse("someone@example.com")
