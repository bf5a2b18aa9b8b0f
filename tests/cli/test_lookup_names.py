"""`lookup` of domain names and e-mail addresses: what it prints, and the exit status; and what `check` counts."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.commands import run

ZONES = {
    "a.yaml": "zone: dbl.test\ntxt: '{what}: {reason}'\nreason: spam\n"
    "entries: [.example.com, müller.example, 192.0.2.1]\n"
    "except: [good.example.com]\n",
    "b.yaml": "zone: mail.test\nlists:\n"
    "  - {name: md5, hash: md5, entries: [someone@example.com]}\n"
    "  - {name: sha1, hash: sha1, entries: [someone@example.com, other@example.com]}\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("place")
    (directory / "zones").mkdir()
    for name, text in ZONES.items():
        (directory / "zones" / name).write_text(text)
    return directory


def test_a_name_below_a_suffix(place: Path) -> None:
    done = run(place, "lookup", "--json", "WWW.example.com.", "zones/a.yaml")
    assert (done.status, done.stderr) == (0, "")
    (found,) = json.loads(done.stdout)
    assert {key: found[key] for key in ("zone", "domain", "listed", "test_entry", "query", "a", "txt")} == {
        "zone": "dbl.test",
        "domain": "www.example.com",
        "listed": True,
        "test_entry": False,
        "query": "www.example.com.dbl.test",
        "a": ["127.0.0.2"],
        "txt": ["example.com: spam"],
    }
    assert found["lists"][0]["entry"]["domain"] == ".example.com"
    assert "net" not in found["lists"][0]["entry"]


def test_a_name_that_is_excluded(place: Path) -> None:
    done = run(place, "lookup", "--json", "a.good.example.com", "zones/a.yaml")
    (found,) = json.loads(done.stdout)
    assert (done.status, found["listed"]) == (1, False)
    assert found["lists"][0]["excluded_by"]["domain"] == "good.example.com"


@pytest.mark.parametrize("asked", ["müller.example", "xn--mller-kva.example"])
def test_a_unicode_name_is_shown_in_both_forms(place: Path, asked: str) -> None:
    done = run(place, "lookup", asked, "zones/a.yaml")
    assert done.status == 0
    assert done.stdout.splitlines()[0] == "xn--mller-kva.example (müller.example) is listed in dbl.test"


@pytest.mark.parametrize(("name", "status"), [("test", 0), ("invalid", 1)])
def test_the_test_entries_of_names(place: Path, name: str, status: int) -> None:
    done = run(place, "lookup", "--json", name, "zones/a.yaml")
    (found,) = json.loads(done.stdout)
    assert (done.status, found["test_entry"]) == (status, status == 0)


def test_an_e_mail_address_is_asked_for_by_its_hashes(place: Path) -> None:
    done = run(place, "lookup", "--json", "Someone@Example.com")
    without, md5, sha1 = json.loads(done.stdout)
    assert done.status == 0
    assert (without["zone"], without["listed"], without["query"]) == ("dbl.test", False, None)
    for found, algorithm in ((md5, "md5"), (sha1, "sha1")):
        assert (found["mail_address"], found["listed"]) == ("someone@example.com", True)
        assert found["query"] == f"{hashlib.new(algorithm, b'someone@example.com').hexdigest()}.mail.test"
    assert run(place, "lookup", "other@example.com").status == 0
    assert run(place, "lookup", "nobody@example.com").status == 1


def test_an_e_mail_address_in_a_zone_without_hashes(place: Path) -> None:
    done = run(place, "lookup", "someone@example.com", "zones/a.yaml")
    assert done.status == 1
    expected = "someone@example.com is not listed in dbl.test: no list of the zone has hashes of e-mail addresses"
    assert done.stdout.splitlines() == [expected]


def test_a_name_that_is_too_long_below_a_zone_is_not_listed_there(place: Path) -> None:
    name = ".".join(["x" * 63] * 3 + ["y" * 50, "com"])
    done = run(place, "lookup", name, "zones/a.yaml")
    assert (done.status, done.stderr) == (1, "")
    assert done.stdout.replace("\n", "") == f"{name} is not listed in dbl.test: it would be too long to be asked for"


@pytest.mark.parametrize("asked", ["192.0.2.300", "10.0.0", "2001:db8::g", "a@b@example.com", "a b.example"])
def test_what_is_mistyped_is_refused(place: Path, asked: str) -> None:
    done = run(place, "lookup", asked)
    assert done.status == 2
    assert asked in done.stderr


def test_check_counts_names(place: Path) -> None:
    done = run(place, "check")
    assert (done.status, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if "covered" in line or "domain names" in line] == [
        *("  IPv4 addresses covered: 1", "  domain names: 2", "  domain names: 3"),
    ]
