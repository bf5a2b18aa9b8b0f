"""The json format: where the objects are, what their fields mean, and what refuses a file."""

import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.problem import Problems
from dnsbl_server.sources import objects
from dnsbl_server.sources.listreader import Sink
from dnsbl_server.sources.objects import MAX_OBJECT, JsonReader, check_json, parse_path
from tests.sources.formats import LISTING, TEXT, Row, read

FIELDS = {"net": ("ip",), "reason": ("why",)}
CHUNKS = (1, 2, 7, 1 << 20)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize(
    ("data", "options", "rows"),
    [
        ('[{"ip": "192.0.2.1", "why": "x"}]', {}, [Row("192.0.2.1", 1, "x")]),
        (
            '\n[\n {"ip":"192.0.2.1"},{"ip":"192.0.2.2"}\n,\n\n{"ip":\n"192.0.2.3"}\n]\n',
            {},
            [Row("192.0.2.1", 3), Row("192.0.2.2", 3), Row("192.0.2.3", 6)],
        ),
        ('{"ip":"192.0.2.1"}\r\n\r\n {"ip":"2001:db8::1"} \n', {}, [Row("192.0.2.1", 1), Row("2001:db8::1", 3)]),
        ('{"ip":"192.0.2.1"}', {}, [Row("192.0.2.1", 1)]),
        ('\ufeff[{"ip":"192.0.2.1","why":"\u4e16"}]', {}, None),
        ('[{"ip":"192.0.2.1","why":null},{"ip":"192.0.2.2"}]', {}, [Row("192.0.2.1", 1), Row("192.0.2.2", 1)]),
        ('[{"ip":"192.0.2.1","why":443}]', {}, [Row("192.0.2.1", 1, "443")]),
        ('[{"ip":"192.0.2.1","why":" a\\nb "}]', {}, [Row("192.0.2.1", 1, "a b")]),
        ('[{"ip":"192.0.2.1","why":"]},[{\\""}]', {}, [Row("192.0.2.1", 1, ']},[{"')]),
        (
            '{"a": {"items": [1, {"x": "]"}]}, "b": 12.5, "data":\n'
            '{"n": null, "items": [\n{"ip":"192.0.2.1"}], "x": 1}, "y": [2]}\n',
            {"items": "data.items"},
            [Row("192.0.2.1", 3)],
        ),
        ('{"items":[{"ip":"192.0.2.1"}]}', {"items": "items"}, [Row("192.0.2.1", 1)]),
        (
            '[{"a":{"b":"192.0.2.0"},"last":"192.0.2.255","c":{"why":"x"}}]',
            {"fields": {"net": ("a.b", "last"), "reason": ("c.why",)}},
            [Row("192.0.2.0/24", 1, "x")],
        ),
        ('[{"host":"a.example"}]', {"fields": {"domain": ("host",)}}, [Row("a.example", 1)]),
        (
            '[{"i":"a.example"},\n{"i":"192.0.2.1"}]',
            {"fields": {"net": ("i",), "domain": ("i",)}},
            [Row("a.example", 1), Row("192.0.2.1", 2)],
        ),
        (
            '[{"ip":"192.0.2.1","t":1790000000,"e":"1d","c":"127.0.0.9"}]',
            {"fields": {"net": ("ip",), "listed": ("t",), "expires": ("e",), "code": ("c",)}},
            [
                Row(
                    *("192.0.2.1", 1, "of the list", datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)),
                    *(datetime(2026, 9, 22, 14, 13, 20, tzinfo=UTC), "127.0.0.9"),
                )
            ],
        ),
        ("[]", {}, []),
        (" [ \n] \n", {}, []),
    ],
)  # fmt: skip
def test_what_objects_list(data: str, options: dict[str, Any], rows: list[Row] | None, chunk: int) -> None:
    found = read("json", data.encode(), chunk=chunk, **{"fields": FIELDS, **options})
    if rows is None:
        rows, said = [Row("192.0.2.1", 1, "?")], 1
    else:
        said = 0
    assert (found.rows, len(found.said)) == (rows, said)
    assert found.verdict == ("" if rows else "it has no entries")


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize(
    ("data", "options", "verdict"),
    [
        ("", {}, "the file is empty"),
        (" \n\n", {}, "the file is empty"),
        ("<html>\n", {}, "no JSON: neither an array nor an object begins here"),
        ('[{"ip":"192.0.2.1"}', {}, "the file ends before its array does: it is cut"),
        ('[{"ip":"192.0.2.1"},', {}, "no JSON, or cut: it ends here"),
        ('[{"ip":"192.0.2.1"},{"ip', {}, "no JSON, or cut: "),
        ('[{"ip":"192.0.2.1"} {"ip":"192.0.2.2"}]', {}, "no JSON: a comma should stand here"),
        ('[{"ip":"192.0.2.1"}]]', {}, "something stands behind the array"),
        ('[{"ip":"192.0.2.1"}]\n[{"ip":"192.0.2.1"}]', {}, "something stands behind the array"),
        ("[{'ip':'192.0.2.1'}]", {}, "no JSON, or cut: "),
        ("[" * 100_000, {}, "no JSON: nested too deeply"),
        ('{"a":1}', {"items": "b"}, "no b here; items says that the array is in b"),
        ('{"b":{"a":1}}', {"items": "b.c"}, "no c here; items says that the array is in b.c"),
        ('{"b":{}}', {"items": "b"}, "b is no array"),
        ('{"b":7}', {"items": "b"}, "b is no array"),
        ('{"b":7}', {"items": "b.c"}, "no c here"),
        ('[{"b":7}]', {"items": "b"}, "no b here"),
        ('{"b" 7}', {"items": "b"}, "no JSON: a key and its value should stand here"),
        ('{[]:7}', {"items": "b"}, "no JSON: a key and its value should stand here"),
        ('{"a":1', {"items": "b"}, "the file ends before its array does: it is cut"),
        ('{"b":[{"ip":"192.0.2.1"}],"x":', {"items": "b"}, "the file ends before its object does: it is cut"),
        ('{"b":[{"ip":"192.0.2.1"}]', {"items": "b"}, "the file ends before its object does: it is cut"),
    ],
)  # fmt: skip
def test_what_refuses_a_file(data: str, options: dict[str, Any], verdict: str, chunk: int) -> None:
    if len(data) > 1000 and chunk < 100:
        chunk = 10_000
    found = read("json", data.encode(), chunk=chunk, fields=FIELDS, **options)
    assert verdict in found.verdict
    assert found.verdict.startswith(("line ", "the file is empty"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"ip":"x"}', "x: skipped: not an address"),
        ('{"ip":""}', "skipped: has no net"),
        ("{}", "skipped: has no net"),
        ('{"ip":["192.0.2.1"]}', "skipped: ip is not a single value"),
        ('{"ip":true}', "skipped: ip is not a single value"),
        ('{"ip":"192.0.2.1","why":{}}', "192.0.2.1: skipped: why is not a single value"),
        ('{"ip":"\\ud800"}', "\\ud800: skipped: not an address"),
        ("7", "7: skipped: not a JSON object"),
        ("null", "None: skipped: not a JSON object"),
    ],
)
def test_a_bad_object_is_skipped(value: str, said: str) -> None:
    good = '{"ip":"192.0.2.1"}'
    found = read("json", f"[{good},\n{value},\n{good}]".encode(), fields=FIELDS)
    assert [row.line for row in found.rows] == [1, 3]
    assert len(found.said) == 1
    assert found.said[0].startswith(f"2: warning: {said}")
    lines = read("json", f"{good}\n{value}\n{good}\n".encode(), fields=FIELDS)
    assert ([row.line for row in lines.rows], lines.said) == ([1, 3], found.said)


@pytest.mark.parametrize("value", ["{", '{"ip":"192.0.2.9"} x', "x", '{"ip":', "[" * 20_000, '{"ip":"192.0.2.1"}{}'])
def test_a_bad_line_is_skipped(value: str) -> None:
    good = '{"ip":"192.0.2.1"}\n'
    found = read("json", f"{good}{value}\n{good}".encode(), fields=FIELDS)
    assert [row.line for row in found.rows] == [1, 3]
    assert len(found.said) == 1
    assert "not a JSON object" in found.said[0]
    assert ("items" in found.said[0]) == (value == "{")


def test_several_files_are_each_a_whole_one() -> None:
    found = read("json", b'[{"ip":"192.0.2.1"}]', b'\n[{"ip":"192.0.2.2"}]\n', b'{"ip":"192.0.2.3"}', fields=FIELDS)
    assert [(row.what, row.line) for row in found.rows] == [("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 1)]
    assert "cut" in read("json", b'[{"ip":"192.0.2.1"}', b',{"ip":"192.0.2.2"}]', fields=FIELDS).verdict


def test_an_object_or_a_line_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_OBJECT", 1000)
    long = '{"ip":"192.0.2.1","x":"' + "y" * 5_000 + '"}'
    assert "of more than 1,000 characters" in read("json", f"[{long}]".encode(), chunk=500, fields=FIELDS).verdict
    assert (
        "of more than 1,000 characters"
        in read("json", f'{{"a":{long}'.encode(), chunk=500, fields=FIELDS, items="b").verdict
    )
    assert "a line of more than 1,000 characters" in read("json", long.encode(), chunk=500, fields=FIELDS).verdict


def test_the_objects_of_one_long_line_are_not_kept() -> None:
    count = 20_000
    data = b"[" + b",".join(b'{"ip":"192.0.2.1","x":"%s"}' % (b"y" * 400) for _ in range(count)) + b"]"
    assert len(data) > 8 * MAX_OBJECT
    sink = Sink(["list"], LISTING, Problems(), lambda *_: True, TEXT)
    reader = JsonReader(sink, {"fields": FIELDS})
    tracemalloc.start()
    for at in range(0, len(data), 1 << 18):
        reader.read(data[at : at + (1 << 18)], 1)
    reader.finish()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sink.v4) == count
    assert most < 4 << 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "format: json needs fields"),
        ({"fields": {"reason": ("a",)}}, "fields names neither net nor domain"),
        ({"fields": {"net": ("a..b",)}}, "keys with dots between them"),
        ({"fields": {"net": (".",)}}, "keys with dots between them"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_json(options)
    with pytest.raises(ValueError, match="keys with dots"):
        parse_path("a.")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("192.0.2.1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("ip", "why", "x")), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=5), st.sampled_from(CHUNKS), st.sampled_from((None, 1)))
def test_any_array_is_read_alike_in_pieces_of_any_size(values: list[Any], chunk: int, indent: int | None) -> None:
    data = json.dumps(values, indent=indent).encode()
    found = read("json", data, chunk=chunk, fields=FIELDS)
    good = [each for each in values if isinstance(each, dict) and each.get("ip") == "192.0.2.1"]
    good = [each for each in good if not isinstance(each.get("why"), (list, dict, bool))]
    assert len(found.rows) == len(good)
    assert found.reading.skipped == len(values) - len(good)
    assert found == read("json", data, fields=FIELDS)._replace(reading=found.reading)


@given(st.lists(VALUES, max_size=3), st.data(), st.sampled_from((1, 5, 1 << 20)))
def test_damaged_arrays_are_read_alike_in_pieces_of_any_size(
    values: list[Any], data: st.DataObject, chunk: int
) -> None:
    text = bytearray(json.dumps(values).encode())
    at = data.draw(st.integers(0, len(text)))
    text[at : at + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from((b"", b'"', b"[", b"]", b"{", b"}", b",", b"\xff"))
    )
    found = read("json", bytes(text), chunk=chunk, fields=FIELDS)
    assert found.rows == read("json", bytes(text), fields=FIELDS).rows
    assert bool(found.verdict) == bool(read("json", bytes(text), fields=FIELDS).verdict)
