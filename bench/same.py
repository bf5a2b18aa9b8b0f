"""Whether two versions of dnsbl-server give the same answers, byte for byte.

Both serve the same zones: those of the samples and of the fuzzer, two with lists that overlap in both families, and the
lists of the benchmarks. Both get the same packets: names at, next to, above and below everything that is listed, every
type and class, EDNS of all kinds, and messages that are cut, too long or damaged; a part of them over TCP. The packets
come from a seed. Every difference is printed, and the exit status is 1 if there is one.

    python bench/same.py PYTHON [--queries 1000000] [--seed 1]

PYTHON is of an environment in which the other version is installed.
"""

import argparse
import random
import shutil
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from lists import IPV4, IPV6, Entries, write
from servers import Server, say, start_dnsbl, workshop

_ROOT = Path(__file__).parents[1]
_BATCH = 64
_PATIENCE = 5.0  # seconds that a server has for a batch
_TCP = 20  # one batch of so many goes over TCP
_SHOWN = 20

_OVERLAPPING = """\
zone: {zone}
ns: [ns1.example.net, ns2.example.net]
apex: {{a: [192.0.2.80], aaaa: ["2001:db8::80"], mx: ["10 mx.example.net"], txt: [A list]}}
except: [192.0.2.129, "2001:db8:bad::5"]
lists:
  - {{name: one, code: [127.0.0.2, 127.0.0.9], reason: one, txt: "{{ip}} {{reason}} {{list}} {{code}} {{expires}}",
     entries: [192.0.2.0/24, 10.0.0.0/8, 9.8.7.6, "2001:db8:bad::/48", 198.51.100.3-198.51.100.77],
     except: [192.0.2.25]}}
  - {{name: two, code: 127.0.0.10, entries: [192.0.2.128/25, {{net: 192.0.2.7, reason: x, expires: 2099-01-01}},
     {{net: 2001:db8:bad::7, ttl: 9, code: 127.0.1.4}}, 1.2.3.4-1.2.9.200]}}
  - {{name: three, code: 127.0.0.11, txt: {long}, entries: [192.0.2.200, "2001:db8:bad::7"]}}
  - {{name: four, code: 127.0.0.12, txt: {long}, entries: [192.0.2.200, "2001:db8:bad::7"]}}
"""
_ZONES = ("bl.example.com", "v6.bl.example.com", "big")
_BASES = (
    *(0xC0000200, 0xC0000219, 0xC00002FF, 0x0A000000, 0x0AFFFFFF, 0x09080706, 0xC6336403, 0xC633644D),
    *(0x01020304, 0x010209C8, 0x7F000000, 0x7F000002, 0x7F00000C),
)
_BASES6 = (0x20010DB80BAD << 80, (0x20010DB80BAD << 80) + 7, ((0x20010DB80BAD + 1) << 80) - 1, 0xFFFF7F000002)
_TYPES = (1, 1, 1, 1, 16, 16, 16, 255, 28, 2, 6, 15, 43, 251, 252, 0, 41, 65, 65535)
_SIZES = (0, 511, 512, 513, 1231, 1232, 1233, 4096, 65535)


def main() -> int:
    """Ask both; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", metavar="PYTHON")
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = random.Random(options.seed)
    with workshop() as directory, ExitStack() as running:
        zones, listed, names = _write_zones(directory)
        servers = [
            running.enter_context(start_dnsbl(zones, {0, 1}, 2, python)) for python in (sys.executable, options.python)
        ]
        first = struct.pack("!6H", 0, 0x0100, 1, 0, 0, 0) + _wire(_reversed(32, listed[0][1]) + _split(names[0]))
        for server in servers:
            server.wait_until_listed(first + struct.pack("!HH", 1, 1))
        asked = differing = unanswered = 0
        started = time.monotonic()
        while asked < options.queries:
            packets = [_packet(source, listed, names, number) for number in range(_BATCH)]
            ask = _ask_tcp if asked // _BATCH % _TCP == 0 else _ask_udp
            answers = [ask(server, packets) for server in servers]
            asked += len(packets)
            unanswered += sum(answer is None for answer in answers[0])
            for packet, *pair in zip(packets, *answers, strict=True):
                if pair[0] != pair[1]:
                    differing += 1
                    if differing <= _SHOWN:
                        print(packet.hex(), *(each.hex() if each else None for each in pair), sep="\n  ", flush=True)
            if asked % (_BATCH * 1000) == 0:
                say(f"{asked:,} asked, {differing} differ, {asked / (time.monotonic() - started):,.0f}/s")
    print(f"{asked:,} queries, seed {options.seed}: {differing} answers differ ({unanswered:,} queries get none)")
    return 1 if differing else 0


def _write_zones(directory: Path) -> tuple[Path, list[tuple[int, int]], list[str]]:
    """Write all zones into one directory: that, addresses to ask for as (bits, number), and the names of the zones."""
    zones = directory / "dnsbl-server"
    listed = [(32, number) for number in _BASES] + [(128, number) for number in _BASES6]
    for family in (IPV4, IPV6):
        entries = Entries(family, 100_000, 2_000)
        written = write(directory / family.data_set, entries)
        shutil.copytree(written.ours, zones / family.data_set)
        listed += [(family.bits, address) for address in entries.hosts[:2000]]
        listed += [(family.bits, address) for address, _ in entries.networks]
    (zones / "ip4set" / "list0.txt").rename(zones / "v4.txt")
    (zones / "ip6trie" / "list0.txt").rename(zones / "v6.txt")
    lists = "".join(f"  - {{name: v{v}, code: 127.0.0.{v}, files: [v{v}.txt]}}\n" for v in (4, 6))
    (zones / "files.yaml").write_text(f"zone: files.example.com\nlists:\n{lists}")
    for zone in _ZONES:
        (zones / f"{zone}.yaml").write_text(_OVERLAPPING.format(zone=zone, long="x" * 460))
    names = ["files.example.com", *_ZONES]
    for number, path in enumerate(sorted([*_ROOT.glob("fuzz/zones/*.yaml"), *_ROOT.glob("zones/*.yaml")])):
        name = path.read_text().partition("zone:")[2].split()[0]
        if name not in names:
            shutil.copy(path, zones / f"other{number}.yaml")
            names.append(name)
    if (_ROOT / "zones" / "lists").is_dir():
        shutil.copytree(_ROOT / "zones" / "lists", zones / "lists")
    return zones, [(32, _BASES[0]), *listed], [*_ZONES, *names]


def _split(name: str) -> list[bytes]:
    return name.encode().split(b".")


def _reversed(bits: int, number: int) -> list[bytes]:
    if bits == 32:
        return [str(octet).encode() for octet in number.to_bytes(4, "little")]
    return [each.encode() for each in reversed(f"{number:032x}")]


def _wire(labels: Sequence[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _packet(source: random.Random, listed: list[tuple[int, int]], names: list[str], number: int) -> bytes:
    """A message of one of many kinds, with a number for its ID."""
    labels = _labels(source, listed, names)
    qclass = 1 if source.random() < 0.95 else source.choice((3, 4, 254, 255, 0))
    if qclass == 3 and source.random() < 0.8:
        labels = _split(source.choice(("version.bind", "version.server", "id.server", "hostname.bind", "VERSION.bind")))
    qtype = source.choice(_TYPES)
    body = _wire(labels) + struct.pack("!HH", qtype, qclass)
    flags = source.choice((0x0100, 0x0100, 0, 0x0130)) if source.random() < 0.95 else source.getrandbits(16)
    counts = [1, 0, 0, 0]
    if source.random() < 0.4:
        options = source.randbytes(source.randrange(3)) if source.random() < 0.05 else b""
        if source.random() < 0.3:
            data = source.randbytes(source.randrange(12))
            options = struct.pack("!HH", source.choice((3, 8, 10, 15, 65001)), len(data)) + data
        version = 0 if source.random() < 0.95 else source.choice((1, 255))
        bits = source.choice((0, 0x8000, 0xFFFF))
        size = source.choice(_SIZES)
        body += struct.pack("!BHHBBHH", 0, 41, size, 0, version, bits, len(options)) + options
        counts[3] = 1
    if source.random() < 0.03:
        data = source.randbytes(source.randrange(9))
        body += source.choice((b"\0", b"\xc0\x0c", b"\1a\0")) + struct.pack("!HHIH", qtype, 1, 0, len(data)) + data
        counts[source.randrange(1, 4)] += 1
    if source.random() < 0.02:
        counts[source.randrange(4)] = source.choice((0, 1, 2, 65535))
    packet = bytearray(struct.pack("!HH4H", number, flags, *counts) + body)
    damage = source.random()
    if damage < 0.02:
        del packet[source.randrange(2, len(packet)) :]
    elif damage < 0.03:
        packet += source.randbytes(source.randint(1, 9))
    elif damage < 0.06:
        packet[source.randrange(2, len(packet))] = source.getrandbits(8)
    return bytes(packet)


def _labels(source: random.Random, listed: list[tuple[int, int]], names: list[str]) -> list[bytes]:
    kind = source.random()
    if kind < 0.8:
        bits, number = source.choice(listed) if kind < 0.7 else (32, source.getrandbits(32))
        number = (number + source.choice((0, 0, 0, 1, -1, source.getrandbits(9)))) % (1 << bits)
        if bits == 32 and source.random() < 0.05:
            bits, number = 128, 0xFFFF << 32 | number
        labels = _reversed(bits, number)
        if source.random() < 0.15:
            labels = labels[source.randint(0, len(labels)) :]
        if source.random() < 0.05:
            labels.insert(source.randint(0, len(labels)), source.choice((b"www", b"0", b"01", b"256", b"\xff", b"*")))
    else:
        labels = [source.choice((b"www", b"a", b"BL", b"\0", b"x" * 63, b"7")) for _ in range(source.randrange(5))]
    labels += _split(source.choice(names) if source.random() < 0.97 else "example.net")
    while len(_wire(labels)) > 255:
        labels.pop(0)
    if source.random() < 0.2:
        labels = [source.choice((label.upper(), label.lower())) for label in labels]
    return labels


def _gets_answer(packet: bytes) -> bool:
    return len(packet) >= 12 and not packet[2] & 0x80


def _ask_udp(server: Server, packets: Sequence[bytes]) -> list[bytes | None]:
    """The answers to a batch, told apart by their IDs; None for each that gets none."""
    answers: list[bytes | None] = [None] * len(packets)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", server.port))
        sock.settimeout(_PATIENCE)
        for packet in packets:
            sock.send(packet)
        for _ in range(sum(map(_gets_answer, packets))):
            try:
                answer = sock.recv(65536)
            except TimeoutError:
                break
            answers[int.from_bytes(answer[:2])] = answer
    return answers


def _ask_tcp(server: Server, packets: Sequence[bytes]) -> list[bytes | None]:
    """The same over one TCP connection."""
    answers: list[bytes | None] = [None] * len(packets)
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE) as sock, sock.makefile("rb") as stream:
        sock.sendall(b"".join(struct.pack("!H", len(packet)) + packet for packet in packets))
        sock.shutdown(socket.SHUT_WR)
        for answer in _messages(stream.read()):
            answers[int.from_bytes(answer[:2])] = answer
    return answers


def _messages(data: bytes) -> Iterator[bytes]:
    while data:
        end = 2 + int.from_bytes(data[:2])
        yield data[2:end]
        data = data[end:]


if __name__ == "__main__":
    sys.exit(main())
