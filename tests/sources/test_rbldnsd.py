"""rbldnsd's data files: what each form of a line means, and what decides where several hold.

The expectations are those of the running program, which e2e/test_rbldnsd.py asks beside this server.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dnsbl_server.sources.rbldnsdvalues import parse_seconds, parse_stamp
from tests.sources.reading import read

GOOD = [f"172.16.0.{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("line", "entries"),
    [
        ("1.2.3.4", ["1.2.3.4: 2"]),
        ("  1.2.3.4\t", ["1.2.3.4: 2"]),
        ("01.002.3.4", ["1.2.3.4: 2"]),
        ("1.2.3", ["1.2.3.0/24: 2"]),
        ("1.2", ["1.2.0.0/16: 2"]),
        ("10/8", ["10.0.0.0/8: 2"]),
        ("10.1/16", ["10.1.0.0/16: 2"]),
        ("1.2.3/24", ["1.2.3.0/24: 2"]),
        ("1.2.3.4/32", ["1.2.3.4: 2"]),
        ("1.2.3.254/31", ["1.2.3.254: 2", "1.2.3.255: 2"]),
        ("1.2.2.0/23", ["1.2.2.0/24: 2", "1.2.3.0/24: 2"]),
        ("1.2.3.254-1.2.4.0", ["1.2.3.254: 2", "1.2.3.255: 2", "1.2.4.0: 2"]),
        ("1.2.3.4-5", ["1.2.3.4: 2", "1.2.3.5: 2"]),
        ("1.2.3-4", ["1.2.3.0/24: 2", "1.2.4.0/24: 2"]),
        ("1.2.255-1.3.0", ["1.2.255.0/24: 2", "1.3.0.0/24: 2"]),
        ("18-19", ["18.0.0.0/8: 2", "19.0.0.0/8: 2"]),
        ("1.2.3.4 text", ["1.2.3.4: 2 text"]),
        ("1.2.3.4 :5", ["1.2.3.4: 5"]),
        ("1.2.3.4:5:glued", ["1.2.3.4: 5 glued"]),
        ("1.2.3.4 :5 : x  y ", ["1.2.3.4: 5 x  y"]),
        ("1.2.3.4 :5:", ["1.2.3.4: 5"]),
        ("1.2.3.4 :05: a:b", ["1.2.3.4: 5 a:b"]),
        ("1.2.3.4 :127.0.3:", ["1.2.3.4: 3"]),
        ("1.2.3.4;c", ["1.2.3.4: 2"]),
        ("1.2.3.4 # c", ["1.2.3.4: 2"]),
        ("1.2.3.4 :5: # c", ["1.2.3.4: 5 # c"]),
        ('1.2.3.4 "q" \\', ['1.2.3.4: 2 "q" \\']),
        ("1.2.3.4 a $ b", ["1.2.3.4: 2 a <what> b"]),
        ("1.2.3.4 $$ $7 $= $", ["1.2.3.4: 2 $ $7 $$ $7 $= $ <what>"]),
        ("1.2.3.4 {what}", ["1.2.3.4: 2 {what}"]),
        ("1.2.3.4\0 :5:", ["1.2.3.4: 2"]),
        ("1.2.3.4 =x", ["1.2.3.4: 2 x"]),
        ("# 1.2.3.4", []),
        ("; 1.2.3.4", []),
        ("", []),
    ],
)
def test_lines_of_an_ip4set(line: str, entries: list[str], tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", f"{line}\n")
    assert (found.entries, found.said) == (entries, [])


@pytest.mark.parametrize(
    "line",
    [
        *("1", "1.2.3.4/0", "0/0", "1.2.3.4/33", "1.2.3.4/24", "1.2.3.4/", "1.2.3.4-", "1.2.3.4.", "1.2.3.4.5"),
        *(
            "1.2.3.4x",
            "1.2.3.4,5",
            "29.1.2.256",
            "1.2.3.9-1.2.3.4",
            "27.1-27.1.2.3",
            "34.1.2.3-5.6",
        ),
        *(
            "1.2.3.4 :5 text",
            "1.2.3.4 :5 ; c",
            "1.2.3.4 : 5:x",
            "1.2.3.4 ::x",
            "1.2.3.4 :",
            "1.2.3.4 :0:",
            "1.2.3.4 :256:",
        ),
        *(":x", "::x", "$TTL 1h30m", "$1", "$TTL 79 # c", "foo"),
    ],
)
def test_bad_lines_are_skipped(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", f"{line}\n" + "\n".join(GOOD))
    assert [f"{address}: 2" for address in GOOD] == found.entries
    assert found.verdict == ""
    assert len(found.said) == 1
    assert found.said[0].startswith("data0:1: warning: ")
    assert "skipped: " in found.said[0]


@pytest.mark.parametrize("line", ["!1.2.3.4/24", "!foo", "!1", "!"])
def test_a_bad_exclusion_refuses_the_file(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", f"{line}\n" + "\n".join(GOOD))
    assert found.verdict == "the exclusion in line 1 cannot be read"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1.2.3.4 :10.0.0.1:x", "10.0.0.1 is no code"),
        ("1.2.3.4 :1.2:x", "1.0.0.2 is no code"),
        ("1.2.3.4 :1:x", "127.0.0.1 is no code"),
        ("1.2.3.4 :127.255.255.9:x", "127.255.255.9 is no code"),
    ],
)
def test_what_cannot_be_said_is_not_listed_at_all(line: str, said: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", f"1.2.3.0/24 :5:\n{line}\n")
    # Not even as part of what is around it: that would be another code.
    assert (found.entries, found.excluded, found.verdict) == (["1.2.3.0/24: 5"], ["1.2.3.4"], "")
    assert len(found.said) == 1
    assert said in found.said[0]


def test_the_test_entries_are_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", "127.0.0.2\n1.2.3.4\n")
    assert found.entries == ["1.2.3.4: 2"]
    assert "data0:1: warning: 127.0.0.2: left out" in found.said[0]


@pytest.mark.parametrize(
    ("lines", "entries", "excluded"),
    [
        # Of one block all values hold, in whatever form they are written; of several texts the first.
        (["1.2.3.4 :4:a", "1.2.3.4/31 :6:b"], ["1.2.3.4: 4,6 a", "1.2.3.5: 6 b"], []),
        (["1.2.3.4 :4:", "1.2.3.4 :6:b"], ["1.2.3.4: 4,6 b"], []),
        (["1.2.3.4 :4:", "1.2.3.0/24 :6:"], ["1.2.3.4: 4", "1.2.3.0/24: 6"], []),
        # An exclusion of the same block wins, whichever comes first.
        (["1.2.3.4", "!1.2.3.4/31"], [], ["1.2.3.4", "1.2.3.5"]),
        (["! 1.2.3.4 :bad", "1.2.3.4"], [], ["1.2.3.4"]),
        (["1.2.5.4", "!1.2.5.0/24"], ["1.2.5.4: 2"], ["1.2.5.0/24"]),
        (["1.2.3.4 :1:", "1.2.3.4 :5:"], ["1.2.3.4: 5"], []),
    ],
)
def test_what_decides_in_an_ip4set(lines: list[str], entries: list[str], excluded: list[str], tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", "\n".join(lines))
    assert (found.entries, found.excluded) == (entries, excluded)


@pytest.mark.parametrize(
    ("lines", "entries", "excluded"),
    [
        (["1.2.3.0/25 :4:", "1.2.3.0/25 :6:"], ["1.2.3.0/25: 4"], []),
        (["!1.2.3", "1.2.3.0/24"], [], ["1.2.3.0/24"]),
        (["1.2.3", "!1.2.3.0/24"], ["1.2.3.0/24: 2"], []),
        (["0/1 :4:"], ["0.0.0.0/1: 4"], []),
    ],
)
def test_what_decides_in_an_ip4trie(lines: list[str], entries: list[str], excluded: list[str], tmp_path: Path) -> None:
    found = read(tmp_path, "ip4trie", "\n".join(lines))
    assert (found.entries, found.excluded) == (entries, excluded)


def test_an_ip4tset_has_the_first_default_for_all(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4tset", "1.2.3.4 :9:x\n1.2.3.5\n", ":6:$\n1.2.3.4\n:7\n1.2.3.6\n")
    assert found.entries == ["1.2.3.4: 6 <what>", "1.2.3.5: 6 <what>", "1.2.3.6: 6 <what>"]


@pytest.mark.parametrize("line", ["1.2.3", "1.2.3.4/32", "1.2.3.4-5"])
def test_an_ip4tset_has_single_addresses(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip4tset", f"{line}\n" + "\n".join(GOOD))
    assert len(found.entries) == len(GOOD)
    assert "single addresses" in found.said[0]


def test_an_ip4tset_whose_default_cannot_be_said_lists_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4tset", "1.2.3.4\n:1.1.1.1:x\n")
    assert (found.entries, len(found.said)) == ([], 1)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("2001:db8:4", "2001:db8:4::/48: 2"),
        ("2001:db8:1/48", "2001:db8:1::/48: 2"),
        ("2001:db8:2::", "2001:db8:2::: 2"),
        ("2001/16", "2001::/16: 2"),
        ("2001:0DB8:00001:2", "2001:db8:1:2::/64: 2"),
        ("2001:db8:d:0:0:0:0:1:19:glued", "2001:db8:d::1: 19 glued"),
        ("2001:db8:c:::18:glued", "2001:db8:c::: 18 glued"),
        ("2001:db8::1 :5:$", "2001:db8::1: 5 <what>"),
    ],
)
def test_lines_of_an_ip6trie(line: str, entry: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip6trie", f"{line}\n")
    assert (found.entries, found.said) == ([entry], [])


@pytest.mark.parametrize(
    "line", ["2001", "::1.2.3.4", "2001:db8::1/64", "2001:db8:::x", "1:2:3:4:5:6:7:8:9/3", "12345::"]
)
def test_bad_lines_of_an_ip6trie(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip6trie", f"{line}\n2001:db8::1\n")
    assert found.entries == ["2001:db8::1: 2"]
    assert "skipped: " in found.said[0]


def test_an_ip6tset_has_networks_of_64_bits(tmp_path: Path) -> None:
    found = read(tmp_path, "ip6tset", "2001:db8:0:1 :5:x\n!2001:db8:0:1::5\n2001:db8::/64\n2001:db8:0:2\n:6:\n")
    assert (found.entries, found.excluded) == (["2001:db8:0:1::/64: 6", "2001:db8:0:2::/64: 6"], ["2001:db8:0:1::5"])
    assert "2001:db8::/64" in found.said[0]


@pytest.mark.parametrize(
    ("lines", "entries", "excluded"),
    [
        (["Example.COM. :3:$"], ["example.com: 3 <what>"], []),
        (["*.a.com", ".b.com"], ["*.a.com: 2", ".b.com: 2"], []),
        (["a..b.com", "..d.com", "es\\097.com", "com"], ["a.b.com: 2", ".d.com: 2", "esa.com: 2", "com: 2"], []),
        ([".a.com", "!a.com"], ["*.a.com: 2"], ["a.com"]),
        (["!.a.com"], [], ["a.com", "*.a.com"]),
        (["!a.com", "*.a.com"], ["*.a.com: 2"], ["a.com"]),
        (["*.b.com :3:s", ".b.com :4:", "b.com :5:"], ["b.com: 4,5", "*.b.com: 3,4 s"], []),
        (["b.com :5:x", "*.b.com :5:x"], [".b.com: 5 x"], []),
        (["a.com :3:", "a.com :4:"], ["a.com: 3,4"], []),
        (["a.com # c", "b.com ;c"], ["a.com: 2", "b.com: 2"], []),
    ],
)
def test_lines_of_a_dnset(lines: list[str], entries: list[str], excluded: list[str], tmp_path: Path) -> None:
    found = read(tmp_path, "dnset", "\n".join(lines))
    assert (sorted(found.entries), found.excluded, found.said) == (sorted(entries), excluded, [])


@pytest.mark.parametrize(
    "line", ["*.*.x.com", "foo.*.com", "*", "a,b.com", "no.com#x", "1.2.3.4", "b\\.c.com", "é.com"]
)
def test_names_that_none_here_may_be_are_left_out(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, "dnset", f"{line}\nb.com\n")
    assert (found.entries, found.verdict) == (["b.com: 2"], "")
    assert "left out" in found.said[0]


@pytest.mark.parametrize("line", [".", "*.", "x" * 64 + ".com", "\\999.com"])
def test_bad_names_are_skipped(line: str, tmp_path: Path) -> None:
    found = read(tmp_path, "dnset", f"{line}\nb.com\n")
    assert found.entries == ["b.com: 2"]
    assert "skipped" in found.said[0]


def test_defaults_hold_from_there_on_and_in_their_file(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", "1.1.1.1\n:5:def\n1.1.1.2\n1.1.1.3 x\n:7\n1.1.1.4\n", "1.1.1.5\n")
    assert found.entries == ["1.1.1.1: 2", "1.1.1.2: 5 def", "1.1.1.3: 5 x", "1.1.1.4: 7", "1.1.1.5: 2"]


def test_specials_hold_for_what_is_before_them_too(tmp_path: Path) -> None:
    content = "1.1.1.1 $1 $ $2\n$TTL 10\n#$1 One $\n$1 Two\n:$2 2\n;$TTL 1m\n$SOA x\n$NS y\n"
    found = read(tmp_path, "ip4set", content)
    assert found.entries == ["1.1.1.1: 2 One $ <what> 2"]
    assert [each.ttl for each in found.file.listings] == [60]
    assert found.said == []


@pytest.mark.parametrize(
    ("base", "value", "text"),
    [
        ("b $= $", "x $", "2 b x $ <what>"),
        ("b $=", "", "2 b <what>"),
        ("b $=", ":3:", "3 b <what>"),
        ("b $1", "x", "2 b v"),
        ("b", "=x $", "2 x <what>"),
    ],
)
def test_the_base_template(base: str, value: str, text: str, tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", f"1.1.1.1 {value}\n$= {base}\n$1 v\n")
    assert found.entries == [f"1.1.1.1: {text}"]


def test_maxrange4_holds_from_there_on(tmp_path: Path) -> None:
    found = read(
        tmp_path, "ip4set", "1.0.0.0/23\n$MAXRANGE4 /24\n$MAXRANGE4 1000\n2.0.0.0/23\n!3.0.0.0/23\n3.0.0.0/24\n"
    )
    assert found.entries == ["1.0.0.0/24: 2", "1.0.1.0/24: 2", "3.0.0.0/24: 2"]
    assert (found.excluded, len(found.said)) == ([], 2)


def test_an_expiry_holds_for_the_whole_dataset(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", "1.1.1.1\n$TIMESTAMP 2020:01:02:03:04:05 +1d\n$TIMESTAMP 0 20300101\n1.1.1.2\n")
    ends = {each.listing.expires for each in found.file.entries(found.file.listings[0])}
    assert ends == {datetime(2020, 1, 3, 3, 4, 5, tzinfo=UTC)}


def test_data_from_the_future_is_not_loaded(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", "1.1.1.1\n$TIMESTAMP 2999:01:01\n")
    assert found.verdict == "line 2: $TIMESTAMP is in the future"


def test_crlf_is_taken_with_one_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", b"\xef\xbb\xbf1.1.1.1\r\n1.1.1.2 :5:x\r\n1.1.1.3 x")
    assert found.entries == ["1.1.1.1: 2", "1.1.1.2: 5 x", "1.1.1.3: 2 x"]
    assert len(found.said) == 1


def test_bytes_that_are_not_printable_are_question_marks(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", "1.1.1.1 é\n1.1.1.2 a\tb\n")
    assert found.entries == ["1.1.1.1: 2 ??", "1.1.1.2: 2 a?b"]
    assert len(found.said) == 1


def test_a_long_text_is_cut_with_a_warning(tmp_path: Path) -> None:
    found = read(tmp_path, "ip4set", f"1.1.1.1 {'x' * 490}${'y' * 90}\n1.1.1.2 {'x' * 5000}\n")
    texts = [each.text for each in found.file.listings]
    assert [text and text.parts for text in texts] == [("x" * 490,), ("x" * 500,)]
    assert "some texts are too long" in "".join(found.said)


def test_host_bits_are_cleared_where_the_item_says_so(tmp_path: Path) -> None:
    assert read(tmp_path, "ip4trie", "1.2.3.4/24\n", host_bits="clear").entries == ["1.2.3.0/24: 2"]
    assert read(tmp_path, "ip6trie", "2001:db8::5/64\n", host_bits="clear").entries == ["2001:db8::/64: 2"]


COMBINED = """\
$TTL 1h
$1 base
$dataset ip4set:spam @ Sub # both
:5:$1
1.1.1.1
$DATASET dnset @
$1 own
b.com $1
$DATASET generic @
www A 5
$DATASET ip4trie sub
1.1.1.1 :6:$1
"""


@pytest.mark.parametrize(
    ("options", "entries"),
    [
        ({"dataset": 1}, ["1.1.1.1: 5 base"]),
        ({"dataset": 2}, ["b.com: 2 own"]),
        ({"subzone": "sub", "dataset": 1}, ["1.1.1.1: 5 base"]),
        ({"subzone": "sub", "dataset": 2}, ["1.1.1.1: 6 base"]),
    ],
)
def test_a_section_of_a_combined_file(options: dict[str, object], entries: list[str], tmp_path: Path) -> None:
    found = read(tmp_path, "combined", COMBINED, **options)
    assert (found.entries, found.verdict) == (entries, "")
    assert [each.ttl for each in found.file.listings] == [3600]


@pytest.mark.parametrize(
    ("content", "options", "verdict"),
    [
        (COMBINED, {}, "line 6: the subzone @ has several datasets: say which with dataset:"),
        (COMBINED, {"dataset": 3}, "line 9: a dataset of type generic cannot be served here"),
        (COMBINED, {"dataset": 4}, "the subzone @ has no dataset 4"),
        (COMBINED, {"subzone": "x"}, "no $DATASET is for the subzone x"),
        ("1.1.1.1\n$DATASET ip4set @\n", {}, "line 1: an entry before the first $DATASET"),
        ("$DATASET foo @\n", {}, "line 1: unknown type of dataset: foo"),
        ("$DATASET combined @\n", {}, "line 1: unknown type of dataset: combined"),
    ],
)
def test_combined_files_that_are_refused(
    content: str, options: dict[str, object], verdict: str, tmp_path: Path
) -> None:
    assert read(tmp_path, "combined", content, **options).verdict == verdict


def test_a_file_of_several_begins_without_a_section(tmp_path: Path) -> None:
    found = read(tmp_path, "combined", "$DATASET ip4set @\n1.1.1.1\n", "1.1.1.2\n")
    assert found.verdict == "line 1: an entry before the first $DATASET"


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("5S", 5), ("2m", 120), ("1h", 3600), ("1d", 86400), ("1W", 604800)]
)
def test_times(text: str, seconds: int) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020:01:02", datetime(2020, 1, 2, tzinfo=UTC)),
        ("20200102", datetime(2020, 1, 2, tzinfo=UTC)),
        ("2020-01-02-03", datetime(2020, 1, 2, 3, tzinfo=UTC)),
        ("2020:01:02:03:04:05", datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("-", None),
        ("0", None),
    ],
)
def test_stamps(text: str, expected: datetime | None) -> None:
    assert parse_stamp(text) == expected
