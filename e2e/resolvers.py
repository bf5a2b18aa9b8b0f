"""Unbound and BIND as mail servers have them, the signed DNS above the zone, and what goes over the wire.

The files for the operator, contrib/unbound.conf and contrib/named.conf, are included as they are; only the address of
the server in them is replaced.
"""

import itertools
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype

from e2e.conftest import MAIL, MAIL6, ZONE
from e2e.daemons import Daemon, accepts

CONTRIB = Path(__file__).parents[1] / "contrib"
RESOLVER = "127.0.0.1"
# The name server of the root, of org. and of example.org: no mail server runs in these tests.
ABOVE, ABOVE6 = MAIL, MAIL6
PATIENCE = 30.0
PLACEHOLDER = "192.0.2.53"

KINDS = ("unbound", "named")
ROUTES = ("stub", "delegation")
# Unbound's own 127.0.0.0/8 filter is on in these tests: also with a delegation it must know that we may answer that.
DELEGATED = {"unbound": f'server:\n    private-domain: "{ZONE}"\n', "named": ""}


def snippet(name: str, server: str) -> str:
    """A file of contrib/ for a server."""
    text = (CONTRIB / name).read_text()
    assert PLACEHOLDER in text
    return text.replace(PLACEHOLDER, server)


def without(text: str, word: str) -> str:
    """A configuration without the one line that starts with a word."""
    rest, count = re.subn(rf"(?m)^ *{re.escape(word)}\b.*\n", "", text)
    assert count == 1, f"{count} lines with {word}"
    return rest


def ask(name: str, qtype: str = "A", where: str = RESOLVER) -> dns.message.Message:
    """What a resolver, or a server, says; a client that has waited in vain asks again, as they do."""
    query = dns.message.make_query(name, qtype, use_edns=0, payload=1232)
    query.flags |= dns.flags.AD  # tell whether the answer was validated
    for _ in range(2):
        try:
            return dns.query.udp_with_fallback(query, where, PATIENCE)[0]
        except dns.exception.Timeout:
            continue
    return dns.query.tcp(query, where, PATIENCE)


def _answers(where: str, name: str, qtype: str) -> Callable[[], bool]:
    def is_there() -> bool:
        if not accepts(where, 53):
            return False
        try:
            answer = dns.query.udp(dns.message.make_query(name, qtype), where, 1)
        except (OSError, dns.exception.DNSException):
            return False
        return answer.rcode() == dns.rcode.NOERROR

    return is_there


def _program(name: str, directory: Path) -> Path:
    """A copy: what Debian's AppArmor profiles let the installed programs read is no directory of a test."""
    directory.mkdir(parents=True)
    return Path(shutil.copy(f"/usr/sbin/{name}", directory / name))


class Above:
    """The DNS above the zone: a root, org. and example.org, signed, on `ABOVE`. `daemon` serves it.

    server: delegate the zone to it, which makes the zone an unsigned one; None: the zone does not exist.
    anchor: the DS record of the root's key, to be trusted.
    """

    def __init__(self, directory: Path, server: str | None) -> None:
        directory.mkdir(parents=True)
        address = "AAAA" if server and ":" in server else "A"
        delegation = f"bl.example.org. NS ns1.example.org.\nns1.example.org. {address} {server}\n"
        below = {
            "example.org.": delegation if server else "",
            "org.": "example.org. NS ns.example.org.\n",
            ".": "org. NS ns.example.org.\n",
        }
        glue = f"ns.example.org. A {ABOVE}\nns.example.org. AAAA {ABOVE6}\n"
        zones = ""
        for zone, records in below.items():
            file = f"zone.{zone}"
            soa = "@ SOA ns.example.org. hostmaster.example.org. 1 3600 600 604800 300\n@ NS ns.example.org.\n"
            (directory / file).write_text(f"$TTL 3600\n{soa}{glue}{records}")
            _run(directory, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
            _run(directory, "dnssec-signzone", "-q", "-S", "-z", "-g", "-o", zone, "-f", f"{file}.signed", file)
            zones += f'zone "{zone}" {{ type primary; file "{file}.signed"; }};\n'
        self.anchor = (directory / "dsset-.").read_text().split(" DS ")[1].replace("\t", " ").strip()
        self.hints = directory / "hints"
        self.hints.write_text(f". 3600 NS ns.example.org.\n{glue.replace(' A', ' 3600 A')}")
        (directory / "named.conf").write_text(f"""
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {ABOVE}; }};
    listen-on-v6 {{ {ABOVE6}; }};
    recursion no;
    dnssec-validation no;
}};
controls {{ }};
{zones}""")
        self.daemon = Daemon(
            [_program("named", directory / "bin"), "-g", "-c", directory / "named.conf"],
            directory / "log",
            lambda: all(_answers(ABOVE, zone, "SOA")() for zone in below),
        )


def _run(directory: Path, *command: str) -> None:
    subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL, timeout=60)


def unbound(directory: Path, above: Above, conf: str, is_strict: bool = True) -> Daemon:
    """Unbound on port 53 that validates, changes the case of names and keeps 127.0.0.0/8 out of answers."""
    directory.mkdir(parents=True)
    (directory / "dnsbl.conf").write_text(conf)
    strict = "yes" if is_strict else "no"
    (directory / "unbound.conf").write_text(f"""
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    interface: {RESOLVER}
    root-hints: "{above.hints}"
    trust-anchor: ". DS {above.anchor}"
    qname-minimisation: yes
    qname-minimisation-strict: {strict}
    harden-below-nxdomain: yes
    use-caps-for-id: yes
    private-address: 127.0.0.0/8
remote-control:
    control-enable: no
include: "{directory}/dnsbl.conf"
""")
    return Daemon(
        [_program("unbound", directory / "bin"), "-d", "-p", "-c", directory / "unbound.conf"],
        directory / "log",
        _answers(RESOLVER, "localhost", "A"),
    )


def named(directory: Path, above: Above, conf: str, is_strict: bool = True) -> Daemon:
    """BIND on port 53 that validates."""
    directory.mkdir(parents=True)
    (directory / "dnsbl.conf").write_text(conf)
    log = directory / "log"
    tag, algorithm, digest, value = above.anchor.split(" ", 3)
    (directory / "named.conf").write_text(f"""
options {{
    directory "{directory}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {RESOLVER}; }};
    listen-on-v6 {{ none; }};
    dnssec-validation yes;
    qname-minimization {"strict" if is_strict else "relaxed"};
}};
controls {{ }};
trust-anchors {{ . static-ds {tag} {algorithm} {digest} "{value}"; }};
view "mail" {{
    zone "." {{ type hint; file "{above.hints}"; }};
    include "{directory}/dnsbl.conf";
}};
""")
    return Daemon(
        [_program("named", directory / "bin"), "-g", "-c", directory / "named.conf"],
        log,
        # The root's own records come through it: it has its zones, and can reach what is above.
        lambda: " running\n" in log.read_text() and _answers(RESOLVER, ".", "SOA")(),
    )


class Exchange(NamedTuple):
    """A question and its answer over UDP."""

    name: str  # as it was written
    qtype: str
    rcode: str
    answers: int
    is_truncated: bool
    is_echoed: bool  # the question came back byte for byte

    @property
    def below(self) -> str:
        """The labels in front of the zone, in lower case."""
        return self.name.lower().removesuffix(f"{ZONE}.").rstrip(".")


class Wire:
    """Everything that a server at an address is asked over UDP, in order. Use it as a context.

    What has been sent can be read at once: the kernel shows each packet before it delivers it.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._asked: dict[tuple[int, bytes], bytes] = {}
        self._exchanges: list[Exchange] = []

    def __enter__(self) -> "Wire":
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))  # ETH_P_ALL
        self._sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self._sock.bind(("lo", 3))
        self._sock.setblocking(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()

    def exchanges(self) -> list[Exchange]:
        """What was asked and answered since the last call."""
        while True:
            try:
                packet, (_, _, direction, *_) = self._sock.recvfrom(65535)
            except BlockingIOError:
                break
            if direction == socket.PACKET_OUTGOING:
                self._take(packet)
        taken, self._exchanges = self._exchanges, []
        return taken

    def _take(self, packet: bytes) -> None:
        if packet[0] >> 4 == 4:
            family, start, protocol, ends = socket.AF_INET, 4 * (packet[0] & 15), packet[9], (12, 16, 20)
        else:
            family, start, protocol, ends = socket.AF_INET6, 40, packet[6], (8, 24, 40)
        if protocol != socket.IPPROTO_UDP:
            return
        source, target = (socket.inet_ntop(family, packet[a:b]) for a, b in itertools.pairwise(ends))
        ports = (int.from_bytes(packet[start : start + 2]), int.from_bytes(packet[start + 2 : start + 4]))
        payload = packet[start + 8 :]
        if (target, ports[1]) == (self._server, 53):
            self._asked[ports[0], payload[:2]] = payload
        elif (source, ports[0]) == (self._server, 53):
            query = self._asked.pop((ports[1], payload[:2]))
            question = dns.message.from_wire(query).question[0]
            answer = dns.message.from_wire(payload, raise_on_truncation=False)
            end = 12 + len(question.name.to_wire() or b"") + 4
            self._exchanges.append(
                Exchange(
                    question.name.to_text(),
                    dns.rdatatype.to_text(question.rdtype),
                    dns.rcode.to_text(answer.rcode()),
                    sum(map(len, answer.answer)),
                    bool(answer.flags & dns.flags.TC),
                    payload[12:end] == query[12:end],
                )
            )


@contextmanager
def resolving(
    directory: Path, kind: str, route: str, server: str, *, conf: str | None = None, is_strict: bool = True
) -> Iterator[Wire]:
    """A resolver on 127.0.0.1 that knows where the zone is; what passes between it and the server.

    conf: instead of the configuration that goes with the route.
    """
    with ExitStack() as stack:
        above = Above(directory / "above", server if route == "delegation" else None)
        stack.enter_context(above.daemon)
        if conf is None:
            conf = snippet(f"{kind}.conf", server) if route == "stub" else DELEGATED[kind]
        start = unbound if kind == "unbound" else named
        stack.enter_context(start(directory / kind, above, conf, is_strict))
        yield stack.enter_context(Wire(server))


def ancestors(name: str) -> list[str]:
    """The names between the zone and a name below it, from the top, as `Exchange.below` has them."""
    labels = name.removesuffix(f".{ZONE}").split(".")
    return [".".join(labels[-count:]) for count in range(1, len(labels))]


def outcome(answer: dns.message.Message) -> tuple[str, list[str]]:
    """The status and the values, sorted."""
    values = (data.to_text().strip('"') for rrset in answer.answer for data in rrset)
    return dns.rcode.to_text(answer.rcode()), sorted(values)
