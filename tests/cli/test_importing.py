"""`import rbldnsd`: the zone files it writes, what it says, and the exit status."""

from pathlib import Path

import pytest

from tests.commands import run

SPAM = """\
$SOA 3600 ns1.example.net hm.example.net 0 600 300 1d 5m
$NS 1d ns1.example.net -ns2.example.net
:2:See $
1.1.1.1
"""
COMBINED = (
    "$DATASET ip4set:spam @ sub\n:5:\n1.1.1.2\n$DATASET dnset @\nb.example\n$DATASET ip4set urls.sub\n1.1.1.3 :7\n"
)
LIST = '    txt: "{what} is listed in {zone}"  # of entries without a text of their own\n'
ZONE = f"""\
# From rbldnsd: bl.test:ip4set:spam
# From rbldnsd: bl.test:dnset:names,more names
zone: bl.test
ttl: 2100
negative_ttl: 300
soa: {{mname: ns1.example.net, rname: hm.example.net, refresh: 600, retry: 300, expire: 86400}}
ns: [ns1.example.net]
lists:
  - name: ip4set
{LIST}    files:
      - {{path: PLACE/spam, format: ip4set}}
  - name: dnset
{LIST}    public_suffixes: true  # rbldnsd asks nothing about them
    files:
      - {{path: [PLACE/names, "PLACE/more names"], format: dnset}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in {"spam": SPAM, "names": ".a.example x\n", "more names": "c.example\n", "comb": COMBINED}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_zone_of_two_datasets(place: Path) -> None:
    done = run(place, "import", "rbldnsd", "bl.test:ip4set:spam", "bl.test:dnset:names,more names")
    assert (done.stdout, done.stderr, done.status) == (ZONE.replace("PLACE", str(place)), "", 0)


def test_a_combined_dataset_is_a_zone_for_each_subzone(place: Path) -> None:
    done = run(place, "import", "rbldnsd", "-e", "-t", "1h", "--output", "out", "bl.test:combined:comb")
    assert (done.stdout, done.status) == ("", 0)
    assert sorted(each.name for each in (place / "out").iterdir()) == [
        "bl.test.yaml",
        "sub.bl.test.yaml",
        "urls.sub.bl.test.yaml",
    ]
    text = (place / "out" / "bl.test.yaml").read_text()
    assert "ttl: 3600\n" in text
    assert f'- {{path: {place}/comb, format: combined, subzone: "@", dataset: 2, host_bits: clear}}\n' in text
    assert run(place, "check", "--strict", "out").status == 0
    assert "1.1.1.2 is listed in sub.bl.test" in run(place, "lookup", "1.1.1.2", "out").stdout
    assert "b.example is listed in bl.test" in run(place, "lookup", "b.example", "out").stdout


def test_options_of_rbldnsd_are_taken(place: Path) -> None:
    options = [
        "-n",
        "-q",
        "-f",
        "-4",
        "-u",
        "rbldns",
        "-p",
        "pid",
        "-c",
        "1m",
        "-b",
        "127.0.0.1/530",
        "-b",
        "::1",
        "-w",
        ".",
    ]
    done = run(place, "import", "rbldnsd", *options, "bl.test:ip4set:spam")
    assert done.status == 0
    assert "--listen 127.0.0.1:530 --listen [::1]:53 " in done.stderr
    assert "options of rbldnsd that are not about its data are left out" in done.stderr


def test_files_below_a_root(place: Path) -> None:
    (place / "data").mkdir()
    (place / "spam").rename(place / "data" / "spam")
    done = run(place, "import", "rbldnsd", "-r", str(place), "-w", "/data", "bl.test:ip4set:spam")
    assert (f"path: {place}/data/spam" in done.stdout, done.status) == (True, 0)


def test_files_are_not_written_over(place: Path) -> None:
    arguments = ("import", "rbldnsd", "--output", "out", "bl.test:ip4set:spam")
    assert run(place, *arguments).status == 0
    again = run(place, *arguments)
    assert (again.status, "is there already" in again.stderr) == (2, True)
    assert run(place, *arguments, "--force").status == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bl.test:ip4set:spam", "bl.test:generic:spam"), "a dataset of type generic cannot be imported"),
        (("bl.test:ip4set:far",), "10.0.0.1 is no code"),
        (("bl.test:ip4set:bad",), "skipped: "),
    ],
)
def test_what_is_lost(arguments: tuple[str, ...], said: str, place: Path) -> None:
    (place / "far").write_text("1.1.1.1\n1.1.1.2 :10.0.0.1:x\n")
    (place / "bad").write_text("1.1.1.1\nfoo\n")
    done = run(place, "import", "rbldnsd", *arguments)
    assert done.status == 1
    assert said in done.stderr
    assert "zone: bl.test\n" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        *(("bl.test",), ("bl.test:ip4set",), ("bl.test:foo:spam",), (":acl:spam",), ("bl.test:ip4set:missing",)),
        *(("bl.test:acl:spam",), ("-t", "x", "bl.test:ip4set:spam")),
    ],
)
def test_what_cannot_be_imported(arguments: tuple[str, ...], place: Path) -> None:
    done = run(place, "import", "rbldnsd", *arguments)
    assert (done.stdout, done.status) == ("", 2)
    assert done.stderr
