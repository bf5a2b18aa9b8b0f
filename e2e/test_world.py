"""The world of the tests is as it should be: closed, with its addresses, and our server on port 53."""

import socket

import dns.message
import dns.query
import pytest

from e2e.conftest import LISTED, LISTED6, OURS, OURS6, ZONE
from tests.serving import ServerProcess


def test_there_is_no_way_out() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="unreachable"):
        sock.connect(("192.0.2.1", 53))


@pytest.mark.parametrize(("where", "source"), [(OURS, LISTED), (OURS6, LISTED6)])
def test_our_server_is_there(server: ServerProcess, where: str, source: str) -> None:
    query = dns.message.make_query(f"7.2.0.192.{ZONE}", "A")
    assert dns.query.udp(query, where, 5, source=source).answer
    assert dns.query.tcp(query, where, 5, source=source).answer
