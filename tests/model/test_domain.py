"""Domain names and what an entry means of them: which names it holds, and how it is written."""

import pytest

from dnsbl_server.model.domain import AT, BELOW, Domain, Domains

NAMES = ("example.com", "www.example.com", "a.www.example.com", "badexample.com", "com", "example.com.org", "x.org")


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        (AT, ["example.com"]),
        (BELOW, ["www.example.com", "a.www.example.com"]),
        (AT | BELOW, ["example.com", "www.example.com", "a.www.example.com"]),
    ],
)
def test_an_entry_holds_the_name_or_those_below_it_or_both(scope: int, held: list[str]) -> None:
    assert [name for name in NAMES if Domains("example.com", scope).holds(Domain(name))] == held


def test_an_entry_is_shown_as_it_is_written() -> None:
    written = [str(Domains("example.com", scope)) for scope in (AT, BELOW, AT | BELOW)]
    assert written == ["example.com", "*.example.com", ".example.com"]
    assert str(Domain("www.example.com")) == "www.example.com"


@pytest.mark.parametrize(("name", "labels"), [("com", 1), ("example.com", 2), ("a.b.example.com", 4)])
def test_labels_are_counted(name: str, labels: int) -> None:
    assert Domain(name).labels == Domains(name, AT).labels == labels
