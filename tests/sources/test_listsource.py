"""Sources: a bad list file or feed is a problem of its own, and its last good version stays."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.model.source import SourceState
from dnsbl_server.sources.feedstore import FeedMeta, data_path, write_meta
from dnsbl_server.sources.kept import KeptVersions
from dnsbl_server.supply.load import LoadResult, load_zones

NOW = 1795392000.0
GOOD = "".join(f"192.0.2.{number}\n" for number in range(100))
URL = "https://feeds.example/bad.txt"


class Place:
    """A zone file with sources, and a state directory."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path
        self.kept: KeptVersions | None = KeptVersions(str(tmp_path / "state"), may_write=True)
        self.zone = "zone: bl.example.org\nexcept: [192.0.2.9]\nentries: [198.51.100.1]\nfiles: [list.txt]\n"

    def write(self, content: str | bytes, name: str = "list.txt", age: float = 3600.0) -> Path:
        """Write a source, so many seconds ago."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (NOW - age, NOW - age))
        return path

    def feed(self, content: str | bytes, age: float = 60.0) -> Path:
        """Write what was fetched, so many seconds ago."""
        return self.write(content, str(Path(data_path("state", URL))), age)

    def load(self, now: float = NOW) -> LoadResult:
        file = self.path / "bl.yaml"
        file.write_text(self.zone)
        return load_zones([str(file)], now, lambda path, count: None, kept=self.kept)

    def said(self, result: LoadResult) -> list[str]:
        return [str(problem).replace(f"{self.path}/", "") for problem in result.problems]


def listed(result: LoadResult) -> int:
    """How many entries the zone serves; -1 where it is not served."""
    (zone,) = result.zones.values() or (None,)
    return sum(each.size for each in zone.zone.lists) if zone else -1


def state_of(result: LoadResult) -> SourceState:
    ((state,),) = result.states.values()
    return state


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_bad_lines_cost_themselves_alone(place: Place) -> None:
    place.write(GOOD + "x\n192.0.2.256\n10.0.0.1/8\n")
    result = place.load()
    assert listed(result) == 101
    assert result.problems.errors == []
    assert "list.txt:101:1: warning: x: skipped: not an address" in place.said(result)[0]
    assert len(place.said(result)) == 3
    state = state_of(result)
    assert (state.skipped, state.held_back, state.entries, state.timestamp) == (3, "", 100, NOW - 3600)


@pytest.mark.parametrize(
    ("bad", "good", "taken"),
    [(5, 0, False), (1, 1, True), (5, 1, True), (6, 1, False), (6, 593, False), (6, 594, True), (60, 5940, True)],
)
def test_how_many_bad_lines_a_file_may_have(place: Place, bad: int, good: int, taken: bool) -> None:
    place.write("".join(f"10.0.{number >> 8}.{number & 255}\n" for number in range(good)) + "x\n" * bad)
    assert listed(place.load()) == (good + 1 if taken else -1)


@pytest.mark.parametrize(
    ("bad", "good", "taken"), [(1, 98, False), (1, 99, True), (5, 100, False), (6, 594, True), (0, 1, True)]
)
def test_a_feed_has_only_its_share(place: Place, bad: int, good: int, taken: bool) -> None:
    place.zone = f"zone: bl.example.org\nentries: [198.51.100.1]\nfiles: [{{url: '{URL}'}}]\n"
    place.feed("".join(f"10.0.{number >> 8}.{number & 255}\n" for number in range(good)) + "x\n" * bad)
    assert listed(place.load()) == (good + 1 if taken else 1)


def spoil_with_rubbish(place: Place) -> None:
    place.write("<html>\n<body>\n<h1>502 Bad Gateway</h1>\n")


def remove(place: Place) -> None:
    (place.path / "list.txt").unlink()


def empty(place: Place) -> None:
    place.write("")


def comment_out(place: Place) -> None:
    place.write("# nothing\n")


def cut_gzip(place: Place) -> None:
    place.write(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")


def make_directory(place: Place) -> None:
    (place.path / "list.txt").unlink()
    (place.path / "list.txt").mkdir()


SPOILT: list[tuple[Callable[[Place], None], str]] = [
    (spoil_with_rubbish, "none of its lines can be read"),
    (remove, "no such file or directory"),
    (empty, "it has no entries"),
    (comment_out, "it has no entries"),
    (cut_gzip, "the gzip data is damaged or cut short"),
    (make_directory, "is a directory"),
]


@pytest.mark.parametrize(("spoil", "why"), SPOILT)
def test_the_last_good_version_stays(place: Place, spoil: Callable[[Place], None], why: str) -> None:
    place.write(GOOD)
    assert listed(place.load()) == 101
    spoil(place)
    # The zone file's own edits count all the same.
    place.zone = place.zone.replace("192.0.2.9", "192.0.2.8")
    result = place.load()
    assert listed(result) == 101
    (zone,) = result.zones.values()
    assert [str(each.what) for each in zone.zone.exclusions or zone.zone.lists[0].exclusions] == ["192.0.2.8"]
    (error,) = (line for line in place.said(result) if "not taken" in line)
    assert "not taken: " in error
    assert why in error
    assert "its version of 2026-11-22 23:00:00 UTC stays" in error
    assert any(not problem.warning for problem in result.problems)
    state = state_of(result)
    assert why in state.held_back
    assert (state.entries, state.timestamp) == (100, NOW - 3600)
    # Its entries are explained as of the file that they came from.
    assert {entry.file for entry in zone.zone.lists[0].files[0].entries(zone.zone.lists[0].listing)} == {
        str(place.path / "list.txt")
    }
    # A good version takes its place again.
    if (place.path / "list.txt").is_dir():
        (place.path / "list.txt").rmdir()
    place.write("192.0.2.1\n", age=1800)
    assert listed(place.load()) == 2


@pytest.mark.parametrize(("spoil", "why"), SPOILT)
def test_without_a_good_version_the_zone_file_has_the_error(
    place: Place, spoil: Callable[[Place], None], why: str
) -> None:
    place.write(GOOD)
    spoil(place)
    result = place.load()
    if why == "it has no entries":
        assert listed(result) == 1
        assert result.problems.errors == []
        return
    assert listed(result) == -1
    assert any(line.startswith("bl.yaml:4:9: list.txt: ") and why in line for line in place.said(result))


def test_a_list_that_may_be_empty_can_be_emptied(place: Place) -> None:
    place.zone = "zone: bl.example.org\nfiles: [{path: list.txt, may_be_empty: true}]\n"
    place.write(GOOD)
    assert listed(place.load()) == 100
    place.write("")
    result = place.load()
    assert (listed(result), place.said(result)) == (0, [])


def test_without_a_state_directory_nothing_stays(place: Place) -> None:
    place.kept = None
    place.write(GOOD)
    assert listed(place.load()) == 101
    remove(place)
    assert listed(place.load()) == -1


def test_a_good_version_counts_for_one_way_of_reading_in_one_list(place: Place) -> None:
    place.write(GOOD)
    place.load()
    remove(place)
    place.zone = "zone: bl.example.org\nlists: [{name: a, files: [list.txt]}]\n"
    assert listed(place.load()) == -1


def test_a_kept_version_that_cannot_be_read_any_more_is_none(place: Place) -> None:
    place.write(GOOD)
    place.load()
    for directory in (place.path / "state" / "sources").iterdir():
        for path in directory.iterdir():
            if path.name != "meta.json":
                path.write_text("x" * len(GOOD))
    remove(place)
    assert listed(place.load()) == -1


def test_a_state_directory_that_cannot_be_written_is_a_warning(place: Place) -> None:
    (place.path / "state").write_text("a file")
    place.write(GOOD)
    result = place.load()
    assert listed(result) == 101
    assert [line for line in place.said(result) if "cannot be kept in the state directory" in line]
    assert result.problems.errors == []


class TestHalfAFile:
    """A list file that is written in place, and read half-way."""

    def test_it_waits_until_it_rests(self, place: Place) -> None:
        place.write(GOOD)
        place.load()
        place.write(GOOD[: len(GOOD) // 3], age=1)
        result = place.load()
        assert listed(result) == 101
        assert "seems to be half written" in place.said(result)[0]
        state = state_of(result)
        assert (state.held_back, state.due) == ("is being written", NOW + 9)
        later = place.load(now=NOW + 9)
        assert listed(later) == 35
        assert state_of(later).due == 0

    @pytest.mark.parametrize(
        ("content", "age", "taken"),
        [
            (GOOD[:300], 1, False),
            # It ends with a line: whole, as far as anybody can tell.
            (GOOD[: GOOD.index("\n", 300) + 1], 1, True),
            (GOOD[:-1], 1, True),
            (GOOD[: len(GOOD) * 6 // 10], 1, True),
            (GOOD[:300], 11, True),
            # Written in the future.
            (GOOD[:300], -1000, True),
        ],
    )
    def test_what_seems_half_written(self, place: Place, content: str, age: float, taken: bool) -> None:
        place.write(GOOD)
        place.load()
        place.write(content, age=age)
        assert (listed(place.load()) < 101 or len(content) == len(GOOD) - 1) == taken

    def test_a_first_version_is_read_at_once(self, place: Place) -> None:
        place.write(GOOD[:300], age=0)
        assert listed(place.load()) > 1


class TestFeeds:
    """What was fetched is read like any list file; what never came costs nothing else."""

    @pytest.fixture(autouse=True)
    def zone(self, place: Place) -> None:
        place.zone = f"zone: bl.example.org\nentries: [198.51.100.1]\nfiles: [{{url: '{URL}', stale: 2d}}]\n"

    def test_one_that_has_not_come_yet(self, place: Place) -> None:
        result = place.load()
        assert listed(result) == 1
        assert place.said(result) == [
            f"bl.yaml:3:15: warning: {URL}: has not been fetched yet; the zone is served without it"
        ]
        state = state_of(result)
        assert (state.feed and state.feed.url, state.held_back) == (URL, "has not been fetched yet")
        # It is watched, so that the zone is loaded once it comes.
        assert next(iter(result.sources.values()))[str(place.path / data_path("state", URL))] is None

    def test_one_that_has_come(self, place: Place) -> None:
        place.feed(GOOD)
        result = place.load()
        assert (listed(result), place.said(result)) == (101, [])
        assert state_of(result).timestamp == NOW - 60
        assert state_of(result).due == NOW - 60 + 2 * 86400

    def test_a_bad_one_is_no_error_of_the_zone(self, place: Place) -> None:
        place.feed("<html>\n")
        result = place.load()
        assert listed(result) == 1
        assert any(
            "none of its lines can be read; the zone is served without it" in line for line in place.said(result)
        )
        place.feed(GOOD)
        assert listed(place.load()) == 101
        place.feed("<html>\n", age=30)
        assert listed(place.load()) == 101

    def test_a_stale_one_is_withdrawn(self, place: Place) -> None:
        place.feed(GOOD)
        assert listed(place.load()) == 101
        result = place.load(now=NOW - 60 + 2 * 86400)
        assert listed(result) == 1
        (said,) = place.said(result)
        assert "withdrawn: not current since 2026-11-22 23:59:00 UTC" in said
        # Known to be current again, without other bytes.
        write_meta(str(place.path / "state"), URL, FeedMeta(fetched_at=NOW + 2 * 86400))
        assert listed(place.load(now=NOW + 2 * 86400)) == 101

    def test_without_a_state_directory_there_is_none(self, place: Place) -> None:
        place.feed(GOOD)
        place.kept = None
        assert listed(place.load()) == 1


@pytest.mark.parametrize("written", [-300_000_000, 300_000_000_000])
def test_a_file_may_say_of_itself_that_it_is_of_any_time(place: Place, written: int) -> None:
    path = place.write(GOOD)
    os.utime(path, (written, written))
    result = place.load()
    assert listed(result) == 101
    assert 0 <= state_of(result).timestamp < 1e12
    remove(place)
    assert listed(place.load()) == 101


def test_a_feed_is_not_stale_before_it_could_be_fetched_again(place: Place) -> None:
    place.zone = f"zone: bl.example.org\nfiles: [{{url: '{URL}', every: 1d, stale: 2d}}]\n"
    assert any("stale is more than twice every" in line for line in place.said(place.load()))


def test_a_secret_has_to_be_where_list_files_may_be(tmp_path: Path) -> None:
    (tmp_path / "zones").mkdir()
    (tmp_path / "secret").write_text("Bearer abc")
    zone = tmp_path / "zones" / "bl.yaml"
    zone.write_text(f"zone: bl.example.org\nfiles: [{{url: '{URL}', secret: {tmp_path}/secret}}]\n")
    result = load_zones([str(zone)], NOW, lambda path, count: None, files_below=[str(tmp_path / "zones")])
    assert any("is in no directory of files_below" in str(problem) for problem in result.problems.errors)
    # So nobody fetches it.
    assert state_of(result).feed is None
    assert listed(result) == 0
