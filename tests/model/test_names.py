"""Names in bulk against the same thing done with Python's own strings, lists and dictionaries."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model._names import Names, duplicates
from dnsbl_server.model.domain import AT, BELOW, Domain, Domains

Row = tuple[str, int, int]

# Few labels, so that names are often equal, below each other, or alike without being below.
labels = st.sampled_from(["a", "b", "aa", "ab", "-", "_", "0"])
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
rows = st.lists(st.tuples(names, st.sampled_from([AT, BELOW, AT | BELOW]), st.integers(0, 3)), max_size=15)
LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


def test_names_keep_what_they_are_given() -> None:
    given = [("a", AT, 0), (LONGEST, AT | BELOW, (1 << 32) - 1), ("a.b", BELOW, 7), ("a", AT, 0), ("-_0.x", AT, 1)]
    column = Names(given)
    assert (len(column), list(column)) == (5, given)
    assert [column[at] for at in range(5)] == given
    for wrong in (-1, 5, 1 << 40):
        with pytest.raises(IndexError, match="no such name"):
            column[wrong]
    assert (len(Names()), list(Names())) == (0, [])


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "a.", ".a", "a..b", "A", "a.B", "a b", "a*", "a/b", "a:b", "a@b", "a\0", "a`", "a{", "é", "a\u212a"),
        *("a" * 64, "b." + "a" * 64, "a" * 64 + ".b", LONGEST + "d", "a." + LONGEST),
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    column = Names([("a", AT, 1)])
    with pytest.raises(ValueError, match="not a domain name in lower case"):
        column.append(name, AT, 0)
    with pytest.raises(ValueError, match="not a domain name in lower case"):
        Names([(name, AT, 0)])
    assert list(column) == [("a", AT, 1)]


@given(st.text("ab.-_09AZ /:@[`{", max_size=8) | st.text(max_size=4))
def test_a_name_is_one_as_a_regular_expression_says(text: str) -> None:
    column = Names()
    is_name = re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", text, re.ASCII)
    try:
        column.append(text, AT, 0)
    except ValueError:
        assert not is_name
    else:
        assert is_name
    assert len(column) == bool(is_name)


def test_what_is_no_scope_or_number_is_refused() -> None:
    column = Names()
    for scope in (-1, 0, 4, 5, 257):
        with pytest.raises(ValueError, match="scope"):
            column.append("a", scope, 0)
    for number in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            column.append("a", AT, number)
    assert len(column) == 0


@given(rows, names)
def test_covering_agrees_with_each_entry_by_itself(rows: list[Row], name: str) -> None:
    holding = [row for row, (own, scope, _) in enumerate(rows) if Domains(own, scope).holds(Domain(name))]
    assert Names(rows).covering(name) == holding


@pytest.mark.parametrize("name", ["b.a", "bb.a", "b.b.a", "ba", "a", "", ".a", "é.a", "A"])
def test_covering_compares_whole_labels(name: str) -> None:
    column = Names([("a", BELOW, 0), ("b.a", AT, 0), ("c.b.a", AT | BELOW, 0)])
    expected = {"b.a": [0, 1], "bb.a": [0], "b.b.a": [0], ".a": [0], "é.a": [0]}
    assert column.covering(name) == expected.get(name, [])


@given(rows)
def test_the_longest_name_and_the_scopes(rows: list[Row]) -> None:
    column = Names(rows)
    assert column.longest() == max((len(name) for name, _, _ in rows), default=0)
    for scope in (AT, BELOW, AT | BELOW):
        assert column.has_scope(scope) == any(own & scope for _, own, _ in rows)


def test_the_longest_of_all_names_is_counted_to_its_end() -> None:
    assert Names([("a", AT, 0), (LONGEST, AT, 0), ("b", AT, 0)]).longest() == 253


@given(rows, st.sets(names, max_size=4), st.sets(names | st.just(""), max_size=4), st.sampled_from([1, 2, 3]))
def test_rows_among_agree_with_sets(rows: list[Row], among: set[str], parents: set[str], scope: int) -> None:
    found = Names(rows).rows_among(frozenset(map(str.encode, among)), frozenset(map(str.encode, parents)), scope)
    assert list(found) == [
        row
        for row, (name, own, _) in enumerate(rows)
        if own & scope and (name in among or name.partition(".")[2] in parents)
    ]


@given(st.data(), rows)
def test_names_without_some_rows(data: st.DataObject, rows: list[Row]) -> None:
    left_out = data.draw(st.sets(st.integers(0, max(len(rows) - 1, 0))))
    column = Names(rows)
    assert list(column.without(sorted(left_out))) == [row for at, row in enumerate(rows) if at not in left_out]
    assert list(column) == rows


@given(st.lists(rows, max_size=4))
def test_duplicates_are_found_as_by_a_dictionary(sources: list[list[Row]]) -> None:
    firsts: dict[tuple[str, int], int] = {}
    expected = []
    for row, (name, scope, _) in enumerate(row for source in sources for row in source):
        first = firsts.setdefault((name, scope), row)
        if first != row:
            expected.append((row, first))
    laters, earliers = duplicates([Names(rows) for rows in sources])
    assert list(zip(laters, earliers, strict=True)) == expected


def test_duplicates_of_many_names_over_several_columns() -> None:
    parts = [[(f"n{number}.example", AT, number) for number in range(start, start + 3000)] for start in (0, 1, 9000)]
    laters, earliers = duplicates(
        [Names(rows) for rows in (*parts, [("n2999.example", BELOW, 0)], [], [("n0.example", AT, 5)])]
    )
    assert list(laters) == [*range(3000, 5999), 9001]
    assert list(earliers) == [*range(1, 3000), 0]
