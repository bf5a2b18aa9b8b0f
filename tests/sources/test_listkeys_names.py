"""The keys of a list that say what a name means: what breaks their rules, or is warned of, with its place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl_server.model.domain import AT, BELOW, Domains
from dnsbl_server.model.entry import NAMES
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.sources import listsource
from dnsbl_server.supply.load import LoadResult
from tests.annotated import read_annotated
from tests.sources.refusing import assert_refused, lines_of

ZONE = "zone: bl.example.org\n"
LIST = ZONE + "entries:\n  - "
LONG = "'" + "a." * 100 + "com'"

BROKEN = [
    (LIST + "{net: 192.0.2.1, domain: example.com}\n", "3:5: the entry has both net and domain"),
    (LIST + "{reason: x, ttl: 5}\n", "3:5: the entry has neither net nor domain"),
    (LIST + "{domain: 192.0.2.1}\n", "3:14: 192.0.2.1: the last label of a domain name is no number"),
    (LIST + "{domain: '2001:db8::1'}\n", "3:14: 2001:db8::1: not a domain name: labels are letters, digits"),
    (LIST + "{net: example.com}\n", "3:11: example.com: a domain name; write domain: instead of net:"),
    (LIST + "{net: a@example.com}\nhash: md5\n", "3:11: a@example.com: stands for a name; write domain: instead"),
    (ZONE + "hash: sha512\nentries: [a@example.com]\n", "2:7: sha512: not one of md5, sha1, sha256"),
    (ZONE + "hash: md5\nencoding: base64\nentries: [a@b.cd]\n", "3:11: base64: not one of hex, base32, zbase32"),
    (
        ZONE + "hash: sha256\nentries: [a@example.com]\n",
        "2:7: sha256: sha256 in hex has 64 characters, and a label at most 63; add encoding: base32 or zbase32",
    ),
    (ZONE + "hash: sha256\nencoding: hex\nentries: [a@b.cd]\n", "3:11: hex: sha256 in hex has 64 characters"),
    (ZONE + "encoding: hex\nentries: [a.example]\n", "2:1: encoding: is that of hashes; the list has no hash"),
    (ZONE + "subdomains: maybe\nentries: [a.example]\n", "2:13: maybe: "),
    (ZONE + "public_suffixes: 1\nentries: [a.example]\n", "2:18: 1: "),
    (
        ZONE + "txt: '{ip} {domain}'\nentries: [a.example]\n",
        "2:6: {ip} {domain}: {ip} and {domain} never stand for the same; write {what} for either",
    ),
    (ZONE + "txt: '{ip}'\nentries: [a.example]\n", "3:11: a.example: the txt of this list has {ip}"),
    (ZONE + "txt: '{domain}'\nentries: [192.0.2.1]\n", "3:11: 192.0.2.1: the txt of this list has {domain}"),
    (ZONE + "except: [com]\nentries: [a.example]\n", "2:10: com: neither an address nor a domain name with a dot"),
    (LIST + "a@example.com\n", "3:5: a@example.com: "),
    (LIST + "b.example\nhash: sha1\nsubdomains: true\n", "5:1: subdomains: means nothing in a list with hash"),
    (
        ZONE + "hash: sha1\ntxt: '{ip}'\nentries: [a@b.example]\n",
        "3:6: {ip}: {ip} has no value for the e-mail addresses",
    ),
    (ZONE + "subdomains: true\nlists: [{name: a, entries: [a.example]}]\n", "2:1: subdomains: does not go with lists"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_a_wrong_value_is_a_problem_at_its_place(
    load_texts: Callable[..., LoadResult], tmp_path: Path, text: str, expected: str
) -> None:
    assert_refused(load_texts(text), tmp_path, expected)


SUFFIX = "lists every name under the public suffix"
WARNED = [
    (LIST + ".co.uk\n", [f"3:5: warning: .co.uk: {SUFFIX} co.uk; public_suffixes: true says that it is meant"]),
    (LIST + "'*.com'\n", [f"3:5: warning: *.com: {SUFFIX} com; public_suffixes: true says that it is meant"]),
    (LIST + "{domain: .com, ttl: 5}\n", [f"3:14: warning: .com: {SUFFIX} com; public_suffixes: true says that"]),
    (LIST + "co.uk\nsubdomains: true\n", [f"3:5: warning: co.uk: {SUFFIX} co.uk"]),
    (LIST + ".co.uk\npublic_suffixes: true\n", []),
    (LIST + "co.uk\n", []),
    (LIST + ".example.co.uk\n", []),
    (
        LIST + "{domain: test}\npublic_suffixes: true\n",
        ["3:14: warning: test: left out: test itself is a test entry, which comes from the codes"],
    ),
    (
        LIST + ".invalid\npublic_suffixes: true\n",
        ["3:5: warning: .invalid: taken as *.invalid: invalid itself is a test entry, which comes from the codes"],
    ),
    (LIST + "'*.test'\npublic_suffixes: true\n", []),
    (
        ZONE + "txt: '" + "x" * 53 + "{what}'\nentries: [" + LONG + "]\n",
        ["2:6: warning: " + "x" * 53 + "{what}: the TXT answer can be 256 bytes long"],
    ),
    (ZONE + "txt: '" + "x" * 52 + "{what}'\nentries: [" + LONG + "]\n", []),
    (LIST + "a.example\n  - {domain: A.example}\n", ["4:14: A.example: listed twice in bl.example.org, first at"]),
]


@pytest.mark.parametrize(("text", "expected"), WARNED)
def test_what_may_not_be_meant_is_said(
    load_texts: Callable[..., LoadResult], tmp_path: Path, text: str, expected: list[str]
) -> None:
    said = lines_of(load_texts(text), tmp_path)
    assert len(said) == len(expected), said
    assert all(line.startswith(start) for line, start in zip(said, expected, strict=True)), said


def test_the_keys_decide_what_the_entries_mean(load_texts: Callable[..., LoadResult]) -> None:
    text = ZONE + (
        "lists:\n"
        "  - {name: a, entries: [a.example, {domain: com}, '*.b.example'], except: [x.example, '*.y.example']}\n"
        "  - {name: b, subdomains: true, entries: [a.example]}\n"
        "  - {name: c, hash: md5, encoding: base32, entries: [a@example.com]}\n"
        "except: [z.example]\n"
    )
    result = load_texts(text)
    assert not result.problems.errors
    (loaded,) = result.zones.values()
    a, b, c = loaded.zone.lists
    assert [entry.what for entry in a.entries] == [
        *(Domains("a.example", AT), Domains("com", AT), Domains("b.example", BELOW)),
    ]
    assert [each.what for each in a.exclusions] == [Domains("x.example", AT | BELOW), Domains("y.example", BELOW)]
    assert [entry.what for entry in b.entries] == [Domains("a.example", AT | BELOW)]
    assert c.hashing == Hashing("md5", "base32")
    assert [entry.what for entry in c.entries] == [Domains(c.hashing.label_of("a@example.com"), AT)]
    assert [each.what for each in loaded.zone.exclusions] == [Domains("z.example", AT | BELOW)]


@pytest.mark.parametrize("is_meant", [False, True])
def test_public_suffixes_are_left_out_of_list_files(
    load_texts: Callable[..., LoadResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_meant: bool
) -> None:
    monkeypatch.setattr(listsource, "read_list_file", read_annotated)
    lines = [f"{name} | {name} | 127.0.0.3 | 60 | -" for name in (".co.uk", ".a.example", "*.com", ".net", ".de")]
    lines += ["co.uk", "b.example | b | 127.0.0.4 | 60 | -"]
    (tmp_path / "feed.txt").write_text("\n".join([*lines, f"end {len(lines)}"]))
    result = load_texts(ZONE + f"public_suffixes: {str(is_meant).lower()}\nfiles: [feed.txt]\n")
    (loaded,) = result.zones.values()
    (file,) = loaded.zone.lists[0].files
    numbers = file.numbers[NAMES]
    # Each keeps a listing of its own.
    reasons = ["" if not number else file.listings[number - 1].reason for number in numbers]
    said = [str(problem).removeprefix(f"{tmp_path}/") for problem in result.problems]
    everything = [".co.uk", ".a.example", "*.com", ".net", ".de", "", "b.example"]
    if is_meant:
        assert (reasons, said) == ([*everything[:-1], "b"], [])
        return
    assert reasons == [".a.example", "", "b"]
    assert [row[0] for row in file.names] == ["a.example", "co.uk", "b.example"]
    assert len(file.listings) == 2
    assert said == [
        "feed.txt: warning: 4 entries left out that list all names under a public suffix: .co.uk (line 1), "
        "*.com (line 3), .net (line 4) and 1 more; public_suffixes: true takes them"
    ]


def test_a_name_for_which_the_text_has_no_room_is_refused_where_it_stands(
    load_texts: Callable[..., LoadResult], tmp_path: Path
) -> None:
    text = ZONE + "txt: '" + "x" * 300 + "{what}'\nfiles: [names.txt]\n"
    fitting = ".".join(["y" * 63] * 3 + ["z" * 4, "com"])
    (tmp_path / "names.txt").write_text(f"{fitting}\nx.{fitting}\n")
    result = load_texts(text)
    assert len(fitting) == 200
    room = "the txt of this list has room for 200 characters of a name"
    said = [str(each).removeprefix(f"{tmp_path}/") for each in result.problems]
    assert f"names.txt:2:1: warning: x.{fitting[:55]}...: skipped: too long: {room}" in said
