"""How a problem reads, and what a collector of problems keeps."""

import pytest

from dnsbl_server.model.problem import MAX_PER_FILE, Place, Problem, Problems, printable, shorten

PLACE = Place("zones/bl.yaml", 14, 9)


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (
            Problem(PLACE, "10.0.0.0/33", "prefix length must be 0 to 32"),
            "zones/bl.yaml:14:9: 10.0.0.0/33: prefix length must be 0 to 32",
        ),
        (Problem(PLACE, "8d", "very long", warning=True), "zones/bl.yaml:14:9: warning: 8d: very long"),
        (Problem(PLACE, "", "the value is missing"), "zones/bl.yaml:14:9: the value is missing"),
        (Problem(Place("feed.txt", 3), "x", "no address"), "feed.txt:3: x: no address"),
        (Problem(Place("feed.txt"), "", "is a directory"), "feed.txt: is a directory"),
        (Problem(Place("a\x1b[31m\n.yaml", 1, 1), "\x07", "odd"), "a\\x1b[31m\\n.yaml:1:1: \\x07: odd"),
        (Problem(PLACE, "x" * 10_000, "long"), "zones/bl.yaml:14:9: " + "x" * 57 + "...: long"),
    ],
)
def test_one_line_says_where_what_and_why(problem: Problem, shown: str) -> None:
    assert str(problem) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("café", "café"),
        ("a\tb\r\n\0", "a\\tb\\r\\n\\x00"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("right\u202eleft", "right\\u202eleft"),
        ("half \udcff", "half \\udcff"),
    ],
)
def test_printable_escapes_what_a_terminal_would_obey(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 57 + "..."),
        ("\n" * 60, "\\n" * 28 + "\\..."),
        ("\n" * 1_000_000, "\\n" * 28 + "\\..."),
    ],
)
def test_shorten_counts_what_is_shown(text: str, shown: str) -> None:
    assert shorten(text) == shown


def test_problems_are_kept_in_order_and_told_apart() -> None:
    problems = Problems()
    problems.warning(PLACE, "a", "first")
    problems.error(PLACE, "b", "second")
    problems.error(Place("other.yaml", 1, 1), "c", "third")
    assert [problem.message for problem in problems] == ["first", "second", "third"]
    assert [problem.value for problem in problems.errors] == ["b", "c"]
    assert [problem.value for problem in problems.warnings] == ["a"]
    assert len(problems) == 3


def test_a_warning_does_not_spoil_a_file() -> None:
    problems = Problems()
    problems.warning(Place("a.yaml", 1, 1), "", "odd")
    problems.error(Place("b.yaml", 1, 1), "", "wrong")
    assert not problems.errors_in("a.yaml")
    assert problems.errors_in("b.yaml")
    assert not problems.errors_in("c.yaml")


def _flood(file: str, count: int) -> Problems:
    problems = Problems()
    for line in range(1, count + 1):
        problems.warning(Place(file, line), "x", "odd")
    return problems


def test_a_flood_is_cut_for_each_file_and_counted() -> None:
    problems = _flood("feed.txt", MAX_PER_FILE + 5)
    problems.extend(_flood("other.txt", 3))
    assert len(problems) == MAX_PER_FILE + 3
    assert problems.left_out == {"feed.txt": 5}


def test_what_was_left_out_is_still_known_after_extend() -> None:
    problems = Problems()
    problems.extend(_flood("feed.txt", MAX_PER_FILE + 5))
    assert problems.left_out == {"feed.txt": 5}


def test_a_flood_of_warnings_does_not_hide_the_error() -> None:
    problems = _flood("feed.txt", MAX_PER_FILE)
    problems.error(Place("feed.txt", 99), "x", "wrong")
    assert [problem.message for problem in problems.errors] == ["wrong"]
    assert problems.errors_in("feed.txt")
    assert problems.left_out == {}
