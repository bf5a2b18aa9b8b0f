"""YAML as nodes that know their places, and what is said of YAML that we do not take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl_server.model.problem import Problems
from dnsbl_server.sources.document import MAX_DEPTH, Mapping, Node, Scalar, Sequence, read_document


def _read(data: bytes) -> tuple[Node | None, list[str]]:
    problems = Problems()
    node = read_document(data, "f.yaml", problems)
    return node, [str(problem) for problem in problems]


def test_nodes_know_where_they_start() -> None:
    node, problems = _read(b'# a comment\nzone: bl.example\nentries:\n  - 1:20\n  - "0x10"\nns: {a: [b]}\n')
    assert problems == []
    assert isinstance(node, Mapping)
    assert (node.line, node.column) == (2, 1)
    assert list(node.fields) == ["zone", "entries", "ns"]
    assert node.fields["zone"] == (Scalar("zone", 2, 1, True), Scalar("bl.example", 2, 7, True))
    key, entries = node.fields["entries"]
    assert (key.line, key.column) == (3, 1)
    assert entries == Sequence([Scalar("1:20", 4, 5, True), Scalar("0x10", 5, 5, False)], 4, 3)
    servers = node.fields["ns"][1]
    assert isinstance(servers, Mapping)
    assert servers.fields["a"] == (Scalar("a", 6, 6, True), Sequence([Scalar("b", 6, 10, True)], 6, 9))


@pytest.mark.parametrize(
    "text",
    ["1:20", "010", "0x1F", "1e3", "1_000", "yes", "off", "null", "~", "2026-11-20", ".inf", "192.0.2.1", "::1", "NaN"],
)
def test_no_yaml_type_is_guessed(text: str) -> None:
    node, problems = _read(f"value: {text}\n".encode())
    assert problems == []
    assert isinstance(node, Mapping)
    assert node.fields["value"][1] == Scalar(text, 1, 8, True)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"'it''s'", "it's"),
        (b'"a\\tb"', "a\tb"),
        (b"|\n two\n lines\n", "two\nlines\n"),
        (b">-\n two\n lines\n", "two lines"),
        ("é漢😀".encode(), "é漢😀"),
        (b"''", ""),
    ],
)
def test_every_style_of_a_scalar(data: bytes, text: str) -> None:
    node, problems = _read(data)
    assert problems == []
    assert isinstance(node, Scalar)
    assert node.text == text


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf", b"# c\r\n", b"%YAML 1.1\n---\n"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_line_ends_and_a_byte_order_mark_mean_nothing(prefix: bytes, newline: bytes) -> None:
    node, problems = _read(prefix + newline.join([b"zone: a", b"ttl: 5m", b""]))
    assert problems == []
    assert isinstance(node, Mapping)
    texts = [value.text for _, value in node.fields.values() if isinstance(value, Scalar)]
    assert texts == ["a", "5m"]
    assert node.fields["ttl"][0].line == 2 + prefix.count(b"\n")


DEEP = f"nested deeper than {MAX_DEPTH} levels"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "1:1: the file is empty"),
        (b" \n\n", "1:1: the file is empty"),
        (b"# nothing\n", "1:1: the file is empty"),
        (b"---\n...\n", "1:1: the file is empty"),
        (b"\xef\xbb\xbf", "1:1: the file is empty"),
        (b"zone: a\nx: \xff\n", "2:4: byte 0xff: a zone file is UTF-8 text"),
        (b"zone: a\n\xc3\xa9\xc3\xa9: \x80\n", "2:5: byte 0x80: a zone file is UTF-8 text"),
        (b"\xef\xbb\xbfzone: a\nx: \xff\n", "2:4: byte 0xff: a zone file is UTF-8 text"),
        (b"\xef\xbb\xbfx: \xff\n", "1:4: byte 0xff: a zone file is UTF-8 text"),
        (b"\xff\xfez\0o\0", "1:1: byte 0xff: a zone file is UTF-8 text"),
        (b"\xed\xa0\x80", "1:1: byte 0xed: a zone file is UTF-8 text"),
        (b"zone: a\nttl: \x00\n", "2:6: U+0000: character not allowed"),
        (b"\nttl: \x01\n", "2:6: U+0001: character not allowed"),
        (b"zone: \x1b[31m\n", "1:7: U+001B: character not allowed"),
        ("zone: é\nttl: 漢\x01\n".encode(), "2:7: U+0001: character not allowed"),
        ("# ééé\nttl: \x7f\n".encode(), "2:6: U+007F: character not allowed"),
        (b"a: &x 1\n", "1:4: &x: anchors are not supported; write the value out"),
        (b"a: &x {b: 1}\n", "1:4: &x: anchors are not supported; write the value out"),
        (b"a: *x\n", "1:4: *x: aliases are not supported; write the value out"),
        (b"*x : a\n", "1:1: *x: aliases are not supported; write the value out"),
        (b"a: !!int 1\n", "1:4: tag:yaml.org,2002:int: tags are not supported"),
        (b"a: !!python/name:os [id]\n", "1:4: tag:yaml.org,2002:python/name:os: tags are not supported"),
        (b"a: !x 1\n", "1:4: !x: tags are not supported"),
        (b"a: ! 1\n", "1:4: !: tags are not supported"),
        (b"<<: {b: 1}\n", "1:1: <<: merge keys are not supported; write the values out"),
        (b"a: 1\n---\nb: 2\n", "2:1: ---: a file holds one document"),
        (b"a: 1\n...\n---\n", "3:1: ---: a file holds one document"),
        (b"a: 1\nb: 2\na: 3\n", "3:1: a: duplicate key, first at f.yaml:1:1"),
        (b"a: 1\n'a': {b: 2}\n", "2:1: a: duplicate key, first at f.yaml:1:1"),
        (b"[a]: 1\n", "1:1: a key is a word, not a list or a mapping"),
        (b"? {a: 1}\n: 1\n", "1:3: a key is a word, not a list or a mapping"),
        (b"[" * 100, f"1:{MAX_DEPTH + 1}: {DEEP}"),
        (b"- " * 100, f"1:{2 * MAX_DEPTH + 1}: {DEEP}"),
        (b"{a: " * 100, f"1:{4 * MAX_DEPTH + 1}: {DEEP}"),
        (b"[" * 100 + b"]" * 100, f"1:{MAX_DEPTH + 1}: {DEEP}"),
    ],
)
def test_what_is_refused(data: bytes, problem: str) -> None:
    _, problems = _read(data)
    assert problems == [f"f.yaml:{problem}"]


@pytest.mark.parametrize("data", [b"[" * 100_000, b"- " * 100_000, b"{a: " * 100_000, b"[" * 50_000 + b"]" * 50_000])
def test_what_is_nested_too_deep_is_given_up_early(data: bytes) -> None:
    _, (problem,) = _read(data)
    # Where that is noticed, the version of libyaml decides.
    place, _, message = problem.partition(": ")
    assert message == DEEP
    assert int(place.rpartition(":")[2]) < 10_000


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"a: 'open\n", "2:1"),
        (b"a: [1\n", "2:1"),
        (b"a:\n\t- 1\n", "2:1"),
        (b"a: b: c\n", "1:5"),
        (b"%YAML 9.9\n---\na: 1\n", "1:1"),
        (b'a: "\\ud800"\n', "1:7"),
        (b"a: @x\n", "1:4"),
    ],
)
def test_broken_syntax_is_one_problem_with_its_place(data: bytes, place: str) -> None:
    node, problems = _read(data)
    assert node is None
    assert len(problems) == 1
    assert problems[0].startswith(f"f.yaml:{place}: not valid YAML: ")
    assert "\n" not in problems[0]


def test_the_deepest_nesting_that_is_taken() -> None:
    _, problems = _read(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert problems == []


def test_a_billion_laughs_are_not_told() -> None:
    lines = [b"a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10)]
    node, problems = _read(b"\n".join(lines))
    assert node is None
    assert problems == ["f.yaml:1:5: &a0: anchors are not supported; write the value out"]


def test_all_duplicate_keys_are_named() -> None:
    node, problems = _read(b"a: 1\na: 2\na: 3\nb: {c: 1, c: 2}\n")
    assert problems == [
        "f.yaml:2:1: a: duplicate key, first at f.yaml:1:1",
        "f.yaml:3:1: a: duplicate key, first at f.yaml:1:1",
        "f.yaml:4:11: c: duplicate key, first at f.yaml:4:5",
    ]
    assert isinstance(node, Mapping)
    assert list(node.fields) == ["a", "b"]


@given(st.binary(max_size=200) | st.text(":-[]{}&*!|>'\"%@#,? \n\tab<\0\ufeff", max_size=60).map(str.encode))
def test_any_bytes_are_a_node_or_a_problem(data: bytes) -> None:
    node, problems = _read(data)
    assert node is not None or problems
    assert all("\n" not in problem for problem in problems)
