"""The rules of a list and its entries: what breaks them or is warned of, with the place of the value."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.model.problem import Problems
from dnsbl_server.sources import listkeys, listsource
from dnsbl_server.sources.zonefile import read_zone_file
from dnsbl_server.supply.load import LoadResult
from tests.annotated import read_annotated
from tests.sources.refusing import assert_refused, lines_of

ZONE = "zone: bl.example.org\n"
LIST = ZONE + "entries:\n  - "

# The text of the file, and what is said of it: line:column: value: message.
BROKEN = [
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
    (LIST + "mail example org\n", "3:5: mail example org: not an address, CIDR, range or domain name"),
    (LIST + "'fe80::1%eth0'\n", "3:5: fe80::1%eth0: not an IPv6 address"),
    (LIST + "{reason: x}\n", "3:5: the entry has neither net nor domain"),
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
    (ZONE + "txt: '{ipp}'\nentries: []\n", "2:6: {ipp}: unknown placeholder {ipp}; there are {what}, {ip}, "),
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
    (ZONE + "except: [10.0.0.1/8]\nentries: []\n", "2:10: 10.0.0.1/8: host bits are set"),
    (ZONE + "files: [gone.txt]\n", "2:9: gone.txt: no such file or directory"),
    (ZONE + "files: [.]\n", "2:9: .: is a directory"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_wrong_value_is_a_problem_at_its_place(
    load_texts: Callable[..., LoadResult], tmp_path: Path, text: str, expected: str
) -> None:
    assert_refused(load_texts(text), tmp_path, expected)


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
def test_what_may_not_be_meant_is_a_warning(
    load_texts: Callable[..., LoadResult], tmp_path: Path, text: str, expected: str, addresses: int
) -> None:
    result = load_texts(text)
    said = lines_of(result, tmp_path)
    assert any(line.startswith(expected) for line in said), said
    (loaded,) = result.zones.values()
    assert loaded.compiled.addresses[4] == addresses


SHOWN = "and Exim and Postfix show the first 255"
LONG_VALUE = "x" * 57 + "..."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        # An address of 15 bytes fits behind 235 others, and one of 39 does not.
        ("entries: [192.0.2.1]\n", []),
        ("entries: [192.0.2.1, '2001:db8::1']\n", ["2:6: warning: {value}: the TXT answer can be 274 bytes long, "]),
        ("files: [v4.txt]\n", []),
        ("files: [v4.txt, v6.txt]\n", ["2:6: warning: {value}: the TXT answer can be 274 bytes long, "]),
        # An entry that says nothing of its own has the text of the list, and
        ("entries: [{net: '2001:db8::1'}]\n", ["2:6: warning: {value}: the TXT answer can be 274 bytes long, "]),
        # one with a listing of its own is checked by itself.
        (
            "entries: [192.0.2.1, {net: '2001:db8::1', ttl: 5}]\n",
            ["3:28: warning: 2001:db8::1: the TXT answer can be 274 bytes long, "],
        ),
    ],
)
def test_a_text_is_as_long_as_for_the_longest_address_that_has_it(
    load_texts: Callable[..., LoadResult], tmp_path: Path, body: str, said: list[str]
) -> None:
    (tmp_path / "v4.txt").write_text("192.0.2.1\n")
    (tmp_path / "v6.txt").write_text("2001:db8::1\n")
    result = load_texts(ZONE + "txt: '" + "x" * 235 + "{ip}'\n" + body)
    assert lines_of(result, tmp_path) == [line.format(value=LONG_VALUE) + SHOWN for line in said]


def test_a_text_without_a_value_of_its_own_is_too_long_at_its_place(
    load_texts: Callable[..., LoadResult], tmp_path: Path
) -> None:
    result = load_texts(ZONE + "txt: '" + "x" * 256 + "'\nreason: [a]\nentries: [192.0.2.1]\n")
    assert f"3:9: warning: the TXT answer can be 256 bytes long, {SHOWN}" in lines_of(result, tmp_path)


@pytest.mark.parametrize(("literal", "said"), [(234, []), (235, ["256"])])
def test_the_text_of_the_test_entries_has_the_limits_too(
    load_texts: Callable[..., LoadResult], tmp_path: Path, literal: int, said: list[str]
) -> None:
    text = "txt: '" + "x" * literal + "{reason}'\nreason: short\nentries: [192.0.2.1]\n"
    result = load_texts(ZONE + text)
    expected = [f"3:9: warning: short: the TXT answer can be {size} bytes long, {SHOWN}" for size in said]
    assert lines_of(result, tmp_path) == expected


@pytest.mark.parametrize(
    ("net", "has_effect"),
    [
        *(("127.0.0.0", False), ("127.255.255.255", False), ("127.0.0.0/8", False), ("127.0.0.2-127.0.0.9", False)),
        *(("126.0.0.0/7", True), ("126.255.255.255-127.0.0.0", True), ("127.255.255.255-128.0.0.0", True)),
        *(("126.255.255.255", True), ("128.0.0.0", True), ("::7f00:2", True)),
    ],
)
def test_an_exclusion_of_nothing_but_test_entries_has_no_effect(
    load_texts: Callable[..., LoadResult], tmp_path: Path, net: str, has_effect: bool
) -> None:
    result = load_texts(ZONE + f"entries: [192.0.2.1]\nexcept: ['{net}']\n")
    said = [line.partition(", which")[0] for line in lines_of(result, tmp_path)]
    effect = "has no effect: what is listed in 127.0.0.0/8 are the test entries"
    assert said == ([] if has_effect else [f"3:10: warning: {net}: {effect}"])


def test_an_ipv6_address_that_ends_in_a_colon_stands_in_quotes(
    load_texts: Callable[..., LoadResult], tmp_path: Path
) -> None:
    result = load_texts(LIST + "2001:db8::\n  - {net: 192.0.2.1}\n  - {nat: 192.0.2.1}\n")
    assert lines_of(result, tmp_path) == [
        "3:5: 2001:db8::: an IPv6 address that ends in a colon stands in quotes",
        "5:6: nat: unknown key; did you mean net?",
        "5:5: the entry has neither net nor domain",
    ]


def test_progress_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listkeys, "_PROGRESS_EVERY", 2)
    path = tmp_path / "z.yaml"
    path.write_text(ZONE + f"entries: [{', '.join(f'192.0.2.{number}' for number in range(5))}]\n")
    told: list[tuple[str, int]] = []
    read_zone_file(str(path), Problems(), lambda file, count: told.append((file, count)))
    assert told == [(str(path), 2), (str(path), 4)]


OWN = "{{net: '{net}', reason: {reason}}}"


@pytest.mark.parametrize(
    ("lists", "sizes"),
    [
        # The same text again is not said again.
        ([("a", [("192.0.2.1", 240), ("192.0.2.2", 240)])], [256]),
        # It is another one for an address of the other version,
        ([("a", [("192.0.2.1", 235), ("2001:db8::1", 235)])], [275]),
        ([("a", [("192.0.2.1", 240), ("2001:db8::1", 240)])], [256, 280]),
        # with another listing,
        ([("a", [("192.0.2.1", 239), ("192.0.2.2", 240)])], [256]),
        # and on another list.
        ([("a", [("192.0.2.1", 239)]), ("ab", [("192.0.2.1", 239)])], [256]),
    ],
)
def test_each_text_of_entries_is_checked_once(
    load_texts: Callable[..., LoadResult],
    tmp_path: Path,
    lists: list[tuple[str, list[tuple[str, int]]]],
    sizes: list[int],
) -> None:
    text = ZONE + "lists:\n"
    for name, entries in lists:
        text += f"  - name: {name}\n    txt: '{{ip}}{{reason}}{{list}}'\n    entries:\n"
        text += "".join(f"      - {OWN.format(net=net, reason='y' * length)}\n" for net, length in entries)
    said = [line.split(": ")[3] for line in lines_of(load_texts(text), tmp_path)]
    assert said == [f"the TXT answer can be {size} bytes long, {SHOWN}" for size in sizes]


LONG = "y" * 230


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["192.0.2.1 | short | 127.0.0.2 | 60 | -"], []),
        (
            ["192.0.2.1", f"192.0.2.2 | {LONG} | 127.0.0.2 | 60 | -", f"192.0.2.3 | {LONG} | 127.0.0.2 | 60 | -"],
            ["feed.txt:2: warning: the TXT answer can be 297 bytes long, and Exim and Postfix show the first 255"],
        ),
        (
            [f"192.0.2.2 | {LONG * 3} | 127.0.0.2 | 60 | -", f"2001:db8::1 | {LONG * 3} | 127.0.0.2 | 60 | -"],
            [
                "feed.txt:1: warning: the TXT answer is at most 500 bytes long; this makes it 757",
                "feed.txt:2: warning: the TXT answer is at most 500 bytes long; this makes it 781",
            ],
        ),
    ],
)
def test_the_texts_of_a_list_file_have_limits_too(
    load_texts: Callable[..., LoadResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    said: list[str],
) -> None:
    monkeypatch.setattr(listsource, "read_list_file", read_annotated)
    (tmp_path / "feed.txt").write_text("\n".join([*lines, f"end {len(lines)}"]))
    result = load_texts(ZONE + "files: [feed.txt]\n")
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in result.problems] == said
