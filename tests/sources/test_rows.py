"""The csv format: how rows are cut, how columns are found, and what refuses a file."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dnsbl_server.sources.listreader import MAX_LINE
from dnsbl_server.sources.rows import check_csv, parse_character, parse_optional_character
from tests.sources.formats import Row, read

BY_NAME = {"net": ("ip",), "reason": ("why",)}
BY_NUMBER = {"net": ("1",), "reason": ("2",)}


@pytest.mark.parametrize("chunk", [1, 25, 1 << 20])
@pytest.mark.parametrize(
    ("data", "options", "rows"),
    [
        (b"ip,why\n192.0.2.1,x\n", {"columns": BY_NAME}, [Row("192.0.2.1", 2, "x")]),
        (b"\n# c\n WHY , IP \r\nx,192.0.2.1\r\n", {"columns": BY_NAME}, [Row("192.0.2.1", 4, "x")]),
        (b'"id","ip","why"\n"7","192.0.2.1","x, y"\n', {"columns": BY_NAME}, [Row("192.0.2.1", 2, "x, y")]),
        (b'# "ip", "why"\n"192.0.2.1", "x"\n', {"columns": BY_NAME}, [Row("192.0.2.1", 2, "x")]),
        (b"# ip,why\n# the end of the header\n192.0.2.1,x\n", {"columns": BY_NAME}, [Row("192.0.2.1", 3, "x")]),
        (b"#ip,why\n#why,ip\nx,192.0.2.1\n", {"columns": BY_NAME}, [Row("192.0.2.1", 3, "x")]),
        (b"192.0.2.1,x\n", {"columns": BY_NUMBER}, [Row("192.0.2.1", 1, "x")]),
        (b"a,b\n192.0.2.1,x\n", {"columns": BY_NUMBER, "header": True}, [Row("192.0.2.1", 2, "x")]),
        (b"a,why\n192.0.2.1,x\n", {"columns": {"net": ("1",), "reason": ("why",)}}, [Row("192.0.2.1", 2, "x")]),
        (b"192.0.2.1;x;y\n", {"columns": BY_NUMBER, "delimiter": ";"}, [Row("192.0.2.1", 1, "x")]),
        (b"192.0.2.1\tx y\n", {"columns": BY_NUMBER, "delimiter": "\t"}, [Row("192.0.2.1", 1, "x y")]),
        (b"192.0.2.1 'x y'\n", {"columns": BY_NUMBER, "delimiter": " ", "quote": "'"}, [Row("192.0.2.1", 1, "x y")]),
        (b'192.0.2.1,"x\n', {"columns": BY_NUMBER, "quote": ""}, [Row("192.0.2.1", 1, '"x')]),
        (b'192.0.2.1,"say ""x"""\n', {"columns": BY_NUMBER}, [Row("192.0.2.1", 1, 'say "x"')]),
        (b"// 192.0.2.9\n/192.0.2.8\n192.0.2.1,x", {"columns": BY_NUMBER, "comment": "/"}, [Row("192.0.2.1", 3, "x")]),
        (b"192.0.2.1,#x", {"columns": BY_NUMBER, "comment": ""}, [Row("192.0.2.1", 1, "#x")]),
        (b"\n \t\r\n192.0.2.1,\n# 192.0.2.2,x\n  # y", {"columns": BY_NUMBER}, [Row("192.0.2.1", 3)]),
        (b"192.0.2.0,192.0.2.255,24", {"columns": {"net": ("1", "2")}}, [Row("192.0.2.0/24", 1)]),
        (b"a.example,x\n", {"columns": {"domain": ("1",)}}, [Row("a.example", 1)]),
        (b"a.example\n", {"columns": {"net": ("1",), "domain": ("1",)}}, [Row("a.example", 1)]),
        (b"192.0.2.1\n", {"columns": {"net": ("1",), "domain": ("1",)}}, [Row("192.0.2.1", 1)]),
        (
            b"192.0.2.1,2026-11-20,1800000000,127.0.0.9\n",
            {"columns": {"net": ("1",), "listed": ("2",), "expires": ("3",), "code": ("4",)}},
            [
                Row(
                    *("192.0.2.1", 1, "of the list", datetime(2026, 11, 20, tzinfo=UTC)),
                    *(datetime(2027, 1, 15, 8, tzinfo=UTC), "127.0.0.9"),
                )
            ],
        ),
        (b"", {"columns": BY_NUMBER}, []),
        (b"ip,why\n", {"columns": BY_NAME}, []),
    ],
)  # fmt: skip
def test_what_rows_list(data: bytes, options: dict[str, Any], rows: list[Row], chunk: int) -> None:
    found = read("csv", data, chunk=chunk, **options)
    assert (found.rows, found.said) == (rows, [])
    assert found.verdict == ("" if rows else "it has no entries")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"x,y", "2: x: not an address, CIDR, range or domain name"),
        (b"a.example,y", "2: a.example: a domain name, in place of a net"),
        (b",y", "2: has no net"),
        (b"192.0.2.1", "2: 192.0.2.1: has 1 column, and 2 are needed"),
        (b'192.0.2.1,"open', "2: 192.0.2.1,\"open: not a row of fields: "),
        (b'192.0.2.1,"x"y', "2: 192.0.2.1,\"x\"y: not a row of fields: "),
        (b"192.0.2.1,\0", "2: 192.0.2.1,\\x00: not a row of fields: it has a control character"),
        (b"192.0.2.1," + b"x" * MAX_LINE, "2: longer than 4096 bytes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lines", [2, 50])
def test_a_bad_row_is_skipped_or_refuses_the_file(row: bytes, said: str, lines: int) -> None:
    good = b"192.0.2.1,x\n"
    found = read("csv", good + row + b"\n" + good * (lines - 1), columns=BY_NUMBER)
    assert len(found.rows) == lines
    place, message = said.split(": ", 1)
    said = f"{place}: warning: {message}"
    shown = found.said[0].replace("skipped: ", "")
    assert shown.startswith(said)
    assert found.verdict == ""
    assert read("csv", (row + b"\n") * 6 + good * 100, columns=BY_NUMBER).verdict == "6 of 106 lines cannot be read"


def test_a_header_that_has_not_the_columns_refuses_the_file() -> None:
    found = read("csv", b"# x\naddress,why\n192.0.2.1,x\n192.0.2.2,x\n", columns={"net": ("ip",), "listed": ("first",)})
    assert found.verdict == "line 2: no column ip or first in the header, which has address, why"
    assert found.rows == []
    found = read("csv", b"<!DOCTYPE html>\n<p>\n", columns=BY_NAME)
    assert found.verdict == "line 1: no column ip or why in the header, which has <!doctype html>"


def test_a_named_column_that_stands_too_far_right_refuses_the_file() -> None:
    data = b"192.0.2.1," + b"," * 61
    assert read("csv", b"ip" + b"," * 63 + b"why\n" + data + b",x\n", columns=BY_NAME).rows == [
        Row("192.0.2.1", 2, "x")
    ]
    found = read("csv", b"ip" + b"," * 64 + b" why\n" + data + b",,x\n", columns=BY_NAME)
    assert (found.rows, found.verdict) == ([], "needs column 65; the first 64 are looked at")


def test_what_is_said_of_a_row_is_a_printable_line() -> None:
    found = read("csv", b'"192.0.2.1"x\ty\n', columns={"net": ("1",)}, delimiter="\t")
    assert found.said[0].isprintable()
    found = read("csv", b"a\x07b,c\n192.0.2.1,x\n", columns={"net": ("ip",)})
    assert found.verdict == "line 1: no column ip in the header, which has a\\x07b, c"


def test_each_file_has_a_header_of_its_own() -> None:
    found = read("csv", b"ip,why\n192.0.2.1,x\n", b"why,ip\ny,192.0.2.2\n", columns=BY_NAME)
    assert found.rows == [Row("192.0.2.1", 2, "x"), Row("192.0.2.2", 2, "y")]
    assert read("csv", b"ip,why\n192.0.2.1,x\n", b"192.0.2.2,y\n", columns=BY_NAME).verdict.startswith(
        "line 1: no column"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "format: csv needs columns"),
        ({"columns": {"reason": ("1",)}}, "neither net nor domain"),
        ({"columns": {"net": ("0",)}}, "numbered from 1 to 64"),
        ({"columns": {"net": ("65",)}}, "numbered from 1 to 64"),
        ({"columns": {"net": ("1000000000",)}}, "numbered from 1 to 64"),
        ({"columns": {"net": ("\u0661",)}}, "numbered from 1 to 64"),
        ({"columns": {"net": ("ip",)}, "header": False}, "header: false"),
        ({"columns": {"net": ("1",)}, "delimiter": "#"}, "three characters"),
        ({"columns": {"net": ("1",)}, "delimiter": '"'}, "three characters"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_csv(options)


def test_characters_of_items() -> None:
    assert [parse_character(text) for text in ("tab", "space", "comma", "semicolon", "|", "\t")] == list("\t ,;|\t")
    assert parse_optional_character("none") == ""
    for text in ("", "ab", "\n", "\xfc", "\0", "none"):
        with pytest.raises(ValueError, match="one character"):
            parse_character(text)
