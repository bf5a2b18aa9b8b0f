"""Loading zone files: which files they are, the rules between zones, serials, and all problems in one run."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dnsbl_server.sources import zonefile
from dnsbl_server.sources.document import read_document
from dnsbl_server.sources.zonefile import read_zone_file
from dnsbl_server.supply import load as module
from dnsbl_server.supply.load import LoadResult, load_zones
from dnsbl_server.supply.serial import ZoneVersion
from dnsbl_server.supply.way import Step
from dnsbl_server.table.table import ZoneTable
from tests.conftest import NOW

LoadTexts = Callable[..., LoadResult]
HEAD = "zone: bl.example.org\n"
ZONE = HEAD + "entries: [192.0.2.1]\n"
LIST = HEAD + "entries:\n  - "


def _quiet(path: str, count: int) -> None:
    pass


def _zone(name: str) -> str:
    return f"zone: {name}\nentries: [192.0.2.1]\n"


def _names(result: LoadResult) -> list[str]:
    return [loaded.zone.name for loaded in result.zones.values()]


def _said(result: LoadResult, folder: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in result.problems.errors]


def _serial(result: LoadResult, path: Path) -> int:
    return ZoneTable(result.zones[str(path)].compiled.table).info.serial


@pytest.mark.parametrize("name", ["bl.example.org", "BL.Example.ORG", "bl.example.org."])
def test_two_files_for_one_zone_name_both_places(name: str, load_texts: LoadTexts, tmp_path: Path) -> None:
    result = load_texts(ZONE, "# the other\n" + _zone(name))
    assert _said(result, tmp_path) == ["z1.yaml:2:7: bl.example.org: two files for one zone, the other is z0.yaml:1:7"]
    assert list(result.zones) == [str(tmp_path / "z0.yaml")]


def test_every_further_file_for_a_zone_is_named(load_texts: LoadTexts, tmp_path: Path) -> None:
    result = load_texts(ZONE, ZONE, ZONE)
    assert [text.split(": ")[0] for text in _said(result, tmp_path)] == ["z1.yaml:1:7", "z2.yaml:1:7"]


def test_the_file_that_serves_a_zone_keeps_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(ZONE)
    second.write_text(ZONE)
    result = load_zones([str(first), str(second)], NOW, _quiet, {"bl.example.org": str(second)})
    assert list(result.zones) == [str(second)]
    assert _said(result, tmp_path) == ["a.yaml:1:7: bl.example.org: two files for one zone, the other is b.yaml:1:7"]


def test_a_broken_file_keeps_the_zone_it_serves(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(ZONE)
    second.write_text("zone: bl.example.org\nentries: [oops]\n")
    result = load_zones([str(first), str(second)], NOW, _quiet, {"bl.example.org": str(second)})
    assert result.zones == {}
    assert len(result.problems.errors) == 2


def test_a_broken_file_keeps_the_zone_it_serves_whatever_name_it_has_now(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("zone: other.example\nentries: [oops]\n")
    # It would hide addresses of the zone that stays in service.
    second.write_text(_zone("2.bl.example"))
    result = load_zones([str(first), str(second)], NOW, _quiet, {"bl.example": str(first)})
    assert result.zones == {}
    assert any("2.bl.example would hide addresses of bl.example" in text for text in _said(result, tmp_path))


def test_zones_may_change_their_names(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(_zone("b.example"))
    second.write_text(_zone("a.example"))
    served = {"a.example": str(first), "b.example": str(second)}
    result = load_zones([str(first), str(second)], NOW, _quiet, served)
    assert _said(result, tmp_path) == []
    assert _names(result) == ["b.example", "a.example"]


@pytest.mark.parametrize("below", ["2", "2.0", "192.2.0", "a", "f.f", "0.8.b.d.0.1.0.0.2", "1.2.3.4", "255"])
@pytest.mark.parametrize("nested_first", [False, True])
def test_a_name_that_hides_addresses_is_refused(
    below: str, nested_first: bool, load_texts: LoadTexts, tmp_path: Path
) -> None:
    texts = [_zone("bl.example"), _zone(f"{below}.bl.example")]
    result = load_texts(*(reversed(texts) if nested_first else texts))
    assert f"{below}.bl.example" not in _names(result)
    assert any(text.startswith(f"z{0 if nested_first else 1}.yaml:1:7: ") for text in _said(result, tmp_path))


def test_a_new_file_with_a_hiding_name_does_not_hold_up_the_zone_above(tmp_path: Path) -> None:
    above, below = tmp_path / "a.yaml", tmp_path / "b.yaml"
    above.write_text(_zone("bl.example"))
    below.write_text(_zone("2.bl.example"))
    result = load_zones([str(above), str(below)], NOW, _quiet, {"bl.example": str(above)})
    assert _names(result) == ["bl.example"]


@pytest.mark.parametrize("below", ["spam", "v4", "256", "01", "ab", "x.2", "2.x", "1.2.3.4.555"])
def test_a_name_that_hides_nothing_is_served_beside_the_zone_above(below: str, load_texts: LoadTexts) -> None:
    result = load_texts(_zone("bl.example"), _zone(f"{below}.bl.example"))
    assert len(result.problems) == 0
    assert _names(result) == ["bl.example", f"{below}.bl.example"]


@pytest.mark.parametrize(
    ("below", "is_hiding"),
    [
        ("com", True),
        ("bad.com", True),
        ("www.worse.net", True),
        ("worse.net", True),
        ("test", True),
        ("invalid", True),
        ("good.com", False),
        ("www.bad.com", False),
        ("hashes", False),
    ],
)
def test_a_zone_for_names_that_another_one_lists_is_warned_of(
    below: str, is_hiding: bool, load_texts: LoadTexts, tmp_path: Path
) -> None:
    above = "zone: dbl.example\nentries: [bad.com, .worse.net]\n"
    result = load_texts(above, _zone(f"{below}.dbl.example"))
    assert _names(result) == ["dbl.example", f"{below}.dbl.example"]
    said = f"lists {below}, or names below it, for which the zone {below}.dbl.example is asked"
    found = [(str(each.place), each.warning, each.message) for each in result.problems]
    assert found == ([(f"{tmp_path}/z0.yaml:1:7", True, said)] if is_hiding else [])


def test_a_reversed_name_below_no_zone_of_ours_is_a_name(load_texts: LoadTexts) -> None:
    assert _names(load_texts(_zone("2.0.192.example"), _zone("8.2.0.192.elsewhere"))) == [
        "2.0.192.example",
        "8.2.0.192.elsewhere",
    ]


def test_a_bad_zone_does_not_hold_up_the_others(load_texts: LoadTexts, tmp_path: Path) -> None:
    result = load_texts(_zone("a.example"), "zone: b.example\nentries: [x]\n", _zone("c.example"))
    assert _names(result) == ["a.example", "c.example"]
    assert list(result.sources) == [str(tmp_path / f"z{number}.yaml") for number in range(3)]


def test_all_problems_of_all_files_in_one_run(load_texts: LoadTexts, tmp_path: Path) -> None:
    result = load_texts("zone: a\nttl: x\nentries: [y]\n", "- list\n", "zone: [\n", _zone("d.example"))
    assert [text.split(": ")[0] for text in _said(result, tmp_path)] == [
        "z0.yaml:2:6",
        "z0.yaml:3:11",
        "z1.yaml:1:1",
        "z2.yaml:2:1",
    ]


@pytest.mark.parametrize(
    ("texts", "places"),
    [
        (["zone: a\nttl: x\nentries: [192.0.2.1, 192.0.2.1]\n"], ["z0.yaml:2:6", "z0.yaml:3:22"]),
        (["zone: a\nttl: x\nentries: [0.0.0.0/1, 128.0.0.0/1]\n"], ["z0.yaml:1:7", "z0.yaml:2:6"]),
        ([_zone("a"), "zone: a\nttl: x\nentries: []\n"], ["z1.yaml:1:7", "z1.yaml:2:6"]),
        (["zone: a\nttl: x\nentries: []\n", _zone("a")], ["z0.yaml:2:6", "z1.yaml:1:7"]),
        ([_zone("a"), "zone: a\nentries: [192.0.2.1, 192.0.2.1]\n"], ["z1.yaml:1:7", "z1.yaml:2:22"]),
        (
            ["zone: a\nentries: [192.0.2.1, 192.0.2.1, 0.0.0.0/1, 128.0.0.0/1]\n"],
            ["z0.yaml:1:7", "z0.yaml:2:22"],
        ),
    ],
    ids=["prefix", "internet", "second-file", "first-file", "prefix-in-second-file", "prefix-and-internet"],
)
def test_one_problem_does_not_hide_another(
    texts: list[str], places: list[str], load_texts: LoadTexts, tmp_path: Path
) -> None:
    assert sorted(text.split(": ")[0] for text in _said(load_texts(*texts), tmp_path)) == places


def _version(result: LoadResult, path: Path) -> ZoneVersion:
    info = ZoneTable(result.zones[str(path)].compiled.table).info
    return ZoneVersion(info.serial, info.digest)


def test_the_serial_is_the_time_at_which_the_files_came_to_their_places(tmp_path: Path) -> None:
    path, feed = tmp_path / "bl.yaml", tmp_path / "feed.txt"
    (tmp_path / "older.txt").write_text("192.0.2.1\n")
    path.write_text("zone: bl.example\nfiles: [feed.txt]\n")
    feed.symlink_to("older.txt")
    # Whatever the files say of themselves.
    for name in (path, tmp_path / "older.txt"):
        os.utime(name, (1000, 1 << 33))
    newest = max(os.stat(name, follow_symlinks=False).st_ctime_ns for name in (path, feed, tmp_path / "older.txt"))
    serial = _serial(load_zones([str(path)], time.time(), _quiet), path)
    assert serial == newest // 1_000_000_000
    # The clock is behind now: it is the time of the load.
    assert _serial(load_zones([str(path)], 1_600_000_000.5, _quiet), path) == 1_600_000_000


def test_a_link_that_is_new_makes_a_serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bl.yaml"
    path.write_text(ZONE)
    before = _serial(load_zones([str(path)], time.time(), _quiet), path)
    monkeypatch.setattr(module, "steps_to", lambda path: [Step("/", (before + 5) * 1_000_000_000)])
    assert _serial(load_zones([str(path)], before + 9, _quiet), path) == before + 5


def test_an_expiry_makes_a_serial(tmp_path: Path) -> None:
    path = tmp_path / "bl.yaml"
    path.write_text(
        "zone: bl.example.org\nentries:\n  - {net: 192.0.2.1, expires: 2099-01-01}\n"
        "  - {net: 192.0.2.2, expires: 2099-01-03}\n"
    )
    noon = datetime(2099, 1, 2, 12, tzinfo=UTC).timestamp()
    assert _serial(load_zones([str(path)], noon, _quiet), path) == datetime(2099, 1, 1, tzinfo=UTC).timestamp()


def test_the_serial_grows_with_what_is_answered_and_not_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "bl.yaml"
    path.write_text(ZONE)
    first = _version(load_zones([str(path)], NOW, _quiet), path)
    before = ZoneVersion(first.serial + 1000, first.digest)
    path.write_text(f"# a comment, and a new time\n{ZONE}")
    same = load_zones([str(path)], NOW, _quiet, previous={"bl.example.org": before})
    assert _version(same, path) == before
    path.write_text(f"ttl: 77\n{ZONE}".replace("ttl: 5m\n", ""))
    other = _version(load_zones([str(path)], NOW, _quiet, previous={"bl.example.org": before}), path)
    assert other.serial == before.serial + 1
    assert other.digest != before.digest


@pytest.mark.parametrize("error", [OverflowError("too long"), MemoryError()])
def test_a_file_that_the_reader_cannot_take_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    for path in (good, bad):
        path.write_text(ZONE)
    read = read_zone_file

    def refuse(path: str, *arguments: Any) -> Any:
        if path == str(bad):
            raise error
        return read(path, *arguments)

    monkeypatch.setattr(module, "read_zone_file", refuse)
    result = load_zones([str(bad), str(good)], NOW, _quiet)
    assert list(result.zones) == [str(good)]
    (problem,) = result.problems.errors
    assert str(problem).startswith(f"{bad}: cannot be read: ")
    assert result.starved == ((str(bad),) if isinstance(error, MemoryError) else ())
    assert result.sources.keys() == {str(bad), str(good)}


def test_memory_that_ends_while_a_file_is_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a file is loaded by itself, where it may have memory enough."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    for path in (good, bad):
        path.write_text(ZONE)
    read = read_document

    def refuse(data: bytes, file: str, *arguments: Any) -> Any:
        if file == str(bad):
            raise MemoryError
        return read(data, file, *arguments)

    monkeypatch.setattr(zonefile, "read_document", refuse)
    result = load_zones([str(bad), str(good)], NOW, _quiet)
    assert result.starved == (str(bad),)
    assert list(result.zones) == [str(good)]


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_PAUSE", 0)
    path, feed = tmp_path / "bl.yaml", tmp_path / "feed.txt"
    path.write_text("zone: bl.example\nfiles: [feed.txt]\n")
    feed.write_text("192.0.2.1\n")
    reads: list[str] = []

    def change_once(file: str, count: int) -> None:
        if file == str(feed) and count == 0:
            reads.append(file)
            if len(reads) == 1:
                feed.write_text("192.0.2.1\n192.0.2.2\nhalf a li")
            elif len(reads) == 2:
                feed.write_text("192.0.2.1\n192.0.2.2\n192.0.2.3\n")

    result = load_zones([str(path)], NOW, change_once)
    assert len(result.problems) == 0
    assert len(reads) == 3
    assert result.zones[str(path)].zone.lists[0].size == 3


def test_a_file_that_never_rests_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_PAUSE", 0)
    path, feed = tmp_path / "bl.yaml", tmp_path / "feed.txt"
    path.write_text("zone: bl.example\nfiles: [feed.txt]\n")
    feed.write_text("#")
    reads: list[int] = []

    def change(file: str, count: int) -> None:
        if file == str(feed) and count == 0:
            reads.append(count)
            feed.write_text("192.0.2.1\n" * len(reads) + "#")

    result = load_zones([str(path)], NOW, change)
    assert 2 <= len(reads) <= 10
    assert result.zones == {}
    assert result.problems.errors


def test_all_problems_of_all_files_come_in_one_run(load_texts: LoadTexts, tmp_path: Path) -> None:
    (tmp_path / "feed.txt").write_text("10.0.0.1\noops\n10.0.0.300 # x\n")
    broken = LIST + "10.0.0.1/8\n  - 10.0.0.x\nttl: x\nfiles: [feed.txt]\n"
    result = load_texts(
        broken, HEAD.replace("bl", "b2") + "entries: [1.2.3.4/0]\n", HEAD.replace("bl", "b3") + "entries: [10.0.0.9]\n"
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
