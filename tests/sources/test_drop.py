"""The drop format: nets with their SBL numbers, and the count in the metadata."""

import pytest

from dnsbl_server.sources.listreader import MAX_LINE
from tests.sources.formats import Row, read

ONE = b'{"cidr":"192.0.2.0/24","sblid":"SBL1","rir":"ripencc"}\n'
TWO = b'{"cidr":"2001:db8::/32","sblid":"SBL2","rir":"apnic"}\n'
END = b'{"type":"metadata","timestamp":1790000000,"size":300,"records":%d,"copyright":"(c)","terms":"https://x"}\n'


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (ONE + TWO + END % 2, [Row("192.0.2.0/24", 1, "SBL1"), Row("2001:db8::/32", 2, "SBL2")]),
        (ONE + b"\n" + END.rstrip() % 1, [Row("192.0.2.0/24", 1, "SBL1")]),
        ((ONE + END % 1).replace(b"\n", b"\r\n"), [Row("192.0.2.0/24", 1, "SBL1")]),
        (b'{"cidr":"192.0.2.0/24"}\n' + END % 1, [Row("192.0.2.0/24", 1)]),
        (b'{"cidr":"192.0.2.0/24","sblid":"a\\nb"}\n' + END % 1, [Row("192.0.2.0/24", 1, "a b")]),
    ],
)
def test_what_drop_lists(data: bytes, rows: list[Row], chunk: int) -> None:
    found = read("drop", data, chunk=chunk)
    assert (found.rows, found.said, found.verdict) == (rows, [], "")


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (b"", "the metadata in the last line is missing: the file is cut, or is not DROP"),
        (ONE, "line 1: the metadata in the last line is missing"),
        (ONE + ONE[:20], "line 2: the metadata in the last line is missing"),
        (ONE + END % 2, "line 2: the metadata counts '2' records, and there are 1: the file is cut"),
        (ONE + TWO + END % 1, "line 3: the metadata counts '1' records, and there are 2"),
        (ONE + b'{"type":"metadata"}', "line 2: the metadata counts 'None' records, and there are 1"),
        (ONE + END % 1 + TWO, "line 3: stands behind the metadata"),
        (ONE + b"x\n" + END % 2, "line 3: the metadata counts '2' records, and there are 1"),
    ],
)
def test_a_file_with_a_wrong_count_is_refused(data: bytes, verdict: str) -> None:
    assert read("drop", data).verdict.startswith(verdict)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"cidr":"192.0.2.1/24"}', "2: 192.0.2.1/24: host bits are set"),
        (b'{"cidr":"a.example"}', "2: {\"cidr\":\"a.example\"}: a domain name, in place of a net"),
        (b'{"cidr":null}', "2: {\"cidr\":null}: no cidr; a line is like"),
        (b"{}", "2: {}: no cidr; a line is like"),
    ],
)  # fmt: skip
def test_a_bad_net_is_skipped(line: bytes, said: str) -> None:
    found = read("drop", ONE + line + b"\n" + END % 2)
    assert [row.line for row in found.rows] == [1]
    assert found.verdict == ""
    assert len(found.said) == 1
    place, _, message = said.rpartition(": ")
    assert found.said[0].startswith(place.split(": ")[0])
    assert f"skipped: {message}" in found.said[0]


@pytest.mark.parametrize("line", [b"<html>", b"[]", b"7", b"[" * 4000, b"x" * (MAX_LINE + 1), b"\xff"])
def test_what_is_no_object_is_a_bad_line(line: bytes) -> None:
    found = read("drop", ONE + line + b"\n" + END % 1)
    assert ([row.line for row in found.rows], found.reading.skipped, found.verdict) == ([1], 1, "")


def test_each_file_has_metadata() -> None:
    found = read("drop", ONE + END % 1, TWO + END % 1)
    assert [(row.what, row.line) for row in found.rows] == [("192.0.2.0/24", 1), ("2001:db8::/32", 1)]
    assert found.verdict == ""
    assert "is missing" in read("drop", ONE, TWO + END % 2).verdict
