"""Zone files to zones: what each field means, and the cases in tests/cases, each of which says what is wrong with it.

A case starts with comments: `# expect: line:column: value: message` for each error, in a list file with the file's name
before it, and `# with: FILE` for another zone file that is loaded before it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from dnsbl_server.model.address import parse_address, parse_net
from dnsbl_server.model.apex import Apex, Soa
from dnsbl_server.model.entry import Exclusion
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.zone import Zone
from dnsbl_server.sources import zonefile
from dnsbl_server.sources.values import parse_template
from dnsbl_server.sources.zonefile import ZoneFile, read_zone_file
from dnsbl_server.supply.load import LoadResult, load_zones
from tests.conftest import NOW
from tests.sources.refusing import assert_refused

CASES = Path(__file__).parent / "cases"
INVALID = sorted(path.name for path in (CASES / "invalid").glob("*.yaml"))
HEAD = "zone: bl.example.org\n"


def _quiet(path: str, count: int) -> None:
    pass


def _after(lines: list[str], mark: str) -> list[str]:
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_case_is_refused_as_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "invalid")
    lines = Path(name).read_text().splitlines()
    expected = [text if text.startswith("feeds/") else f"{name}:{text}" for text in _after(lines, "# expect: ")]
    assert expected, "the case does not say what is wrong"
    others = _after(lines, "# with: ")
    result = load_zones([*others, name], NOW, _quiet)
    found = [str(problem) for problem in result.problems.errors if problem.place.file not in others]
    assert found == expected
    assert name not in result.zones


def _read(text: str, path: Path) -> tuple[Zone | None, list[str]]:
    path.write_text(text)
    problems = Problems()
    zone = read_zone_file(str(path), problems, _quiet).zone
    return zone, [str(problem).removeprefix(f"{path}:") for problem in problems]


def _good(text: str, path: Path) -> Zone:
    zone, problems = _read(text, path)
    assert problems == []
    assert zone is not None
    return zone


def test_the_smallest_zone_gets_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "valid")
    problems = Problems()
    zone = read_zone_file("smallest.yaml", problems, _quiet).zone
    assert len(problems) == 0
    assert zone is not None
    assert (zone.name, zone.place) == ("bl.example.org", Place("smallest.yaml", 1, 7))
    assert (zone.description, zone.ttl, zone.negative_ttl, zone.ns) == ("", 300, 60, ())
    assert zone.soa == Soa("bl.example.org", "hostmaster.bl.example.org", 3600, 600, 604800)
    assert (zone.apex, zone.exclusions) == (Apex(), ())
    (only,) = zone.lists
    assert (only.name, only.place, only.exclusions) == ("bl.example.org", zone.place, ())
    assert only.listing == Listing((0x7F000002,), "", 300)
    assert [(entry.what, entry.text, entry.place, entry.listing) for entry in only.entries] == [
        (parse_net("192.0.2.0/24"), "192.0.2.0/24", Place("smallest.yaml", 3, 5), only.listing),
        (parse_net("198.51.100.7"), "198.51.100.7", Place("smallest.yaml", 4, 5), only.listing),
    ]


def test_the_full_zone_means_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / "valid")
    problems = Problems()
    result = read_zone_file("full.yaml", problems, _quiet)
    zone = result.zone
    assert len(problems) == 0
    assert list(result.sources) == ["full.yaml", "feeds/dynamic.txt"]
    assert zone is not None
    assert (zone.name, zone.place) == ("bl.example.org", Place("full.yaml", 1, 7))
    assert zone.description == "Addresses that sent mail to our spam traps"
    assert (zone.ttl, zone.negative_ttl) == (300, 60)
    assert zone.ns == ("ns1.example.org", "ns2.example.org")
    assert zone.soa == Soa("ns1.example.org", "hostmaster.example.org", 3600, 600, 604800)
    assert zone.apex == Apex(
        a=("192.0.2.80",),
        aaaa=("2001:db8::80",),
        mx=((10, "mx.example.org"),),
        txt=("Spam trap list, see https://bl.example.org/",),
    )
    assert zone.exclusions == (Exclusion(parse_net("203.0.113.25"), "203.0.113.25", Place("full.yaml", 12, 10)),)
    traps, dynamic = zone.lists
    assert (traps.name, traps.place) == ("traps", Place("full.yaml", 14, 11))
    assert traps.listing == Listing((0x7F000002,), "unsolicited mail", 300)
    assert traps.template == parse_template("{ip} hit our spam traps: {reason}. https://bl.example.org/?ip={ip}")
    own = Listing(
        (0x7F000003,),
        "snowshoe range, ticket 4711",
        3600,
        datetime(2026, 11, 20, tzinfo=UTC),
        datetime(2026, 12, 20, tzinfo=UTC),
    )
    assert [(entry.what, entry.line, entry.column, entry.listing) for entry in traps.entries] == [
        (parse_net("192.0.2.0/24"), 19, 9, traps.listing),
        (parse_net("203.0.113.10-203.0.113.20"), 20, 9, traps.listing),
        (parse_net("2001:db8:bad::/48"), 21, 9, traps.listing),
        (parse_net("198.51.100.64/26"), 22, 14, own),
    ]
    assert traps.exclusions == (Exclusion(parse_net("192.0.2.25"), "192.0.2.25", Place("full.yaml", 28, 14)),)
    assert (dynamic.name, dynamic.exclusions) == ("dynamic", ())
    assert dynamic.listing == Listing((0x7F00000A,), "", 300)
    assert [(entry.what, entry.text, str(entry.place)) for entry in dynamic.all_entries()] == [
        (parse_net("198.51.100.128/25"), "198.51.100.128/25", "feeds/dynamic.txt:2"),
        (parse_net("2001:db8:d000::/36"), "2001:db8:d000::/36", "feeds/dynamic.txt:4"),
    ]


def test_several_codes_and_one_value_for_a_list_of_one(tmp_path: Path) -> None:
    zone = _good(
        HEAD + "ns: NS1.Example.org.\ncode: [127.0.0.9, 127.0.0.2]\nentries: 192.0.2.1\nexcept:\n", tmp_path / "z.yaml"
    )
    assert zone.ns == ("ns1.example.org",)
    assert zone.soa.mname == "ns1.example.org"
    assert zone.lists[0].listing.codes == (0x7F000009, 0x7F000002)
    assert len(zone.lists[0].entries) == 1
    assert zone.lists[0].exclusions == ()


def test_top_level_keys_are_a_list_named_after_the_zone(tmp_path: Path) -> None:
    zone = _good(
        HEAD + 'code: 127.0.0.7\ntxt: "{reason}"\nreason: spam\nentries: [192.0.2.0/24]\nexcept: [192.0.2.25]\n',
        tmp_path / "z.yaml",
    )
    (only,) = zone.lists
    assert only.name == "bl.example.org"
    assert only.listing == Listing((0x7F000007,), "spam", 300)
    assert only.template == parse_template("{reason}")
    assert [exclusion.text for exclusion in only.exclusions] == ["192.0.2.25"]
    assert zone.exclusions == ()


def test_an_entry_takes_what_it_does_not_say_from_its_list(tmp_path: Path) -> None:
    zone = _good(
        HEAD + "ttl: 10m\ncode: 127.0.0.7\nreason: spam\nentries:\n"
        "  - {net: 192.0.2.1, ttl: 5}\n"
        "  - {net: 192.0.2.2, code: [127.0.0.8, 127.0.0.9]}\n"
        "  - {net: 192.0.2.3, reason: relay, listed: 2026-11-20, expires: 30d}\n"
        "  - {net: 192.0.2.4}\n",
        tmp_path / "z.yaml",
    )
    listed = datetime(2026, 11, 20, tzinfo=UTC)
    assert [entry.listing for entry in zone.lists[0].entries] == [
        Listing((0x7F000007,), "spam", 5),
        Listing((0x7F000008, 0x7F000009), "spam", 600),
        Listing((0x7F000007,), "relay", 600, listed, datetime(2026, 12, 20, tzinfo=UTC)),
        Listing((0x7F000007,), "spam", 600),
    ]


LONG_TTL = "more than a week: this long clients keep what is taken off"
LEFT_OUT = "left out: no file can list 127.0.0.0/8, whose test entries come from the codes"
WITHOUT = "taken without 127.0.0.0/8, whose test entries come from the codes"


@pytest.mark.parametrize(
    ("body", "warnings"),
    [
        ("ttl: 1w\nentries: [192.0.2.1]\n", []),
        ("ttl: 8d\nentries: [192.0.2.1]\n", [f"2:6: warning: 8d: {LONG_TTL}"]),
        ("negative_ttl: 2w\nentries: [192.0.2.1]\n", [f"2:15: warning: 2w: {LONG_TTL}"]),
        ("ttl: 2w\nentries:\n  - {net: 192.0.2.1, reason: spam}\n", [f"2:6: warning: 2w: {LONG_TTL}"]),
        ("entries:\n  - {net: 192.0.2.1, ttl: 30d}\n", [f"3:27: warning: 30d: {LONG_TTL}"]),
        ("entries: [127.0.0.2]\n", [f"2:11: warning: 127.0.0.2: {LEFT_OUT}"]),
        ("entries: [127.0.0.0/8]\n", [f"2:11: warning: 127.0.0.0/8: {LEFT_OUT}"]),
        ("entries: ['::ffff:127.0.0.9']\n", [f"2:11: warning: ::ffff:127.0.0.9: {LEFT_OUT}"]),
        ("entries: [112.0.0.0/4]\n", [f"2:11: warning: 112.0.0.0/4: {WITHOUT}"]),
        ("txt: " + "x" * 255 + "\nentries: [192.0.2.1]\n", []),
        (
            "txt: " + "x" * 256 + "\nentries: [192.0.2.1]\n",
            [
                "2:6: warning: "
                + "x" * 57
                + "...: the TXT answer can be 256 bytes long, and Exim and Postfix show the first 255"
            ],
        ),
        (
            "txt: '{ip} {reason}'\nentries:\n  - net: 192.0.2.1\n    reason: " + "y" * 240 + "\n",
            [
                "5:13: warning: "
                + "y" * 57
                + "...: the TXT answer can be 256 bytes long, and Exim and Postfix show the first 255"
            ],
        ),
    ],
)
def test_what_is_only_warned_of(body: str, warnings: list[str], tmp_path: Path) -> None:
    zone, problems = _read(HEAD + body, tmp_path / "z.yaml")
    assert zone is not None
    assert problems == warnings


@pytest.mark.parametrize("body", ["ns: [ns.bl.example.org]\n", "apex: {mx: [10 mx.BL.example.org.]}\n"])
def test_a_host_below_the_zone_has_no_address_and_is_warned_of(body: str, tmp_path: Path) -> None:
    zone, problems = _read(HEAD + body + "entries: [192.0.2.1]\n", tmp_path / "z.yaml")
    assert zone is not None
    assert len(problems) == 1
    assert problems[0].startswith("2:")
    assert "below the zone" in problems[0]


@pytest.mark.parametrize("name", ["ns.xbl.example.org", "xbl.example.org", "bl.example.org", "example.org"])
def test_a_host_that_is_not_below_the_zone_is_nothing_to_warn_of(name: str, tmp_path: Path) -> None:
    _good(HEAD + f"ns: [{name}]\napex: {{mx: [10 {name}]}}\nentries: [192.0.2.1]\n", tmp_path / "z.yaml")


@pytest.mark.parametrize(
    ("entry", "listed", "count"),
    [
        ("126.255.255.255-128.0.0.0", ["126.255.255.255", "128.0.0.0"], 2),
        ("126.0.0.0-127.0.0.2", ["126.255.255.255"], 1 << 24),
        ("127.0.0.2-128.0.0.0", ["128.0.0.0"], 1),
        ("127.0.0.1", [], 0),
        ("127.0.0.0/8", [], 0),
        ("::ffff:127.0.0.0/104", [], 0),
        ("126.255.255.255", ["126.255.255.255"], 1),
        ("128.0.0.0", ["128.0.0.0"], 1),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_loopback_is_cut_out_of_every_entry(
    entry: str, listed: list[str], count: int, in_file: bool, tmp_path: Path, load_texts: Callable[..., LoadResult]
) -> None:
    (tmp_path / "feed.txt").write_text(f"{entry}\n")
    result = load_texts(HEAD + ("files: [feed.txt]\n" if in_file else f"entries: ['{entry}']\n"))
    assert result.problems.errors == []
    (loaded,) = result.zones.values()
    edges = ["126.255.255.255", "127.0.0.0", "127.0.0.1", "127.0.0.3", "127.255.255.255", "128.0.0.0"]
    found = [edge for edge in edges if loaded.rib.explain(parse_address(edge), NOW).deciding]
    assert found == listed
    assert loaded.compiled.addresses == {4: count, 6: 0}


def test_every_problem_is_told_in_one_run(tmp_path: Path) -> None:
    (tmp_path / "feed.txt").write_text("192.0.2.256\n10.0.0.0/40\n")
    _, problems = _read(
        "zone: bl..org\nttl: x\ncolor: red\nsoa: {rname: a@b.c, retry: y}\napex: {a: [q], mx: [r]}\n"
        "lists:\n  - name: one\n    code: [127.0.0.1, 10.0.0.1]\n    entries: [300.0.0.1, {net: z, ttl: x}]\n"
        "    files: [feed.txt]\n    except: [w]\n  - name: one\n    entries: [10.0.0.1/8]\n",
        tmp_path / "z.yaml",
    )
    places = [problem.split(": ")[0].removeprefix(f"{tmp_path}/") for problem in problems]
    first = ["1:7", "2:6", "3:1", "4:14", "4:28", "5:12", "5:21", "8:12", "8:23", "9:15", "9:32", "9:40"]
    second = ["11:14", "12:11", "13:15", "10:13", "feed.txt:1:1", "feed.txt:2:1"]
    assert sorted(places) == sorted(first + second)


def test_a_repeated_value_names_the_first_place_each_time(tmp_path: Path) -> None:
    path = tmp_path / "z.yaml"
    _, problems = _read(HEAD + "ns: [a.example, a.example, a.example]\nentries: [192.0.2.1]\n", path)
    assert problems == [
        f"2:17: a.example: stands twice, first at {path}:2:6",
        f"2:28: a.example: stands twice, first at {path}:2:6",
    ]


@pytest.mark.parametrize("body", ["entries: []\n", "entries:\n", "lists: [{name: a, entries: []}]\n"])
def test_a_zone_may_be_empty_for_now(body: str, load_texts: Callable[..., LoadResult]) -> None:
    result = load_texts(HEAD + body)
    assert result.problems.errors == []
    assert len(result.zones) == 1


def test_a_list_file_without_entries_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "feed.txt").write_text("# nothing today\n")
    zone, problems = _read(HEAD + "files: [feed.txt]\n", tmp_path / "z.yaml")
    assert zone is not None
    assert problems == [
        f"{tmp_path}/feed.txt: warning: the list file has no entries; may_be_empty: true says that this is right"
    ]


def test_list_files_are_found_beside_the_zone_file(tmp_path: Path) -> None:
    feed = tmp_path / "feed.txt"
    feed.write_text("192.0.2.1\n")
    folder = tmp_path / "zones"
    folder.mkdir()
    for name in ("../feed.txt", str(feed), "./../zones/../feed.txt"):
        zone = _good(HEAD + f"files: ['{name}']\n", folder / "z.yaml")
        (entry,) = zone.lists[0].all_entries()
        assert (Path(entry.file).resolve(), entry.line) == (feed.resolve(), 1)


def test_a_zone_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    problems = Problems()
    path = str(tmp_path / "gone.yaml")
    assert read_zone_file(path, problems, _quiet) == ZoneFile(path, None, True, {path: None})
    assert [str(problem) for problem in problems] == [f"{path}: no such file or directory"]


def test_a_zone_file_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + "entries: [192.0.2.1]\n"
    monkeypatch.setattr(zonefile, "MAX_SIZE", len(text))
    _good(text, tmp_path / "z.yaml")
    zone, problems = _read(text + "\n", tmp_path / "z.yaml")
    assert zone is None
    assert len(problems) == 1
    assert "larger than" in problems[0]


def test_the_soa_names_the_first_name_server(tmp_path: Path) -> None:
    zone = _good(HEAD + "ns: [b.example, a.example]\nentries: [192.0.2.1]\n", tmp_path / "z.yaml")
    assert zone.soa == Soa("b.example", "hostmaster.bl.example.org")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("ns: [[a.example]]\n", "2:6: expected a single value"),
        ("apex: {mx: [{a: b}]}\n", "2:13: expected a single value"),
        ("soa: ns.example\n", "2:6: ns.example: soa is a mapping with the keys mname, rname, refresh, retry, expire"),
    ],
)
def test_a_value_of_the_wrong_shape_is_left_out(body: str, problem: str, tmp_path: Path) -> None:
    zone, problems = _read(HEAD + body + "entries: [192.0.2.1]\n", tmp_path / "z.yaml")
    assert problems == [problem]
    assert zone is not None
    assert (zone.soa, zone.ns, zone.apex) == (Soa("bl.example.org", "hostmaster.bl.example.org"), (), Apex())


def test_dots_after_a_link_mean_what_they_mean_to_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "lists" / "today").mkdir(parents=True)
    (tmp_path / "lists" / "feed.txt").write_text("192.0.2.1\n")
    (tmp_path / "feed.txt").write_text("192.0.2.2\n")
    (tmp_path / "link").symlink_to("lists/today")
    zone = _good(HEAD + "files: [link/../feed.txt]\n", tmp_path / "z.yaml")
    assert [entry.text for entry in zone.lists[0].all_entries()] == ["192.0.2.1"]


def test_progress_is_told_for_every_file(tmp_path: Path) -> None:
    (tmp_path / "feed.txt").write_text("192.0.2.1\n")
    path = tmp_path / "z.yaml"
    path.write_text(HEAD + "files: [feed.txt]\n")
    told: list[tuple[str, int]] = []
    read_zone_file(str(path), Problems(), lambda file, count: told.append((file, count)))
    assert told[0] == (str(tmp_path / "feed.txt"), 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [("entries", "[192.0.2.1]"), ("files", "[]"), ("code", "127.0.0.3"), ("txt", "x"), ("reason", "x")],
)
def test_the_keys_of_a_list_do_not_go_with_lists(key: str, value: str, tmp_path: Path) -> None:
    _, problems = _read(HEAD + f"{key}: {value}\nlists: [{{name: a, entries: [192.0.2.1]}}]\n", tmp_path / "z.yaml")
    assert [problem for problem in problems if "warning" not in problem] == [
        f"2:1: {key}: does not go with lists; move it into one of them"
    ]


def test_numbers_are_those_of_the_address_library(tmp_path: Path) -> None:
    zone = _good(HEAD + "entries: [192.0.2.1, '2001:db8::1']\n", tmp_path / "z.yaml")
    assert [entry.what for entry in zone.lists[0].entries] == [
        (4, int(IPv4Address("192.0.2.1")), int(IPv4Address("192.0.2.1"))),
        (6, int(IPv6Address("2001:db8::1")), int(IPv6Address("2001:db8::1"))),
    ]


# The text of the file, and what is said of it: line:column: value: message.
BROKEN = [
    ("", "1:1: the file is empty"),
    ("# nothing\n", "1:1: the file is empty"),
    ("- 192.0.2.1\n", "1:1: a zone file is a mapping with the keys zone, "),
    ("entries: [192.0.2.1]\n", "1:1: the key zone is missing"),
    (HEAD, "1:1: the zone lists nothing: it needs entries, files or lists"),
    (HEAD + "entires: [192.0.2.1]\nfiles: []\n", "2:1: entires: unknown key; did you mean entries?"),
    (HEAD + "zone: other.example\nentries: []\n", "2:1: zone: duplicate key, first at {file}:1:1"),
    (HEAD + "ttl:\nentries: []\n", "2:5: the value is missing"),
    (HEAD + "ttl: [1, 2]\nentries: []\n", "2:6: expected a single value"),
    (HEAD + "ttl: 1:20\nentries: []\n", "2:6: 1:20: not a duration"),
    (HEAD + "ttl: 2147483648\nentries: []\n", "2:6: 2147483648: a TTL is at most 2147483647 seconds"),
    (HEAD + "ttl: -5\nentries: []\n", "2:6: -5: not a duration"),
    ("zone: bl..example\nentries: []\n", "1:7: bl..example: a domain name has no empty label"),
    ("zone: bl-.example\nentries: []\n", "1:7: bl-.example: not a domain name"),
    (
        f"zone: {'x' * 64}.example\nentries: []\n",
        "1:7: " + "x" * 57 + "...: label xxxxxxxxxxxxxxxxxxxx... is longer than 63",
    ),
    ("zone: .\nentries: []\n", "1:7: .: a domain name has at least one label"),
    (f"zone: {'.'.join(['x' * 60] * 4)}\nentries: []\n", "1:7: " + "x" * 57 + "...: too long"),
    (HEAD + "soa: {rname: a@b.example}\nentries: []\n", "2:14: a@b.example: not a domain name"),
    (HEAD + "soa: {minimum: 60}\nentries: []\n", "2:7: minimum: unknown key"),
    (HEAD + "apex: {mx: [mx.example.org]}\nentries: []\n", "2:13: mx.example.org: an MX is a preference"),
    (HEAD + "apex: {a: ['::1']}\nentries: []\n", "2:12: ::1: not an IPv4 address"),
    (HEAD + "apex: {aaaa: [192.0.2.1]}\nentries: []\n", "2:15: 192.0.2.1: not an IPv6 address"),
    (HEAD + "ns: [a.example, A.example.]\nentries: []\n", "2:17: A.example.: stands twice, first at {file}:2:6"),
    (HEAD + "lists:\n  - entries: []\n", "3:5: the list has no name"),
    (HEAD + "lists:\n  - name: a\n", "3:5: the list needs entries or files"),
    (HEAD + "lists:\n  - {name: a b, entries: []}\n", "3:12: a b: a list name is"),
    (
        HEAD + "lists:\n  - {name: a, entries: []}\n  - {name: a, entries: []}\n",
        "4:12: a: two lists with one name, first at {file}:3:12",
    ),
    (HEAD + "lists: []\n", "2:1: lists: the zone lists nothing: lists is empty"),
    (HEAD + "code: 127.0.0.3\nlists:\n  - {name: a, entries: []}\n", "2:1: code: does not go with lists"),
    (HEAD + "entries: &a [10.0.0.1]\n", "2:10: &a: anchors are not supported"),
    (HEAD + "entries: *a\n", "2:10: *a: aliases are not supported"),
    (HEAD + "<<: {ttl: 5m}\nentries: []\n", "2:1: <<: merge keys are not supported"),
    (HEAD + "entries: !!set {10.0.0.1}\n", "2:10: tag:yaml.org,2002:set: tags are not supported"),
    (HEAD + "---\nzone: b.example\n", "2:1: ---: a file holds one document"),
    (HEAD + "? [a]\n: b\n", "2:3: a key is a word, not a list or a mapping"),
    (HEAD + "entries: [10.0.0.1\n", "not valid YAML"),
    (HEAD + "entries: " + "[" * 100, "2:25: nested deeper than 16 levels"),
    (HEAD + "ttl: \x01\n", "2:6: U+0001: character not allowed"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_wrong_value_is_a_problem_at_its_place(
    load_texts: Callable[..., LoadResult], tmp_path: Path, text: str, expected: str
) -> None:
    assert_refused(load_texts(text), tmp_path, expected)
