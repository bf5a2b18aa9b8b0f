"""`lookup`: what it prints, as text and as JSON, and the exit status."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dnsbl_server.cli.main import main
from tests.commands import BAD_LINES, make_place, run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def test_lookup_json(place: Path) -> None:
    done = run(place, "lookup", "--json", "192.0.2.70", "zones/bl.yaml")
    wide = {
        "net": "192.0.2.0/24",
        "place": "zones/bl.yaml:9:9",
        "file": "zones/bl.yaml",
        "line": 9,
        "reason": "spam",
        "codes": ["127.0.0.2", "127.0.0.9"],
        "listed": None,
        "expires": None,
        "expired": False,
    }
    narrow = {
        "net": "192.0.2.64/26",
        "place": "zones/bl.yaml:10:14",
        "line": 10,
        "reason": "ticket 1",
        "listed": "2020-01-01T00:00:00+00:00",
        "expires": "2199-01-01T12:00:00+00:00",
    }
    assert (done.status, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [
        {
            "zone": "bl.test",
            "address": "192.0.2.70",
            "listed": True,
            "test_entry": False,
            "query": "70.2.0.192.bl.test",
            "a": ["127.0.0.2", "127.0.0.9"],
            "txt": ["192.0.2.70: ticket 1"],
            "ttl": 3600,
            "excluded_by": None,
            "lists": [
                {
                    "list": "traps",
                    "listed": True,
                    "entry": {**wide, **narrow},
                    "excluded_by": None,
                    "others": [wide],
                    "provenance": {},
                }
            ],
        }
    ]


def test_lookup_json_not_listed(place: Path) -> None:
    done = run(place, "lookup", "--json", "203.0.113.25")
    first, second = json.loads(done.stdout)
    assert done.status == 1
    assert first["excluded_by"] == {
        "net": "203.0.113.25",
        "place": "zones/bl.yaml:2:10",
        "file": "zones/bl.yaml",
        "line": 2,
    }
    assert (first["listed"], first["a"], first["txt"], first["ttl"]) == (False, [], [], None)
    assert [each["net"] for each in first["lists"][0]["others"]] == ["203.0.113.0/24"]
    assert (second["zone"], second["listed"], second["lists"]) == ("other.test", False, [])


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        (
            "192.0.2.70",
            0,
            "is listed in bl.test|list traps|192.0.2.64/26|zones/bl.yaml:10:14|ticket 1|2020-01-01|2199-01-01"
            "|70.2.0.192.bl.test|127.0.0.2, 127.0.0.9|3600 s|192.0.2.70: ticket 1|less specific: 192.0.2.0/24",
        ),
        ("2001:DB8::7", 0, "2001:db8::7 is listed in bl.test|list six|zones/bl.yaml:18:|2001:db8::7 six"),
        ("::ffff:10.1.1.1", 0, "10.1.1.1 is not listed in bl.test|10.1.1.1 is listed in other.test|list other.test"),
        ("127.0.0.2", 0, "is listed in bl.test, as a test entry|is listed in other.test, as a test entry"),
        ("127.0.0.1", 1, "127.0.0.1 is not listed in bl.test|is not listed in other.test"),
        (
            "192.0.2.25",
            1,
            "is not listed in bl.test|excluded by 192.0.2.25, zones/bl.yaml:17:14|would list it: 192.0.2.0",
        ),
        ("198.51.100.7", 1, "is not listed in bl.test|expired: 198.51.100.7, zones/bl.yaml:15:15, until 2020-01-31"),
    ],
)
def test_lookup_says_why_and_what_a_client_gets(place: Path, address: str, status: int, said: str) -> None:
    done = run(place, "lookup", address)
    assert (done.status, done.stderr) == (status, "")
    for part in said.split("|"):
        assert part in done.stdout


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_lookup_in_bad_zones(place: Path, flags: tuple[str, ...]) -> None:
    done = run(place, "lookup", "10.0.0.1", "bad", *flags)
    assert (done.status, done.stdout) == (2, "")
    assert all(f"bad/{line}" in done.stderr for line in BAD_LINES)


def test_lookup_of_no_address(place: Path) -> None:
    done = run(place, "lookup", "192.0.2.256")
    assert (done.status, done.stdout) == (2, "")
    assert "192.0.2.256: an octet must be 0 to 255" in done.stderr


def test_lookup_of_a_network_says_that_it_takes_addresses() -> None:
    done = CliRunner().invoke(main, ["lookup", "192.0.2.0/24"])
    assert done.exit_code == 2
    # The same words as for an entry would say that this is no CIDR.
    assert "192.0.2.0/24: not an address, CIDR, range or domain name" not in done.output


def test_lookup_says_whose_data_it_is(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("192.0.2.7\n")
    item = "{path: list.txt, publisher: Example Feeds, removal_url: 'https://feeds.example/removal'}"
    text = f"zone: bl.test\npublisher: us\ncontact: noc@example.net\nentries: [192.0.2.8]\nfiles: [{item}]\n"
    (tmp_path / "bl.yaml").write_text(text)
    lines = run(tmp_path, "lookup", "192.0.2.7", "bl.yaml").stdout.splitlines()
    said = ["published by Example Feeds", "ask noc@example.net", "removal at https://feeds.example/removal"]
    assert [line.strip() for line in lines if line.strip() in said] == said
    (found,) = json.loads(run(tmp_path, "lookup", "--json", "192.0.2.8", "bl.yaml").stdout)
    assert found["lists"][0]["provenance"] == {"publisher": "us", "contact": "noc@example.net"}
