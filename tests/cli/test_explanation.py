"""Why is this address listed: the values of an explanation (`explain`), and its JSON and text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dnsbl_server.cli.explanation import as_json, as_lines
from dnsbl_server.explain import ZoneExplanation, explain
from dnsbl_server.model.address import Address, parse_address
from dnsbl_server.supply.load import LoadResult
from tests.asking import ZONE
from tests.conftest import NOW

TEXT = f"""\
zone: {ZONE}
except: [203.0.113.25]
lists:
  - name: traps
    txt: "{{ip}} trapped: {{reason}}"
    reason: spam
    entries:
      - 192.0.2.0/24
      - 203.0.113.0/24
      - {{net: 192.0.2.64/26, reason: range, code: 127.0.0.3, ttl: 1h, listed: 2026-11-20, expires: 3d12h}}
      - {{net: 192.0.2.70, reason: host, expires: 2026-11-22}}
      - "2001:db8::/32"
    except: [192.0.2.25]
  - name: dynamic
    code: [127.0.0.10, 127.0.0.11]
    entries: [192.0.2.0/25]
"""
OTHER = "zone: other.example.org\nentries: [198.51.100.1]\n"
NETWORK, RANGE, HOST = "192.0.2.0/24", "192.0.2.64/26", "192.0.2.70"

Explain = Callable[..., ZoneExplanation]
Show = Callable[..., dict[str, Any]]


@pytest.fixture
def explained(load_texts: Callable[..., LoadResult]) -> Explain:
    """What the first zone says of an address."""

    def make(address: str, now: float = NOW, text: str = TEXT) -> ZoneExplanation:
        result = load_texts(text, now=NOW)
        assert not result.problems.errors
        (found,) = explain(list(result.zones.values()), parse_address(address), now)
        return found

    return make


@pytest.fixture
def shown(explained: Explain) -> Show:
    """The same as JSON."""

    def make(*arguments: Any, **options: Any) -> dict[str, Any]:
        return as_json(explained(*arguments, **options))

    return make


def text_of(found: ZoneExplanation) -> str:
    return "\n".join(line for _, line in as_lines(found))


@pytest.mark.parametrize(
    ("address", "a", "ttl", "entries"),
    [
        ("192.0.2.7", ["127.0.0.2", "127.0.0.10", "127.0.0.11"], 300, {"traps": NETWORK, "dynamic": "192.0.2.0/25"}),
        ("192.0.2.200", ["127.0.0.2"], 300, {"traps": NETWORK}),
        ("192.0.2.100", ["127.0.0.3", "127.0.0.10", "127.0.0.11"], 300, {"traps": RANGE, "dynamic": "192.0.2.0/25"}),
        ("192.0.2.25", ["127.0.0.10", "127.0.0.11"], 300, {"traps": None, "dynamic": "192.0.2.0/25"}),
        ("203.0.113.24", ["127.0.0.2"], 300, {"traps": "203.0.113.0/24"}),
        ("203.0.113.25", [], None, {"traps": None}),
        ("2001:db8::1", ["127.0.0.2"], 300, {"traps": "2001:db8::/32"}),
        ("::ffff:192.0.2.200", ["127.0.0.2"], 300, {"traps": NETWORK}),
        ("198.51.100.1", [], None, {}),
        ("127.0.0.1", [], None, {}),
    ],
)
def test_which_entry_decides(
    shown: Show, address: str, a: list[str], ttl: int | None, entries: dict[str, str | None]
) -> None:
    found = shown(address)
    assert found["zone"] == ZONE
    assert found["a"] == a
    assert found["ttl"] == ttl
    assert found["listed"] == bool(a)
    assert not found["test_entry"]
    assert len(found["txt"]) == sum(entry is not None for entry in entries.values())
    assert {match["list"]: match["entry"] and match["entry"]["net"] for match in found["lists"]} == entries
    for match in found["lists"]:
        assert match["listed"] == (match["entry"] is not None)
    assert json.loads(json.dumps(found)) == found


def test_an_entry_tells_all_that_is_known(shown: Show, tmp_path: Path) -> None:
    traps, dynamic = shown("192.0.2.70")["lists"]
    file = str(tmp_path / "z0.yaml")
    assert traps["entry"] == {
        "net": RANGE,
        "place": f"{file}:10:15",
        "file": file,
        "line": 10,
        "reason": "range",
        "codes": ["127.0.0.3"],
        "listed": "2026-11-20T00:00:00+00:00",
        "expires": "2026-11-23T12:00:00+00:00",
        "expired": False,
    }
    assert [(other["net"], other["expired"], other["line"]) for other in traps["others"]] == [
        (HOST, True, 11),
        (NETWORK, False, 8),
    ]
    assert dynamic["others"] == []
    assert dynamic["entry"]["codes"] == ["127.0.0.10", "127.0.0.11"]
    assert dynamic["entry"]["listed"] is dynamic["entry"]["expires"] is None


@pytest.mark.parametrize(
    ("seconds", "entry", "others", "ttl"),
    [
        (0, RANGE, [HOST, NETWORK], 300),
        (43195, RANGE, [HOST, NETWORK], 5),
        (43200, NETWORK, [HOST, RANGE], 300),
        (1e8, NETWORK, [HOST, RANGE], 300),
    ],
)
def test_time_uncovers(shown: Show, seconds: float, entry: str, others: list[str], ttl: int) -> None:
    found = shown("192.0.2.70", NOW + seconds)
    traps = found["lists"][0]
    assert traps["entry"]["net"] == entry
    assert [other["net"] for other in traps["others"]] == others
    assert found["ttl"] == ttl
    assert found["txt"][0] == f"192.0.2.70 trapped: {'range' if entry == RANGE else 'spam'}"


def test_exclusions_are_named(shown: Show, tmp_path: Path) -> None:
    by_zone = shown("203.0.113.25")
    file = str(tmp_path / "z0.yaml")
    assert by_zone["excluded_by"] == {"net": "203.0.113.25", "place": f"{file}:2:10", "file": file, "line": 2}
    assert [other["net"] for other in by_zone["lists"][0]["others"]] == ["203.0.113.0/24"]
    by_list = shown("192.0.2.25")
    assert by_list["excluded_by"] is None
    assert by_list["lists"][0]["excluded_by"]["net"] == "192.0.2.25"
    assert by_list["lists"][0]["excluded_by"]["line"] == 13
    assert by_list["lists"][1]["excluded_by"] is None


@pytest.mark.parametrize("address", ["127.0.0.2", "127.0.0.3", "127.0.0.10", "127.0.0.11", "::ffff:127.0.0.2"])
def test_test_entries_say_so(explained: Explain, address: str) -> None:
    found = explained(address)
    plain = address.removeprefix("::ffff:")
    assert (found.is_listed, found.is_test_entry, found.lists) == (True, True, ())
    assert found.client is not None
    assert found.client.a == (plain,)
    assert as_json(found)["test_entry"] is True
    assert f"{plain} is listed in {ZONE}, as a test entry (RFC 5782)" in text_of(found)


def test_every_zone_is_explained(load_texts: Callable[..., LoadResult]) -> None:
    zones = list(load_texts(TEXT, OTHER).zones.values())
    found = explain(zones, parse_address("198.51.100.1"), NOW)
    assert [(each.zone, each.is_listed) for each in found] == [(ZONE, False), ("other.example.org", True)]
    assert explain([], Address(4, 1), NOW) == []


@pytest.mark.parametrize(
    ("address", "style", "lines"),
    [
        (
            "192.0.2.70",
            "bad",
            [
                f"192.0.2.70 is listed in {ZONE}",
                "  list traps",
                f"    by entry   {RANGE}",
                "    reason     range",
                "    since      2026-11-20",
                "    until      2026-11-23 12:00:00 UTC",
                "  list dynamic",
                "    reason     none given",
                "    since      not said",
                "    until      further notice",
                f"  a client asks   70.2.0.192.{ZONE}",
                "  and gets A      127.0.0.3, 127.0.0.10, 127.0.0.11  (for 300 s)",
                "           TXT    192.0.2.70 trapped: range",
            ],
        ),
        ("198.51.100.1", "good", [f"198.51.100.1 is not listed in {ZONE}"]),
        ("203.0.113.25", "good", [f"203.0.113.25 is not listed in {ZONE}", "  list traps does not list it"]),
        ("192.0.2.25", "bad", ["  list traps does not list it", "  list dynamic"]),
    ],
)
def test_the_lines_for_a_person(explained: Explain, address: str, style: str, lines: list[str]) -> None:
    found = explained(address)
    shown = list(as_lines(found))
    assert shown[0][0] == style
    texts = [text for _, text in shown]
    assert [text for text in texts if text in lines] == lines


@pytest.mark.parametrize(
    ("address", "start", "end"),
    [
        ("192.0.2.70", "    written at ", "z0.yaml:10:15"),
        ("192.0.2.70", f"    expired: {HOST}, ", "z0.yaml:11:15, until 2026-11-22"),
        ("192.0.2.70", f"    less specific: {NETWORK}, ", "z0.yaml:8:9"),
        ("203.0.113.25", "  excluded from the whole zone by 203.0.113.25, ", "z0.yaml:2:10"),
        ("203.0.113.25", "    would list it: 203.0.113.0/24, ", "z0.yaml:9:9"),
        ("192.0.2.25", "    excluded by 192.0.2.25, ", "z0.yaml:13:14"),
    ],
)
def test_the_text_names_places(explained: Explain, address: str, start: str, end: str) -> None:
    lines = text_of(explained(address)).split("\n")
    assert any(line.startswith(start) and line.endswith(end) for line in lines), lines


def test_a_client_of_an_unlisted_address_gets_nothing(explained: Explain) -> None:
    assert "a client asks" not in text_of(explained("198.51.100.1"))


def test_a_long_text_comes_back_whole(shown: Show) -> None:
    reason = "word " * 80 + "end"
    text = f'zone: {ZONE}\ntxt: "{{reason}}"\nentries:\n  - {{net: 192.0.2.1, reason: {reason}}}\n'
    assert shown("192.0.2.1", text=text)["txt"] == [reason]
