"""`import rbldnsd`: command lines of rbldnsd to zone files, what is said, and the exit status."""

import gzip
from pathlib import Path

import pytest

from tests.commands import Done, run

HEAD = (
    "$SOA 1h ns1.example.org hostmaster.example.org 0 1h 90m 1w 5m\n"
    "$NS 1d ns1.example.org -off.example.org ns2.example\n"
)
FILES = {
    "spam": f"{HEAD}:2:$ sent spam\n192.0.2.0/24\n",
    "dynamic": ":10:dynamic\n203.0.113-203.0.114\n",
    "names": f"{HEAD.replace('ns1', 'other')}.spam.example\n*.co.uk\n",
    "six": "2001:db8::/32\n",
    "bits": "192.0.2.77/24\n",
    "with blank": "192.0.2.1\n",
    "sections": (
        f"{HEAD}$TTL 1h\n$DATASET ip4set:drop-it @\n192.0.2.1\n$DATASET dnset dom # why\n.bad.example\n"
        "$DATASET ip4trie dom Dom deep.dom\n192.0.2.9\n"
    ),
    "far": "192.0.2.1 :10.0.0.1:far\n192.0.2.2\n",
    "tested": "127.0.0.2\n192.0.2.2\n",
    "refused": "192.0.2.1\n192.0.2.2 :5 ; why\n",
    "acl": "192.0.2.1 :refuse\n",
    "mixed": "$DATASET generic @\n@ A 127.0.0.2\n$DATASET ip4set @ sub\n192.0.2.1\n$DATASET generic only\nx A 2\n",
    "bad soa": "$SOA 1h ns1.example.org\n$SOA 1h ns1..org h.example.org 0 1 1 1 1\n$NS 1 a..b\n192.0.2.1\n",
    "short": "$TTL 1m\n192.0.2.1\n",
}
SOA = "soa: {mname: ns1.example.org, rname: hostmaster.example.org, refresh: 1h, retry: 90m, expire: 1w}"
ZONE = f"ttl: 35m\nnegative_ttl: 5m\nns: [ns1.example.org, ns2.example]\n{SOA}\n"
TXT = 'txt: "{what} is listed in {zone}"   # of entries that have no text in rbldnsd'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name, text in FILES.items():
        (tmp_path / "data" / name).write_text(text)
    (tmp_path / "data" / "packed").write_bytes(gzip.compress(FILES["spam"].encode()))
    return tmp_path


def imported(place: Path, *arguments: str) -> Done:
    """Import from `data`."""
    return run(place, "import", "rbldnsd", "-w", "data", *arguments)


def body_of(text: str) -> str:
    """A zone file without the comment that it begins with, and without the text that each of its lists has."""
    head, _, body = text.partition("\n\n")
    assert all(line.startswith("#") for line in head.splitlines())
    lines = body.splitlines(keepends=True)
    kept = [line for line in lines if line.strip() != TXT]
    assert len(lines) - len(kept) == body.count("path: ")
    return "".join(kept)


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["b.test:ip4set:spam"], f"zone: b.test\n{ZONE}\nfiles:\n  - {{path: @spam, format: ip4set}}\n"),
        (["B.test.:ip4set:packed"], f"zone: b.test\n{ZONE}\nfiles:\n  - {{path: @packed, format: ip4set}}\n"),
        # The first dataset with a SOA gives it; files of one dataset are read as one.
        (
            ["b.test:ip4set:dynamic,spam", "b.test:dnset:names"],
            f"zone: b.test\n{ZONE}\nlists:\n  - name: ip4set\n    files:\n"
            "      - {path: [@dynamic, @spam], format: ip4set}\n  - name: dnset\n"
            "    public_suffixes: true   # rbldnsd takes all of them\n    files:\n"
            "      - {path: @names, format: dnset}\n",
        ),
        (
            ["b.test:ip4set:dynamic", "b.test:ip4set:bits", "-e", "b.test:ip6trie:six", "-t", "1h"],
            "zone: b.test\nttl: 1h\n\nlists:\n  - name: ip4set-1\n    files:\n"
            "      - {path: @dynamic, format: ip4set, host_bits: clear}\n  - name: ip4set-2\n    files:\n"
            "      - {path: @bits, format: ip4set, host_bits: clear}\n  - name: ip6trie\n    files:\n"
            "      - {path: @six, format: ip6trie, host_bits: clear}\n",
        ),
        (
            ["-t", ":1h", "b.test:ip4tset:with blank"],
            'zone: b.test\nttl: 1h\n\nfiles:\n  - {path: "@with blank", format: ip4tset}\n',
        ),
        (
            ["-t90::45", "b.test:ip4set:bits", "-e"],
            "zone: b.test\nttl: 45s\n\nfiles:\n  - {path: @bits, format: ip4set, host_bits: clear}\n",
        ),
        (
            ["-e", "b.test:dnset:names"],
            "zone: b.test\n" + ZONE.replace("ns1", "other") + "\n"
            "public_suffixes: true   # rbldnsd takes all of them\nfiles:\n  - {path: @names, format: dnset}\n",
        ),
    ],
)
def test_zone_file(place: Path, arguments: list[str], body: str) -> None:
    done = imported(place, *arguments)
    assert (done.status, done.stderr) == (0, "")
    assert body_of(done.stdout) == body.replace("@", f"{place}/data/")
    assert check(place, done.stdout) == ""


def check(place: Path, text: str) -> str:
    """What is wrong with a zone file."""
    (place / "written.yaml").write_text(text)
    return run(place, "check", "--state", "off", "written.yaml").stderr


def test_says_where_it_came_from(place: Path) -> None:
    done = imported(place, "b.test:ip4set:spam", "b.test:dnset:names")
    assert done.stdout.splitlines()[:4] == [
        "# Written by `dnsbl-server import rbldnsd`, from:",
        "#   b.test:ip4set:spam",
        "#   b.test:dnset:names",
        "# The data stays in the files of rbldnsd, which are watched.",
    ]


def test_combined(place: Path) -> None:
    done = imported(place, "--output", "zones", "b.test:combined:sections")
    assert (done.status, done.stderr.count("written: ")) == (0, 3)
    files = {path.name: body_of(path.read_text()) for path in (place / "zones").iterdir()}
    item = "{path: ../data/sections, format: combined"
    assert files == {
        "b.test.yaml": f"zone: b.test\n{ZONE}\nfiles:\n  - {item}}}\n",
        "dom.b.test.yaml": f"zone: dom.b.test\n{ZONE}\nlists:\n  - name: dnset\n"
        f"    public_suffixes: true   # rbldnsd takes all of them\n    files:\n"
        f"      - {item}, subzone: dom, dataset: 1}}\n"
        f"  - name: ip4trie\n    files:\n      - {item}, subzone: dom, dataset: 2}}\n",
        "deep.dom.b.test.yaml": f"zone: deep.dom.b.test\n{ZONE}\nfiles:\n  - {item}, subzone: deep.dom}}\n",
    }
    listed = run(place, "lookup", "--state", "off", "bad.example", "zones/dom.b.test.yaml")
    assert (listed.status, run(place, "check", "--state", "off", "zones").status) == (0, 0)


def test_label_names_the_list(place: Path) -> None:
    done = imported(place, "b.test:ip4set:spam", "b.test:combined:sections", "--output", "zones")
    assert done.status == 0
    text = (place / "zones" / "b.test.yaml").read_text()
    assert [line for line in text.splitlines() if "name: " in line and " - " in line] == [
        "  - name: ip4set",
        "  - name: drop-it",
    ]


def test_a_zone_of_its_own_hides_a_subzone(place: Path) -> None:
    done = imported(place, "--output", "z", "b.test:combined:sections", "dom.b.test:ip4set:spam")
    text = (place / "z" / "dom.b.test.yaml").read_text()
    assert (done.status, done.stderr.count("never asked: dom.b.test is a zone of its own")) == (0, 2)
    assert "combined" not in text


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["-r", "{place}", "-w", "data"], "data/spam"),
        (["-r", "{place}", "-w", "/data"], "data/spam"),
        (["-r", "{place}/data", "-w", ""], "data/spam"),
        (["-w", "{place}/data"], "data/spam"),
    ],
)
def test_root_and_directory(place: Path, arguments: list[str], path: str) -> None:
    done = run(place, "import", "rbldnsd", *(each.format(place=place) for each in arguments), "b.test:ip4set:spam")
    assert (done.status, f"path: {place}/{path}," in done.stdout) == (0, True)


def test_a_file_with_a_root_is_below_it(place: Path) -> None:
    done = run(place, "import", "rbldnsd", "-r", str(place), "b.test:ip4set:/data/spam")
    assert (done.status, f"path: {place}/data/spam," in done.stdout) == (0, True)


def test_options_that_are_not_needed_are_named_once(place: Path) -> None:
    options = "-n -4 -6 -q -f -vv -a -A -C -d -u rbldns:rbldns -p /run/p -c 1m -l +log -s +stats -F local3 -x e -X arg"
    done = imported(place, *options.split(), "-b", "192.0.2.53", "-b", "::1/5353", "b.test:ip4set:spam")
    assert (done.status, done.stderr.splitlines()) == (
        0,
        [
            "note: serve with --listen 192.0.2.53:53 --listen [::1]:5353",
            "note: not needed here: -4 -6 -a -c -d -f -l -n -p -q -s -u -v -x -A -C -F -X",
        ],
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["b.test:ip4set:far"], 1, ["data/far:1: warning: :10.0.0.1:far: left out: 10.0.0.1 is no code"]),
        # These are listed by the codes, and rbldnsd skips those as well.
        (["b.test:ip4set:tested"], 0, ["data/tested:1: warning: 127.0.0.2: left out: the test entries"]),
        (["b.test:ip4set:refused"], 0, ["data/refused:2: warning: 192.0.2.2 :5 ; why: skipped: "]),
        (["b.test:ip4set:spam", "b.test:generic:acl"], 1, ["data/acl: warning: b.test:generic:acl: left out: "]),
        (["b.test:ip4set:spam", ":acl:acl"], 1, ["data/acl: warning: :acl:acl: left out: datasets of type acl "]),
        (["b.test:ip4set:spam", "c.test:acl:acl"], 1, ["data/acl: warning: c.test:acl:acl: left out: "]),
        (["b.test:ip4set:bad soa"], 0, [
            "data/bad soa:1: warning: $SOA 1h ns1.example.org: skipped: ",
            "data/bad soa:2: warning: $SOA 1h ns1..org h.example.org 0 1 1 1 1: skipped: ",
            "data/bad soa:3: warning: $NS 1 a..b: skipped: ",
        ]),
        (["-t", "1h:30m", "b.test:ip4set:short"], 0, ["data/short:1: warning: $TTL 1m: rbldnsd makes 1800 of it"]),
    ],
)  # fmt: skip
def test_what_differs_is_said(place: Path, arguments: list[str], status: int, said: list[str]) -> None:
    done = imported(place, *arguments)
    lines = done.stderr.splitlines()
    assert (done.status, len(lines)) == (status, len(said))
    assert all(line.startswith(f"{place}/{start}") for line, start in zip(lines, said, strict=True))
    assert "zone: b.test\n" in done.stdout


def test_sections_that_cannot_be_imported(place: Path) -> None:
    done = imported(place, "--output", "zones", "b.test:combined:mixed")
    assert (done.status, done.stderr.count("datasets of type generic cannot be imported")) == (1, 2)
    assert sorted(path.name for path in (place / "zones").iterdir()) == ["b.test.yaml", "sub.b.test.yaml"]
    # The reader counts those too.
    assert "dataset: 2}" in (place / "zones" / "b.test.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument"),
        (["b.test"], "b.test: not ZONE:TYPE:FILE[,FILE...]"),
        (["b.test:ip4set:"], "not ZONE:TYPE:FILE[,FILE...]"),
        (["b.test:ip4set:,"], "not ZONE:TYPE:FILE[,FILE...]"),
        (["b.test:ip5set:spam"], "b.test:ip5set:spam: unknown type ip5set; known are ip4set, "),
        (["b..test:ip4set:spam"], "b..test:ip4set:spam: a domain name has no empty label"),
        ([":ip4set:spam"], "a domain name has at least one label"),
        (["b.test:ip4set:a\nb"], "b.test:ip4set:a\\nb: a name with such characters"),
        (["-t", "1x", "b.test:ip4set:spam"], "1x: not a time of rbldnsd"),
        (["-t", "1:2:3:4", "b.test:ip4set:spam"], "1:2:3:4: not DEF:MIN:MAX"),
        (
            ["b.test:ip4set:spam", "c.test:ip4set:spam"],
            "each with a file of its own (b.test, c.test): add --output DIR",
        ),
        (["b.test:ip4set:missing"], "data/missing: no such file or directory"),
        (["b.test:ip4set:."], "data: is a directory"),
        (["b.test:acl:acl"], "nothing is written"),
        (["b.test:ip6trie:dynamic"], "none of its lines can be read"),
    ],
)
def test_what_cannot_be_imported(place: Path, arguments: list[str], said: str) -> None:
    done = imported(place, *arguments)
    assert (done.status, done.stdout) == (2, "")
    assert said in done.stderr.replace("\n  ", " ")


def test_no_file_is_written_over(place: Path) -> None:
    arguments = ["--output", "zones", "a.test:ip4set:spam", "b.test:ip4set:spam"]
    (place / "zones").mkdir()
    present = place / "zones" / "b.test.yaml"
    present.write_text("mine")
    done = imported(place, *arguments)
    assert (done.status, [path.name for path in (place / "zones").iterdir()]) == (2, ["b.test.yaml"])
    assert (present.read_text(), "zones/b.test.yaml: there already, --force writes over it" in done.stderr) == (
        "mine",
        True,
    )
    assert imported(place, *arguments, "--force").status == 0
    assert sorted(path.name for path in (place / "zones").iterdir()) == ["a.test.yaml", "b.test.yaml"]
    assert "zone: b.test" in present.read_text()


def test_where_nothing_can_be_written(place: Path) -> None:
    done = imported(place, "--output", "data/spam/zones", "b.test:ip4set:spam")
    assert (done.status, "ot a directory" in done.stderr) == (2, True)


def test_paths_hold_behind_a_link(place: Path) -> None:
    (place / "deep" / "er").mkdir(parents=True)
    (place / "zones").symlink_to("deep/er")
    assert imported(place, "--output", "zones", "b.test:ip4set:spam").status == 0
    assert run(place, "check", "--state", "off", "zones").status == 0
