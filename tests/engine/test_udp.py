"""UDP: every kind of answer over real sockets, from the address that was asked, and none lost by a full socket."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.answers import CASES, HEADER, MALFORMED, QUESTION, Case, message, reverse
from tests.serving import NO_LIMITS, PATIENCE, ServerProcess, needs_ipv6, state_of

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=["127.0.0.1:0", pytest.param("[::1]:0", marks=needs_ipv6)])
def server(request: pytest.FixtureRequest, zones: Path) -> Iterator[ServerProcess]:
    with ServerProcess(str(zones), listen=(request.param,)) as process:
        yield process


def connect(host: str, port: int) -> socket.socket:
    """A client that takes answers from the asked address alone."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect((host, port))
    return sock


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_over_udp(server: ServerProcess, case: Case) -> None:
    case.check(dns.query.udp(case.query(), server.host, PATIENCE, server.port))


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed(server: ServerProcess, kind: str) -> None:
    packet, rcode = MALFORMED[kind]
    with closing(connect(server.host, server.port)) as client:
        client.send(packet)
        client.send(message(number=8))
        if rcode is not None:
            # What Python answers may be overtaken.
            reply, last = sorted(
                (dns.message.from_wire(client.recv(65535)) for _ in range(2)), key=lambda each: each.id
            )
            assert (reply.id, reply.rcode()) == (7, rcode)
            assert reply.flags & dns.flags.QR
            assert reply.opcode() == int.from_bytes(packet[2:4]) >> 11 & 15
        else:
            last = dns.message.from_wire(client.recv(65535))
        # Whatever it was, the next query is answered, and nothing else came.
        assert (last.id, last.rcode()) == (8, dns.rcode.NOERROR)


def test_question_comes_back_as_it_was_written(server: ServerProcess) -> None:
    question = QUESTION.replace(b"bl", b"bL").replace(b"test", b"TeSt")
    with closing(connect(server.host, server.port)) as client:
        client.send(message(question))
        reply = client.recv(65535)
    assert reply[HEADER.size :].startswith(question)
    assert HEADER.unpack_from(reply)[3] == 2


@pytest.mark.parametrize("flags", [0, dns.flags.RD, dns.flags.RD | dns.flags.AD | dns.flags.CD | dns.flags.RA])
def test_of_the_flags_of_a_query_rd_alone_is_copied(server: ServerProcess, flags: int) -> None:
    query = dns.message.make_query(reverse("192.0.2.7"), "A")
    query.flags = dns.flags.Flag(flags)
    reply = dns.query.udp(query, server.host, PATIENCE, server.port)
    expected = dns.flags.QR | dns.flags.AA | flags & dns.flags.RD
    # CD may be copied (RFC 4035 section 3.1.6) or not.
    assert reply.flags & ~dns.flags.CD == expected


def test_no_edns_without_edns(server: ServerProcess) -> None:
    assert server.ask(reverse("192.0.2.7")).edns == -1


@pytest.mark.parametrize("do", [False, True])
@pytest.mark.parametrize("address", ["192.0.2.7", "198.51.100.1"])
def test_opt_has_our_size_and_the_do_bit_of_the_query(server: ServerProcess, address: str, do: bool) -> None:
    reply = server.ask(reverse(address), use_edns=0, payload=4096, want_dnssec=do)
    assert (reply.edns, reply.payload, bool(reply.ednsflags & dns.flags.DO)) == (0, 1232, do)
    assert reply.options == ()


@pytest.mark.parametrize(
    ("address", "payload", "cut"),
    [
        ("192.0.2.2", None, True),
        ("192.0.2.2", 100, True),
        ("192.0.2.2", 900, True),
        ("192.0.2.2", 1232, False),
        ("192.0.2.2", 65535, False),
        ("192.0.2.1", None, True),
        ("192.0.2.1", 1232, True),
        ("192.0.2.1", 65535, True),
    ],
)
def test_too_long_is_truncated(server: ServerProcess, address: str, payload: int | None, cut: bool) -> None:
    options: dict[str, Any] = {} if payload is None else {"use_edns": 0, "payload": payload}
    reply = server.ask(reverse(address, "big.test"), "TXT", **options)
    assert bool(reply.flags & dns.flags.TC) == cut
    assert sum(map(len, reply.answer)) == (0 if cut else 2)
    assert len(reply.to_wire()) <= min(max(payload or 0, 512), 1232)


def test_many_at_once(server: ServerProcess) -> None:
    # More than the server takes in one go, fewer than a client's own buffer holds.
    numbers = range(1, 101)
    with closing(connect(server.host, server.port)) as client:
        for number in numbers:
            client.send(message(number=number))
        replies = [client.recv(65535) for _ in numbers]
    assert [HEADER.unpack_from(reply)[0] for reply in replies] == list(numbers)


@pytest.fixture(scope="module")
def wildcard(zones: Path) -> Iterator[dict[int, int]]:
    """The port of a server on every address, by the version of IP."""
    ipv6 = needs_ipv6.args[0]
    listen = ("0.0.0.0:0",) if ipv6 else ("0.0.0.0:0", "[::]:0")
    with ServerProcess(str(zones), listen=listen) as process:
        yield {6 if ":" in host else 4: port for host, port in process.endpoints}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "127.0.0.77", pytest.param("::1", marks=needs_ipv6)])
def test_wildcard_answers_from_the_asked_address(wildcard: dict[int, int], address: str) -> None:
    with closing(connect(address, wildcard[6 if ":" in address else 4])) as client:
        for number in (1, 2):
            client.send(message(number=number))
            assert HEADER.unpack_from(client.recv(65535))[0] == number


# What goes wrong in the system calls, and must cost no answer: see faults.c.
STUMBLES = {
    "full": "EAGAIN*30",
    "partly full": "3,EAGAIN,1,EAGAIN*5,2,1",
    "no memory": "ENOBUFS*3,1,ENOBUFS",
    "interrupted": "EINTR*9,1,EINTR",
    "one at a time": "1*100",
    "receiving": "recv:ENOMEM*3,recv:EINTR*3",
}


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes system calls fail, for LD_PRELOAD."""
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = Path(__file__).parent / "faults.c"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library, source], check=True)
    return library


def preload(faults: Path, plan: str) -> dict[str, str]:
    """The environment in which system calls fail; what is loaded first already, like a sanitizer, stays the first."""
    return {"LD_PRELOAD": " ".join(filter(None, (os.environ.get("LD_PRELOAD"), str(faults)))), "FAULTS": plan}


@pytest.mark.parametrize("stumble", STUMBLES)
def test_a_system_call_that_fails_for_a_while_loses_nothing(zones: Path, faults: Path, stumble: str) -> None:
    env = preload(faults, STUMBLES[stumble])
    with ServerProcess(str(zones), "--threads", "1", env=env) as server:
        with closing(connect(server.host, server.port)) as client:
            server.signal(signal.SIGSTOP)
            for number in range(100):
                client.send(message(number=number))
            server.signal(signal.SIGCONT)
            replies = [client.recv(65535) for _ in range(100)]
        assert sorted(HEADER.unpack_from(reply)[0] for reply in replies) == list(range(100))
        assert server.metric("dnsbl_queries_total", outcome="dropped") == 0


@pytest.mark.parametrize(("fault", "dropped"), [("EINVAL", 1), ("1,EPERM*3", 3), ("EAGAIN*102", 2)])
def test_an_answer_that_cannot_be_sent_is_counted(zones: Path, faults: Path, fault: str, dropped: int) -> None:
    env = preload(faults, fault)
    with ServerProcess(str(zones), "--threads", "1", env=env) as server:
        with closing(connect(server.host, server.port)) as client:
            server.signal(signal.SIGSTOP)
            for number in range(10):
                client.send(message(number=number))
            server.signal(signal.SIGCONT)
            replies = [client.recv(65535) for _ in range(10 - dropped)]
        assert len({HEADER.unpack_from(reply)[0] for reply in replies}) == 10 - dropped
        assert server.metric("dnsbl_queries_total", outcome="dropped", transport="udp") == dropped


def test_an_answer_too_long_for_its_way_is_truncated(zones: Path, faults: Path) -> None:
    env = preload(faults, "EMSGSIZE")
    name = reverse("192.0.2.2", "big.test")
    with ServerProcess(str(zones), "--threads", "1", env=env) as server:
        query = dns.message.make_query(name, "TXT", use_edns=0, payload=4096, want_dnssec=True)
        reply = dns.query.udp(query, server.host, PATIENCE, server.port)
        assert reply.flags & dns.flags.TC
        assert (reply.answer, reply.authority, reply.edns, reply.payload) == ([], [], 0, 1232)
        assert reply.ednsflags & dns.flags.DO
        whole = dns.query.udp(query, server.host, PATIENCE, server.port)
        assert not whole.flags & dns.flags.TC
        assert server.metric("dnsbl_queries_total", outcome="dropped") == 0


@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_what_has_arrived_is_answered_before_the_end(zones: Path, threads: str) -> None:
    with ServerProcess(str(zones), "--threads", threads) as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(server.host, server.port))) for _ in range(20)]
        server.signal(signal.SIGSTOP)
        slow = message(b"\2bl\4test\0\0\x06\0\x01", number=99)
        for client in clients:
            for number in range(50):
                client.send(message(number=number))
            client.send(slow)
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        for client in clients:
            numbers = sorted(HEADER.unpack_from(client.recv(65535))[0] for _ in range(51))
            assert numbers == [*range(50), 99]
        assert server.wait() == 0


def test_threads_share_the_clients(zones: Path) -> None:
    with ServerProcess(str(zones), "--threads", "3") as server, ExitStack() as stack:
        clients = [stack.enter_context(closing(connect(server.host, server.port))) for _ in range(60)]
        for client in clients:
            client.send(message())
            assert client.recv(65535)
        assert len(os.listdir(f"/proc/{server.pid}/task")) >= 4
        assert server.metric("dnsbl_queries_total", zone="bl.test", qtype="A", outcome="listed", transport="udp") == 60


def test_a_socket_that_takes_no_more_does_not_keep_the_server_from_its_end(zones: Path, faults: Path) -> None:
    env = preload(faults, "EAGAIN*1000000")
    with ServerProcess(str(zones), "--threads", "1", env=env) as server:
        with closing(connect(server.host, server.port)) as client:
            for number in range(500):
                client.send(message(number=number))
            server.wait_for_metric("dnsbl_queries_total", 500, outcome="dropped", transport="udp")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_what_finds_the_buffer_full_is_counted(zones: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(NO_LIMITS.read_text() + "receive_buffer: 8192\n")
    with ServerProcess(str(zones), "--threads", "1", "--config", str(settings)) as server:
        with closing(connect(server.host, server.port)) as client:
            server.signal(signal.SIGSTOP)
            for number in range(500):
                client.send(message(number=number))
            server.signal(signal.SIGCONT)
        answered = {"outcome": "listed", "transport": "udp"}
        end = time.monotonic() + PATIENCE
        while True:
            lost = server.metric("dnsbl_udp_receive_drops_total")
            if lost + server.metric("dnsbl_queries_total", **answered) == 500:
                break
            assert time.monotonic() < end
        assert lost > 0


def test_a_port_that_others_would_share_is_taken(zones: Path) -> None:
    """Whoever joins a group of sockets gets a part of their packets, from that moment on."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        second = ServerProcess(str(zones), "--threads", "2", listen=(f"127.0.0.1:{port}",))
        assert second.wait() == 2
        assert "another program has this port" in second.log[-1]
        second.__exit__(None, None, None)


def test_too_few_descriptors_are_an_error_that_says_so(zones: Path) -> None:
    serve = f"{sys.executable} -m dnsbl_server serve --metrics off --listen 127.0.0.1:0 --threads 256 {zones}"
    done = subprocess.run(["bash", "-c", f"ulimit -n 300; exec {serve}"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("dnsbl-server: ")
    assert "Traceback" not in done.stderr


def test_a_second_server_does_not_share_the_port(zones: Path) -> None:
    with ServerProcess(str(zones), "--threads", "2") as server:
        second = ServerProcess(str(zones), "--threads", "2", listen=(f"127.0.0.1:{server.port}",))
        assert second.wait() == 2
        assert "another program has this port" in second.log[-1]
        second.__exit__(None, None, None)


def test_idle_costs_nothing(zones: Path) -> None:
    with ServerProcess(str(zones), "--threads", "4") as server:
        assert server.ask(reverse("192.0.2.7")).answer
        tasks = [Path(f"/proc/{server.pid}/task/{task}") for task in os.listdir(f"/proc/{server.pid}/task")]
        # A thread that is idle sleeps in the kernel.
        end = time.monotonic() + PATIENCE
        while {state_of(task) for task in tasks} != {"S"}:
            assert time.monotonic() < end
