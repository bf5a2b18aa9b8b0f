"""Public suffixes: the rules of the list, and the rows of many names that are such."""

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from dnsbl_server.dns.unicode import to_a_labels
from dnsbl_server.model._names import Names
from dnsbl_server.model.domain import AT, BELOW
from dnsbl_server.sources.suffixes import is_public, public_rows

LIBRARY = PublicSuffixList()
NAMES = ["com", "example", "co.uk", "github.io", "kobe.jp", "x.kobe.jp", "city.kobe.jp", "uk.com", "example.com"]


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("com", True),
        ("nobody-has-this-one", True),  # a single label is one, listed or not
        ("co.uk", True),
        ("example.com", False),
        ("example.co.uk", False),
        ("blogspot.example.com", False),
        ("github.io", True),  # the private section
        ("someone.github.io", False),
        ("x.ck", True),  # *.ck
        ("a.x.ck", False),
        ("www.ck", False),  # !www.ck
        ("a.www.ck", False),
        ("kobe.jp", True),  # *.kobe.jp: all below it are those of others
        ("x.kobe.jp", True),
        ("city.kobe.jp", False),
        ("xn--55qx5d.cn", True),  # written in Unicode in the list
        ("xn--p1ai", True),
    ],
)
def test_what_is_a_public_suffix(name: str, public: bool) -> None:
    assert is_public(name) == public


def rules() -> list[str]:
    text = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    lines = [line.split()[0] for line in text.splitlines() if line.strip() and not line.startswith("//")]
    return [to_a_labels(line.removeprefix("!").removeprefix("*.")) for line in lines]


def test_every_rule_means_what_the_library_says() -> None:
    names = [name for rule in rules() for name in (rule, f"x.{rule}", f"www.{rule}", f"a.x.{rule}")]
    assert len(names) > 20_000
    assert [name for name in names if is_public(name) != LIBRARY.is_public(name)] == []


@given(
    st.lists(
        st.sampled_from(["a", "www", "city", "kobe", "jp", "ck", "co", "uk", "github", "io"]), min_size=1, max_size=5
    )
)
def test_any_name_is_what_the_library_says(labels: list[str]) -> None:
    name = ".".join(labels)
    assert is_public(name) == LIBRARY.is_public(name)


def test_the_rows_of_public_suffixes() -> None:
    names = Names((name, BELOW, 0) for name in NAMES)
    assert [NAMES[row] for row in public_rows(names)] == [
        "com",
        "example",
        "co.uk",
        "github.io",
        "kobe.jp",
        "x.kobe.jp",
        "uk.com",
    ]


@pytest.mark.parametrize(("scope", "rows"), [(AT, []), (BELOW, [0]), (AT | BELOW, [0])])
def test_only_rows_that_mean_all_below_are_found(scope: int, rows: list[int]) -> None:
    assert public_rows(Names([("co.uk", scope, 7)])) == rows


def test_no_names_have_no_rows() -> None:
    assert public_rows(Names()) == []


@given(
    st.lists(st.tuples(st.sampled_from([*NAMES, "a.b.ck", "b.ck", "www.ck"]), st.sampled_from([AT, BELOW, AT | BELOW])))
)
def test_the_rows_are_those_of_the_rules(entries: list[tuple[str, int]]) -> None:
    rows = [row for row, (name, scope) in enumerate(entries) if scope & BELOW and is_public(name)]
    assert public_rows(Names((name, scope, 1) for name, scope in entries)) == rows
