"""Every rule of a zone file: what breaks it, and the line that says so, with the place of the value."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.supply.load import LoadResult

LoadTexts = Callable[..., LoadResult]

ZONE = "zone: bl.example.org\n"
LIST = ZONE + "entries:\n  - "

# The text of the file, and what is said of it: line:column: value: message.
BROKEN = [
    ("", "1:1: the file is empty"),
    ("# nothing\n", "1:1: the file is empty"),
    ("- 192.0.2.1\n", "1:1: a zone file is a mapping with the keys zone, "),
    ("entries: [192.0.2.1]\n", "1:1: the key zone is missing"),
    (ZONE, "1:1: the zone lists nothing: it needs entries, files or lists"),
    (ZONE + "entires: [192.0.2.1]\nfiles: []\n", "2:1: entires: unknown key; did you mean entries?"),
    (ZONE + "zone: other.example\nentries: []\n", "2:1: zone: duplicate key, first at {file}:1:1"),
    (ZONE + "ttl:\nentries: []\n", "2:5: the value is missing"),
    (ZONE + "ttl: [1, 2]\nentries: []\n", "2:6: expected a single value"),
    (ZONE + "ttl: 1:20\nentries: []\n", "2:6: 1:20: not a duration"),
    (ZONE + "ttl: 2147483648\nentries: []\n", "2:6: 2147483648: a TTL is at most 2147483647 seconds"),
    (ZONE + "ttl: -5\nentries: []\n", "2:6: -5: not a duration"),
    ("zone: bl..example\nentries: []\n", "1:7: bl..example: a domain name has no empty label"),
    ("zone: bl-.example\nentries: []\n", "1:7: bl-.example: not a domain name"),
    (
        f"zone: {'x' * 64}.example\nentries: []\n",
        "1:7: " + "x" * 57 + "...: label xxxxxxxxxxxxxxxxxxxx... is longer than 63",
    ),
    ("zone: .\nentries: []\n", "1:7: .: a domain name has at least one label"),
    (f"zone: {'.'.join(['x' * 60] * 4)}\nentries: []\n", "1:7: " + "x" * 57 + "...: too long"),
    (ZONE + "soa: {rname: a@b.example}\nentries: []\n", "2:14: a@b.example: not a domain name"),
    (ZONE + "soa: {minimum: 60}\nentries: []\n", "2:7: minimum: unknown key"),
    (ZONE + "apex: {mx: [mx.example.org]}\nentries: []\n", "2:13: mx.example.org: an MX is a preference"),
    (ZONE + "apex: {a: ['::1']}\nentries: []\n", "2:12: ::1: not an IPv4 address"),
    (ZONE + "apex: {aaaa: [192.0.2.1]}\nentries: []\n", "2:15: 192.0.2.1: not an IPv6 address"),
    (ZONE + "ns: [a.example, A.example.]\nentries: []\n", "2:17: A.example.: stands twice, first at {file}:2:6"),
    (LIST + "10.0.0.0/33\n", "3:5: 10.0.0.0/33: prefix length must be 0 to 32"),
    (LIST + "'2001:db8::/129'\n", "3:5: 2001:db8::/129: prefix length must be 0 to 128"),
    (LIST + "10.0.0.1/24\n", "3:5: 10.0.0.1/24: host bits are set; the network is 10.0.0.0/24"),
    (LIST + "'2001:db8::1/32'\n", "3:5: 2001:db8::1/32: host bits are set; the network is 2001:db8::/32"),
    (LIST + "0.0.0.0/0\n", "3:5: 0.0.0.0/0: covers the whole IPv4 Internet"),
    (LIST + "0.0.0.0-255.255.255.255\n", "3:5: 0.0.0.0-255.255.255.255: covers the whole IPv4 Internet"),
    (LIST + "'::/0'\n", "3:5: ::/0: covers the whole IPv6 Internet"),
    (LIST + "'2000::/3'\n", "3:5: 2000::/3: covers the whole IPv6 Internet"),
    (LIST + "0.0.0.0/1\n  - 128.0.0.0/1\n", "1:7: bl.example.org: its lists together cover the whole IPv4 Internet"),
    (LIST + "10.0.0.256\n", "3:5: 10.0.0.256: an octet must be 0 to 255"),
    (LIST + "10.0.0.01\n", "3:5: 10.0.0.01: an octet has no leading zero"),
    (LIST + "10.0.0\n", "3:5: 10.0.0: an IPv4 address has 4 octets, not 3"),
    (LIST + "10.0.0.9-10.0.0.1\n", "3:5: 10.0.0.9-10.0.0.1: the range ends before it starts"),
    (LIST + "'10.0.0.9-::1'\n", "3:5: 10.0.0.9-::1: a range does not mix IPv4 and IPv6"),
    (LIST + "mail.example.org\n", "3:5: mail.example.org: not an address, CIDR or range"),
    (LIST + "'fe80::1%eth0'\n", "3:5: fe80::1%eth0: not an IPv6 address"),
    (LIST + "{reason: x}\n", "3:5: the entry has no net"),
    (LIST + "{net: 10.0.0.1, until: 2026-12-20}\n", "3:21: until: unknown key"),
    (
        LIST + "10.0.0.1\n  - 10.0.0.1/32\n",
        "4:5: 10.0.0.1/32: listed twice in bl.example.org, first at {file}:3:5 as 10.0.0.1",
    ),
    (LIST + "10.0.0.0/31\n  - 10.0.0.0-10.0.0.1\n", "4:5: 10.0.0.0-10.0.0.1: listed twice in bl.example.org"),
    (LIST + "{net: 10.0.0.1, expires: 30d}\n", "3:30: 30d: a duration counts from `listed`, which is missing"),
    (
        LIST + "{net: 10.0.0.1, listed: 2026-11-20, expires: 2026-11-20}\n",
        "3:50: 2026-11-20: expires before it is listed",
    ),
    (LIST + "{net: 10.0.0.1, listed: 2026-02-30}\n", "3:29: 2026-02-30: no such time"),
    (LIST + "{net: 10.0.0.1, expires: soon}\n", "3:30: soon: not a date or time"),
    (ZONE + "code: 127.0.0.1\nentries: []\n", "2:7: 127.0.0.1: 127.0.0.1 is no code"),
    (ZONE + "code: 127.255.255.254\nentries: []\n", "2:7: 127.255.255.254: 127.255.255.0/24 is kept for errors"),
    (ZONE + "code: 10.0.0.1\nentries: []\n", "2:7: 10.0.0.1: a code is an address in 127.0.0.0/8"),
    (
        ZONE + f"code: [{', '.join(f'127.0.0.{n}' for n in range(2, 35))}]\nentries: [10.0.0.1]\n",
        "2:1: code: at most 32 codes, not 33",
    ),
    (ZONE + "code: []\nentries: []\n", "2:1: code: the value is missing"),
    (ZONE + "txt: '{ipp}'\nentries: []\n", "2:6: {ipp}: unknown placeholder {ipp}; there are {ip}, "),
    (ZONE + "txt: 'a } b'\nentries: []\n", "2:6: a } b: a single } at character 3"),
    (ZONE + "txt: 'Grüße'\nentries: []\n", "2:6: Grüße: only printable ASCII; U+00FC stands at character 3"),
    (
        ZONE + f"txt: '{'x' * 501}'\nentries: [10.0.0.1]\n",
        "2:6: " + "x" * 57 + "...: the TXT answer is at most 500 bytes long; this makes it 501",
    ),
    (
        LIST + "{net: 10.0.0.1, reason: '" + "y" * 600 + "'}\n",
        "3:29: " + "y" * 57 + "...: the TXT answer is at most 500",
    ),
    (ZONE + "lists:\n  - entries: []\n", "3:5: the list has no name"),
    (ZONE + "lists:\n  - name: a\n", "3:5: the list needs entries or files"),
    (ZONE + "lists:\n  - {name: a b, entries: []}\n", "3:12: a b: a list name is"),
    (
        ZONE + "lists:\n  - {name: a, entries: []}\n  - {name: a, entries: []}\n",
        "4:12: a: two lists with one name, first at {file}:3:12",
    ),
    (ZONE + "lists: []\n", "2:1: lists: the zone lists nothing: lists is empty"),
    (ZONE + "code: 127.0.0.3\nlists:\n  - {name: a, entries: []}\n", "2:1: code: does not go with lists"),
    (ZONE + "except: [10.0.0.1/8]\nentries: []\n", "2:10: 10.0.0.1/8: host bits are set"),
    (ZONE + "files: [gone.txt]\n", "2:9: gone.txt: no such file or directory"),
    (ZONE + "files: [.]\n", "2:9: .: is a directory"),
    (ZONE + "entries: &a [10.0.0.1]\n", "2:10: &a: anchors are not supported"),
    (ZONE + "entries: *a\n", "2:10: *a: aliases are not supported"),
    (ZONE + "<<: {ttl: 5m}\nentries: []\n", "2:1: <<: merge keys are not supported"),
    (ZONE + "entries: !!set {10.0.0.1}\n", "2:10: tag:yaml.org,2002:set: tags are not supported"),
    (ZONE + "---\nzone: b.example\n", "2:1: ---: a file holds one document"),
    (ZONE + "? [a]\n: b\n", "2:3: a key is a word, not a list or a mapping"),
    (ZONE + "entries: [10.0.0.1\n", "not valid YAML"),
    (ZONE + "entries: " + "[" * 100000, "2:25: nested deeper than 16 levels"),
    (ZONE + "ttl: \x01\n", "2:6: U+0001: character not allowed"),
]


def said_of(result: LoadResult, directory: Path) -> list[str]:
    return [str(problem).replace(f"{directory}/z0.yaml:", "", 1) for problem in result.problems]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_broken(load_texts: LoadTexts, tmp_path: Path, text: str, expected: str) -> None:
    result = load_texts(text)
    assert not result.zones
    expected = expected.replace("{file}", str(tmp_path / "z0.yaml")).replace("{dir}", str(tmp_path))
    assert any(
        expected in line and (line.startswith(expected) or not expected[0].isdigit())
        for line in said_of(result, tmp_path)
    ), said_of(result, tmp_path)


WARNED = [
    (ZONE + "entries: []\n", "1:7: warning: the list is empty", 0),
    (ZONE + "entries:\n  # - 10.0.0.1\n", "1:7: warning: the list is empty", 0),
    (
        LIST + "10.0.0.0-11.0.0.0\n",
        "3:5: warning: 10.0.0.0-11.0.0.0: lists more than a /8; is that meant?",
        (1 << 24) + 1,
    ),
    (LIST + "'2002::/15'\n", "3:5: warning: 2002::/15: lists more than a /16; is that meant?", 0),
    (LIST + "127.0.0.0/8\n", "3:5: warning: 127.0.0.0/8: left out: no file can list 127.0.0.0/8", 0),
    (LIST + "127.0.0.1\n", "3:5: warning: 127.0.0.1: left out", 0),
    (LIST + "'::ffff:127.0.0.1'\n", "3:5: warning: ::ffff:127.0.0.1: left out", 0),
    (LIST + "126.0.0.0/7\n", "3:5: warning: 126.0.0.0/7: taken without 127.0.0.0/8", 1 << 24),
    (LIST + "126.255.255.255-128.0.0.0\n", "3:5: warning: 126.255.255.255-128.0.0.0: taken without", 2),
    (LIST + "'::/64'\n", "3:5: warning: ::/64: taken without ::ffff:0:0/96", 0),
    (LIST + "10.0.0.1\nexcept: [127.0.0.2]\n", "4:10: warning: 127.0.0.2: has no effect", 1),
    (LIST + "10.0.0.1\nttl: 30d\n", "4:6: warning: 30d: more than a week", 1),
    (
        LIST + "10.0.0.1\nns: [ns.bl.example.org]\n",
        "4:6: warning: ns.bl.example.org: the name server has a name below the zone",
        1,
    ),
    (
        LIST + "10.0.0.1\ntxt: '" + "x" * 256 + "'\n",
        "4:6: warning: "
        + "x" * 57
        + "...: the TXT answer can be 256 bytes long, and Exim and Postfix show the first 255",
        1,
    ),
    (
        LIST + "10.0.0.1\ntxt: '" + "x" * 241 + "{ip}'\n",
        "4:6: warning: " + "x" * 57 + "...: the TXT answer can be 256",
        1,
    ),
]


@pytest.mark.parametrize(("text", "expected", "addresses"), WARNED)
def test_warned(load_texts: LoadTexts, tmp_path: Path, text: str, expected: str, addresses: int) -> None:
    result = load_texts(text)
    said = said_of(result, tmp_path)
    assert any(line.startswith(expected) for line in said), said
    (loaded,) = result.zones.values()
    assert loaded.compiled.addresses[4] == addresses


def test_all_problems_of_all_files_come_in_one_run(load_texts: LoadTexts, tmp_path: Path) -> None:
    (tmp_path / "feed.txt").write_text("10.0.0.1\noops\n10.0.0.300 # x\n")
    broken = LIST + "10.0.0.1/8\n  - 10.0.0.x\nttl: x\nfiles: [feed.txt]\n"
    result = load_texts(
        broken, ZONE.replace("bl", "b2") + "entries: [1.2.3.4/0]\n", ZONE.replace("bl", "b3") + "entries: [10.0.0.9]\n"
    )
    places = [str(problem.place).removeprefix(f"{tmp_path}/") for problem in result.problems]
    assert places == ["z0.yaml:5:6", "z0.yaml:3:5", "z0.yaml:4:5", "feed.txt:2:1", "feed.txt:3:1", "z1.yaml:2:11"]
    assert [loaded.zone.name for loaded in result.zones.values()] == ["b3.example.org"]


def test_two_files_for_one_zone(load_texts: LoadTexts, tmp_path: Path) -> None:
    result = load_texts(LIST + "10.0.0.1\n", "zone: BL.example.org.\nentries: [10.0.0.2]\n")
    said = [str(problem) for problem in result.problems]
    assert said == [
        f"{tmp_path}/z1.yaml:1:7: bl.example.org: two files for one zone, the other is {tmp_path}/z0.yaml:1:7"
    ]


@pytest.mark.parametrize(
    ("name", "refused"), [("2", True), ("a", True), ("2.0.192", True), ("zz", False), ("traps", False), ("256", False)]
)
def test_a_zone_cannot_hide_addresses_of_another(load_texts: LoadTexts, name: str, refused: bool) -> None:
    result = load_texts(LIST + "10.0.0.1\n", f"zone: {name}.bl.example.org\nentries: []\n")
    assert bool(result.problems.errors) == refused
    assert len(result.zones) == (1 if refused else 2)


LISTED = [
    ("10.0.0.0/8", "", 1 << 24),
    ("10.0.0.0-11.0.0.0", "lists more than a /8; is that meant?", (1 << 24) + 1),
    ("2002::/15", "lists more than a /16; is that meant?", 0),
    ("127.0.0.0/8", "left out: no file can list 127.0.0.0/8", 0),
    ("127.0.0.2", "left out: no file can list 127.0.0.0/8", 0),
    ("::ffff:127.0.0.1", "left out: no file can list 127.0.0.0/8", 0),
    ("126.255.255.255-128.0.0.0", "taken without 127.0.0.0/8", 2),
    ("::/64", "taken without ::ffff:0:0/96", 0),
    ("::ffff:192.0.2.0/120", "", 256),
]


@pytest.mark.parametrize(("line", "expected", "addresses"), LISTED)
def test_what_a_list_file_lists_is_warned_of_like_any_entry(
    load_texts: LoadTexts, tmp_path: Path, line: str, expected: str, addresses: int
) -> None:
    (tmp_path / "feed.txt").write_text(f"# a feed\n  {line} # why\n2001:db8::1\n")
    result = load_texts(ZONE + "files: [feed.txt]\n")
    said = [str(problem).removeprefix(f"{tmp_path}/") for problem in result.problems]
    assert len(said) == bool(expected)
    assert not expected or said[0].startswith(f"feed.txt:2: warning: {line}: {expected}")
    (loaded,) = result.zones.values()
    assert loaded.compiled.addresses[4] == addresses
