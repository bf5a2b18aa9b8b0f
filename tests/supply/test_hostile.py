"""Hostile input to a load: whatever the files are, each becomes a zone or at least one error, and nothing raises."""

import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dnsbl_server.supply.load import LoadResult, load_zones
from tests.conftest import NOW

CASES = Path(__file__).parents[1] / "sources" / "cases"
FULL = (CASES / "valid" / "full.yaml").read_bytes().replace(b"feeds/dynamic.txt", b"feed.txt")
HEAD = "zone: bl.example.org\n"


def _load(path: Path) -> LoadResult:
    """Load one file, and hold the result to what always is true of it."""
    result = load_zones([str(path)], NOW, lambda path, count: None)
    assert bool(result.zones) != bool(result.problems.errors)
    for problem in result.problems:
        assert problem.message
        assert str(problem).isprintable()
    return result


def _errors(path: Path) -> list[str]:
    return [str(problem).replace(f"{path.parent}/", "") for problem in _load(path).problems.errors]


def _billion_laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 1000,
        b"\xff\xfez\0o\0n\0e\0",
        bytes(range(256)) * 100,
        b"- 192.0.2.1\n",
        b"\x1b]0;owned\x07\n",
        (HEAD + "entries: [192.0.2.1]\n\x85\u2028\x00").encode(),
        _billion_laughs().encode(),
        b"[" * 100_000,
        b"{" * 100_000,
        b"{a: " * 100_000,
        b"- " * 100_000,
        b"? " * 100_000,
        b"&a " * 100_000,
        b"zone: " + b"a" * 1_000_000,
        b"zone: " + b"a." * 100_000,
        b"a: 1\n" * 20_000,
        b"".join(b"k%d: 1\n" % number for number in range(20_000)),
        HEAD.encode() + b"entries:\n" + b"  - x\n" * 20_000,
        HEAD.encode() + b'description: "' + b"\\x1b[2J" * 1000 + b'"\nentries: [x]\n',
        HEAD.encode() + b"txt: " + b"{" * 100_000 + b"\nentries: [192.0.2.1]\n",
        HEAD.encode() + b'txt: "{' + b"a" * 100_000 + b'}"\nentries: [192.0.2.1]\n',
        HEAD.encode() + b'txt: "' + b"{ip}" * 10_000 + b'"\nentries: []\n',
        HEAD.encode() + b"txt: " + b"x" * 70_000 + b"\nentries: []\n",
        HEAD.encode() + b"ttl: " + b"9" * 100_000 + b"\nentries: []\n",
        HEAD.encode() + b"ttl: " + b"1h" * 100_000 + b"\nentries: []\n",
        HEAD.encode() + b"entries: [192.0.2.0/" + b"9" * 100_000 + b"]\n",
        HEAD.encode() + b"entries: ['" + b":" * 100_000 + b"']\n",
        b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
        gzip.compress(FULL),
        HEAD.encode()
        + b"code: ["
        + b",".join(b"127.1.%d.%d" % (n >> 8, n & 255) for n in range(5_000))
        + b"]\nfiles: []\n",
        HEAD.encode() + b"lists:\n" + b"".join(b"  - {name: l%d, entries: x}\n" % number for number in range(2_000)),
        HEAD.encode() + b'files: ["\\0", "/dev/zero", ".", "", /proc/self/mem, "' + b"x" * 300 + b'"]\n',
    ],
    ids=range(33),
)
def test_no_bytes_are_too_odd(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "z.yaml"
    path.write_bytes(data)
    _load(path)


@pytest.mark.parametrize(
    "text",
    [
        "ttl: 2w\nentries: [{net: 192.0.2.1, reason: spam}]\n",
        "txt: " + "x" * 70_000 + "\nentries: []\n",
        "code: [" + ", ".join(f"127.1.{n >> 8}.{n & 255}" for n in range(65_536)) + "]\nentries: [192.0.2.1]\n",
    ],
    ids=["long-ttl", "long-text", "many-codes"],
)
def test_no_python_error_is_shown_to_an_operator(text: str, tmp_path: Path) -> None:
    path = tmp_path / "z.yaml"
    path.write_text(HEAD + text)
    assert [line for line in _errors(path) if re.search(r"\b[a-z]*(Error|error): ", line)] == []


def test_crlf_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    text = (CASES / "valid" / "smallest.yaml").read_bytes()
    meant = []
    for data in (text, text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text):
        path = tmp_path / "z.yaml"
        path.write_bytes(data)
        meant.append(_load(path).zones[str(path)].zone)
    assert meant[0] == meant[1] == meant[2]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    os.mkfifo(path)
    assert _errors(path) == ["x.yaml: is not a regular file"]


def test_a_directory_is_no_zone_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.mkdir()
    assert _errors(path) == ["x.yaml: is a directory"]


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    assert _errors(path) == ["x.yaml: no such file or directory"]
    path.symlink_to("gone.yaml")
    assert _errors(path) == ["x.yaml: no such file or directory"]


def test_a_loop_of_links_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.symlink_to("y.yaml")
    (tmp_path / "y.yaml").symlink_to("x.yaml")
    assert _errors(path) == ["x.yaml: too many levels of symbolic links"]


def test_a_name_that_no_file_can_have_is_a_problem() -> None:
    result = load_zones(["a\0b.yaml"], NOW, lambda path, count: None)
    assert result.zones == {}
    assert len(result.problems.errors) == 1


@pytest.mark.parametrize("name", ["x.yaml", "feed.txt"])
def test_a_file_that_may_not_be_read_is_a_problem(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not by chmod: root reads everything.
    path = tmp_path / "x.yaml"
    path.write_text(HEAD + "files: [feed.txt]\n")
    (tmp_path / "feed.txt").write_text("192.0.2.1\n")
    assert _errors(path) == []
    really = os.open

    def refuse(file: str, flags: int, mode: int = 0o777) -> int:
        if file == str(tmp_path / name):
            raise PermissionError(13, "Permission denied", file)
        return really(file, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    (error,) = _errors(path)
    assert error.endswith("permission denied")
    assert name in error


def test_a_list_file_may_vanish_while_it_is_looked_for(tmp_path: Path) -> None:
    path, feed = tmp_path / "x.yaml", tmp_path / "feed.txt"
    path.write_text(HEAD + "files: [feed.txt]\n")
    feed.write_text("192.0.2.1\n")
    result = load_zones([str(path)], NOW, lambda file, count: feed.unlink(missing_ok=True))
    assert result.zones == {}
    (error,) = result.problems.errors
    assert error.message == "no such file or directory"


PLAIN = FULL.decode()
PIECES = ["\n", " ", "  - ", ":", "{", "}", "[", "]", "'", '"', "&a ", "*a", "<<: ", "!!int ", "\t", "\0", "é", "#"]
PIECES += ["0.0.0.0/0", "127.0.0.1", "::ffff:127.0.0.2", "9999999999w", "{ip}", "zone: ", "---\n", "-", "1", "2w"]


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """The full example with a few of its parts cut out, moved or replaced."""
    text = PLAIN
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(text)))
        last = min(len(text), first + draw(st.integers(0, 30)))
        piece = draw(st.sampled_from(PIECES) | st.text(max_size=4))
        at = draw(st.integers(0, len(PLAIN)))
        moved = PLAIN[at : at + draw(st.integers(0, 30))]
        text = text[:first] + draw(st.sampled_from([piece, moved, ""])) + text[last:]
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz")
    (path / "feed.txt").write_text("198.51.100.128/25\n")
    return path


@given(data=_mutated())
@example(data=FULL)
@example(data=FULL.replace(b"ttl: 5m", b"ttl: 2w").replace(b"        ttl: 1h\n", b""))
def test_a_mutated_zone_file_is_a_zone_or_an_error(data: bytes, folder: Path) -> None:
    path = folder / "z.yaml"
    path.write_bytes(data)
    _load(path)


@given(data=st.binary(max_size=300))
def test_random_bytes_are_a_zone_or_an_error(data: bytes, folder: Path) -> None:
    path = folder / "z.yaml"
    path.write_bytes(data)
    _load(path)


@given(data=st.binary(max_size=300) | st.binary(max_size=100).map(gzip.compress))
@example(data=b"\x1f\x8b\x08")
def test_a_random_list_file_is_a_list_or_an_error(data: bytes, folder: Path) -> None:
    path, feed = folder / "lists.yaml", folder / "random.txt"
    path.write_text(HEAD + "files: [random.txt]\n")
    feed.write_bytes(data)
    _load(path)


KEYS: list[Callable[[str], str]] = [
    lambda text: f"zone: {text}\nentries: []\n",
    lambda text: HEAD + f"txt: {text}\nentries: [192.0.2.1]\n",
    lambda text: HEAD + f"ttl: {text}\nentries: [{{net: 192.0.2.1, reason: x}}]\n",
    lambda text: HEAD + f"ns: {text}\nsoa: {text}\napex: {text}\nentries: {text}\n",
    lambda text: HEAD + f"lists: {text}\n",
    lambda text: HEAD + f"apex: {{a: {text}, aaaa: {text}, mx: {text}, txt: {text}}}\nentries: []\n",
    lambda text: HEAD + f"entries: [{{net: 192.0.2.1, listed: {text}, expires: {text}, code: {text}}}]\n",
]


@given(
    key=st.sampled_from(KEYS),
    text=st.text("0123456789abcdefz.:/-+TZ {}[],'", max_size=25),
)
def test_any_value_of_any_key_is_taken_or_refused(key: Callable[[str], str], text: str, folder: Path) -> None:
    path = folder / "key.yaml"
    path.write_text(key(text))
    _load(path)
