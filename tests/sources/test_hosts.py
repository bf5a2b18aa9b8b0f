"""The hosts format: names that an address blocks, and the usual entries that are passed over."""

import pytest

from dnsbl_server.sources.listreader import MAX_LINE
from tests.sources.formats import Row, read


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "127.0.1.1", "::", "::1"])
def test_names_are_listed(address: str, chunk: int) -> None:
    data = f"# c\n\n{address} a.example\n{address}\tb.example  C.example. # d.example\r\n {address} e.example"
    found = read("hosts", data.encode(), chunk=chunk)
    rows = [Row("a.example", 3), Row("b.example", 4), Row("c.example", 4), Row("e.example", 5)]
    assert (found.rows, found.said, found.verdict) == (rows, [], "")


USUAL = """127.0.0.1 localhost
127.0.0.1 localhost.localdomain
127.0.0.1 local
255.255.255.255 broadcasthost
::1 localhost ip6-localhost ip6-loopback
fe80::1%lo0 localhost
ff00::0 ip6-localnet
ff02::1 ip6-allnodes
0.0.0.0 0.0.0.0
"""


def test_the_usual_entries_are_passed_over() -> None:
    found = read("hosts", (USUAL + "0.0.0.0 a.example localhost\n").encode())
    assert (found.rows, found.said, found.verdict) == ([Row("a.example", 10)], [], "")
    assert read("hosts", USUAL.encode()).verdict == "it has no entries"


def test_a_name_with_an_address_of_its_own_is_left_out() -> None:
    found = read("hosts", b"192.0.2.1 a.example\n0.0.0.0 b.example\n2001:db8::1 c.example\n")
    assert found.rows == [Row("b.example", 2)]
    assert found.said == [
        f"{line}: gives the name an address, and does not block it"
        for line in ("1: warning: 192.0.2.1 a.example", "3: warning: 2001:db8::1 c.example")
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"a.example", "2:1: warning: a.example: skipped: not an address; a line is like 0.0.0.0 name.example"),
        (b"0.0.0.0", "2:1: warning: 0.0.0.0: skipped: no name behind the address"),
        (b"0.0.0.0 word", "2:9: warning: word: skipped: neither an address nor a domain name"),
        (b"0.0.0.0 192.0.2.1", "2:9: warning: 192.0.2.1: skipped: not a domain name"),
        (b"<html> <b>", "2:1: warning: <html>: skipped: not an address"),
        (b"0.0.0.0 " + b"x" * MAX_LINE, "2: warning: skipped: longer than 4096 bytes"),
    ],
)
def test_a_bad_line_is_skipped(line: bytes, said: str) -> None:
    found = read("hosts", b"0.0.0.0 a.example\n" + line + b"\n")
    assert found.rows == [Row("a.example", 1)]
    assert len(found.said) == 1
    assert found.said[0].startswith(said)
