"""The names of a zone in its table: what its answers are, whatever order and key they have, and what is counted."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dnsbl_server.sources import listsource
from dnsbl_server.supply.load import CompiledZone, LoadResult
from dnsbl_server.table.layout import Answer
from dnsbl_server.table.pack import info_of
from dnsbl_server.table.table import ZoneTable
from tests.annotated import read_annotated
from tests.compiler.tables import loaded, reasons
from tests.conftest import NOW

LoadTexts = Callable[..., LoadResult]
TXT = "txt: '{what} {reason}'\n"
SOON = int(NOW) + 10
LATER = int(NOW) + 20
OVER = int(NOW) - 1


def find(zone: CompiledZone, name: str, now: float = NOW) -> tuple[Answer | None, bool]:
    return ZoneTable(zone.compiled.table).find_name(tuple(name.encode().split(b".")), now)


def said(zone: CompiledZone, name: str, now: float = NOW) -> list[str]:
    return reasons(find(zone, name, now)[0])


def at(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


@pytest.fixture
def annotated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Write list files of the annotated format, feed1.txt, feed2.txt, ..."""
    monkeypatch.setattr(listsource, "read_list_file", read_annotated)

    def write(*files: list[str]) -> None:
        for number, lines in enumerate(files, 1):
            (tmp_path / f"feed{number}.txt").write_text("\n".join([*lines, f"end {len(lines)}"]))

    return write


def own(name: str, reason: str) -> str:
    return f"{name} | {reason} | 127.0.0.2 | 300 | -"


def test_an_exclusion_of_a_list_file_acts_on_entries_of_its_file_alone(
    load_texts: LoadTexts, annotated: Callable[..., None]
) -> None:
    annotated(
        [own(".a.t.example", "one"), own("x.b.a.t.example", "one deep"), "!.b.a.t.example"],
        [own(".t.example", "two")],
    )
    zone = loaded(load_texts, TXT + "files: [feed1.txt, feed2.txt]\n")
    names = ("a.t.example", "c.a.t.example", "b.a.t.example", "y.b.a.t.example", "x.b.a.t.example")
    found = [[text.partition(" ")[2] for text in said(zone, name)] for name in names]
    assert found == [["one"], ["one"], ["two"], ["two"], ["one deep"]]


def test_an_expired_entry_uncovers_the_suffix_around_it(load_texts: LoadTexts) -> None:
    zone = loaded(
        load_texts,
        TXT
        + "entries:\n"
        + "  - {domain: .example, reason: wide}\n"
        + f"  - {{domain: .a.example, reason: near, expires: '{at(LATER)}'}}\n"
        + f"  - {{domain: b.a.example, reason: exact, expires: '{at(SOON)}'}}\n"
        + f"  - {{domain: gone.example, reason: gone, expires: '{at(OVER)}'}}\n",
    )
    # A mark has how many of the last labels are the listed name.
    for now, text in ((NOW, "\1\3 exact"), (SOON, "\1\2 near"), (LATER, "\1\1 wide")):
        assert said(zone, "b.a.example", now) == [text]
    assert said(zone, "c.b.a.example") == ["\1\2 near"]
    assert said(zone, "gone.example") == ["\1\1 wide"]
    assert (zone.compiled.names, zone.compiled.expired) == (3, 1)
    assert info_of(zone.compiled.table).next_expiry == SOON


def test_the_order_of_lines_and_the_key_change_no_digest(load_texts: LoadTexts) -> None:
    names = ["a.example", "'*.a.example'", ".b.example", "c.b.example", "192.0.2.1"]
    one, other, more = (
        loaded(load_texts, f"entries: [{', '.join(each)}]\n") for each in (names, names[::-1], [*names, "d.example"])
    )
    digests = [info_of(each.compiled.table).digest for each in (one, other, more)]
    assert digests[0] == digests[1] != digests[2]
    # The keys are random.
    assert one.compiled.table[-64:] != other.compiled.table[-64:]


@pytest.mark.parametrize("more", ["", "except: [test, invalid]\n", "except: [.test, .invalid, example.com]\n"])
def test_the_test_entries_come_from_code_whatever_entries_say(load_texts: LoadTexts, more: str) -> None:
    more = more.replace("[test, invalid]", "['*.test', '*.invalid']")
    listed = "entries: [{domain: .test}, {domain: .invalid}, {domain: a.test}, a.example]\ncode: 127.0.0.7\n"
    zone = loaded(load_texts, listed + more)
    answer, exists = find(zone, "test")
    assert exists
    assert answer is not None
    assert answer.codes == (0x7F000007,)
    assert find(zone, "invalid")[0] is None
    assert bool(find(zone, "a.test")[0]) == bool(find(zone, "a.invalid")[0]) == (not more)


def test_a_zone_without_names_has_no_test_entry_of_names(load_texts: LoadTexts) -> None:
    assert find(loaded(load_texts, "entries: [192.0.2.1]\n"), "test") == (None, False)


def test_the_listed_name_is_marked_in_a_text_of_its_own_alone(load_texts: LoadTexts, tmp_path: Path) -> None:
    (tmp_path / "names").write_text(".a.example with $\n.b.example without\n.c.example\n")
    zone = loaded(load_texts, "txt: of the list\npublic_suffixes: true\nfiles: [{path: names, format: dnset}]\n")
    assert said(zone, "x.a.example") == ["with \1\2"]
    assert [said(zone, name) for name in ("x.b.example", "x.c.example")] == [["without"], ["of the list"]]
