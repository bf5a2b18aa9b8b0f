"""rbldnsd and this server read the same files, and say the same of them; where not, the reason is a documented one.

Each round writes data files at random, in every form that rbldnsd takes and some that it refuses, with entries that
overlap; both servers are asked for the edges of all entries and for others near them, A and TXT. How many questions
DNSBL_RBLDNSD_QUESTIONS says. `reason_of` is all that is excused, and docs/rbldnsd.md says why.
"""

import os
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from dnsbl_server.dns.reversed import query_name
from dnsbl_server.model.address import parse_address
from dnsbl_server.model.listing import Listing
from dnsbl_server.model.problem import Problems
from dnsbl_server.sources.entrytext import EntryText
from dnsbl_server.sources.listfile import FORMATS, read_list_file
from e2e.daemons import Daemon
from tests.serving import ServerProcess

QUESTIONS = int(os.environ.get("DNSBL_RBLDNSD_QUESTIONS", "20000"))
SEED = int(os.environ.get("DNSBL_RBLDNSD_SEED", "1"))
TYPES = ("ip4set", "ip4trie", "ip4tset", "ip6trie", "ip6tset", "dnset")
TXT, A = 16, 1
EACH = 2500  # questions to one zone before its files are others
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.(?!\d+$)[a-z0-9_-]+|[a-z][a-z0-9_-]*")
NO_TEXT = "has no text of its own"
OWN_TEXT = b"no text"  # of our list, where an entry has none

TRICKY = {
    "ip4set": [
        *("10.9.0.0-5", "10.9.1-3", "10.9.5-10.9.7", "!10.9.2.5", "10.9.2.5", "10.9.4.0/23 :9:", "11.9-12", "18-20"),
        *("010.09.8.002 :4:lead", "10.9.9.1:5:glued", "10.9.9.2;comment", "10.9.9.3 # c", "10.9.9.4 :5 ; why"),
        *(
            "10.9.9.5 : 5 :x",
            "10.9.9.6 :5 : x",
            "10.9.9.7 ::x",
            "10.9.9.8 :",
            "10.9.9.9 :10.20.30.40:far",
            "! 10.9.9.10",
        ),
        *("10.9.9.11 $ $$ $1 $2 $=x $", "10.9.9.12 == $", "10.9.9.13 a{b}c", '10.9.9.14 "q" \\ # ;', "$1 One $"),
        *(
            "10.9.9.15/31",
            "10.9.9.16/33",
            "10.9.9.18-10.9.9.17",
            "10.9.9.19.",
            "10.9.9.20x",
            "10.9.9.21 :256:",
            "$TTL 79",
        ),
        *(
            "127.0.0.2 :2:test",
            "126-128 :7:",
            "10.9.9.22 :127.0.2:",
            "10.9.9.23 :02:",
            "10.9.9.24 :1.2:",
            "#$2 Two",
            "$x y",
        ),
        *(
            ":bad",
            ":8:new $",
            "10.9.9.25",
            ":9",
            "10.9.9.26",
            "10.9.9.27 :1:",
            "10.9.9.28 :127.255.255.3:",
            "10.9.9.0/24 z",
        ),
    ],
    "ip4trie": ["10.9/16", "!10.9.2/24", "10.9.2.4 in", "!10.9.2.4", "0/0 :9:all", "10.9.9.1 text", "10.9.9.1 other"],
    "ip4tset": ["10.9.9.1 :5:ignored", "10.9.9/24", ":6:$ first", ":7:second", "10.9.9.2", "!10.9.9.2"],
    "ip6trie": [
        *(
            "2001:db8:9 :3:x",
            "2001:db8:9:1::/64 :4:",
            "!2001:db8:9:1::5",
            "2001:db8:a::",
            "2001/16",
            "2001",
            "::1.2.3.4",
        ),
        *(
            "2001:db8:d:0:0:0:0:1:19:glued",
            "2001:db8:c:::18:glued",
            "2001:db8:1/48",
            "2001:0db8:00001:2",
            "::/0 :8:all $",
        ),
    ],
    "ip6tset": ["2001:db8:9:1", "!2001:db8:9:1::5", "!2001:db8:9:1", "2001:db8:9:2/64", ":6:$", "2001:db8:9:2 :5:x"],
    "dnset": [
        *(
            ".a.com",
            "!a.com",
            "!.x.a.com",
            "*.b.com :3:star",
            ".b.com :4:both",
            "b.com :5:at",
            "!x.b.com",
            "x.over.com :6:",
        ),
        *(
            ".over.com",
            "deep.tree.dot.com",
            "!.tree.dot.com",
            ".dot.com $",
            "*.*.x.com",
            "foo.*.com",
            "*",
            ".",
            "a,b",
            "c;d",
        ),
        *(
            "no.com#x",
            "colon.com:28:x",
            "e..f.com.",
            "UP.com up $",
            "1.2.3.4",
            "..dd.com",
            "es\\097.com",
            "z_-.com",
            "one",
        ),
    ],
}


# Good lines, so that the bad ones are few: a file with many is refused here.
PADDING = {
    **{
        kind: [f"172.16.{at >> 8}.{at & 255} :2:pad" for at in range(8000)] for kind in ("ip4set", "ip4trie", "ip4tset")
    },
    **{kind: [f"2001:db8:ffff:{at:x}" for at in range(8000)] for kind in ("ip6trie", "ip6tset")},
    "dnset": [f"n{at}.pad.com :2:pad" for at in range(8000)],
}


class Says(NamedTuple):
    """What a server says of a subject."""

    codes: frozenset[str]
    texts: frozenset[bytes]


def reason_of(kind: str, subject: str, theirs: Says, ours: Says) -> str | None:
    """Why two answers differ; empty where they do not, None where nothing explains it."""
    if theirs == ours:
        return ""
    if kind.startswith("ip4") and subject.startswith("127."):
        return "127.0.0.0/8 has the test entries"
    if not ours.codes and kind == "dnset" and not _NAME.fullmatch(subject):
        return "a name that no name here may be"
    sayable = frozenset(code for code in theirs.codes if is_code(code))
    if ours.codes != sayable:
        return None
    if sayable != theirs.codes:
        return "a code that is none here"
    if not theirs.texts:
        return NO_TEXT if ours.texts == {OWN_TEXT} else None
    (text,) = ours.texts or {b""}
    shown = {bytes(byte if 32 <= byte < 127 else 63 for byte in each) for each in theirs.texts}
    if text in shown:
        return "several texts" if len(theirs.texts) > 1 else "bytes that are not printable"
    if any(len(each) >= 253 and (text.startswith(each) or each.startswith(text)) for each in shown):
        return "a long text, which both cut elsewhere"
    return None


def is_code(code: str) -> bool:
    return code.startswith("127.") and code != "127.0.0.1" and not code.startswith("127.255.255.")


class Asker:
    """Asks one server over UDP. Use it as a context."""

    def __init__(self, host: str, port: int, patience: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(patience)
        self._socket.connect((host, port))
        self._id = 0

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, name: str) -> Says:
        """Both the codes and the texts."""
        codes = frozenset(socket.inet_ntoa(data) for data in self._records(name, A))
        return Says(codes, frozenset(_strings(data) for data in self._records(name, TXT)))

    def _records(self, name: str, rtype: int) -> Iterator[bytes]:
        self._id = (self._id + 1) & 0xFFFF
        wire = b"".join(bytes([len(label)]) + label for label in name.encode("latin-1").split(b"."))
        opt = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
        self._socket.send(struct.pack("!6H", self._id, 0, 1, 0, 0, 1) + wire + struct.pack("!BHH", 0, rtype, 1) + opt)
        reply = self._socket.recv(4096)
        number, flags, _, answers = struct.unpack_from("!4H", reply)
        assert (number, flags & 0x200) == (self._id, 0), name
        assert flags & 15 in (0, 3), name
        at = 12 + len(wire) + 5
        for _ in range(answers):
            while reply[at] and reply[at] < 192:
                at += reply[at] + 1
            at += 2 if reply[at] >= 192 else 1
            found, _, _, size = struct.unpack_from("!HHIH", reply, at)
            at += 10
            if found == rtype:
                yield reply[at : at + size]
            at += size


def _strings(data: bytes) -> bytes:
    text, at = b"", 0
    while at < len(data):
        text += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return text


class Writer:
    """Writes data files at random."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._of: dict[str, Callable[[], str]] = {
            "ip4set": self._set4,
            "ip4trie": self._trie4,
            "ip4tset": self.address4,
            "ip6trie": self._trie6,
            "ip6tset": lambda: ":".join(self.address6().split(":")[:4]),
            "dnset": self._listed_name,
        }

    def lines(self, kind: str, count: int) -> list[str]:
        """A file of a type."""
        lines = [self._line(kind) for _ in range(count)] + TRICKY[kind]
        self._random.shuffle(lines)
        if self._random.random() < 0.3:
            lines.insert(
                self._random.randrange(len(lines)), self._random.choice(["$= base $= $", "$= $=", "$= b $1 $"])
            )
        return lines

    def _line(self, kind: str) -> str:
        roll = self._random.random()
        if roll < 0.03:
            return self._random.choice([":3:d $", ":4", ":5:", ":6: # t", "# c", "", "; c", ":x", "::", ":127.0.0.7:q"])
        value = self._value()
        mark = self._random.choice(["!", "! "]) if roll > 0.8 and kind not in ("ip4tset", "ip6tset") else ""
        if kind == "ip6tset" and roll > 0.8:
            return f"!{self.address6()}"
        before, behind = self._random.choice(("", "", " ", "\t")), self._random.choice(("", "", " "))
        return f"{before}{mark}{self._of[kind]()}{value}{behind}"

    def _value(self) -> str:
        choose = self._random.choice
        number = self._random.randrange(2, 9)
        forms = [
            *(
                "",
                "",
                "",
                f" :{number}:",
                f" :{number}:t{number} $",
                f" text {number}",
                f"\t:127.0.0.{number}:",
                " # c",
                " ;c",
            ),
            *(
                f" :{number}",
                f" :{number} bad",
                " ::x",
                " $",
                " $$ $3 $=",
                " =x $",
                f" :{number}:",
                f" :127.0.1.{number}: y",
            ),
        ]
        if self._random.random() < 0.02:
            return choose([" :1:", " :10.0.0.1:", " :127.255.255.1:x", " :0:", " :300:", " " + "long $ " * 60, " é"])
        return choose(forms)

    def address4(self) -> str:
        """An address in a small world."""
        pick = self._random.randrange
        return f"10.{pick(2)}.{pick(4)}.{self._random.choice((pick(256), pick(8)))}"

    def _set4(self) -> str:
        a = self.address4()
        octets = a.split(".")
        pick = self._random.randrange
        form = pick(12)
        if form < 4:
            return a
        if form == 4:
            return ".".join(octets[:3])
        if form == 5:
            return ".".join(octets[:2]) if pick(8) == 0 else a
        if form == 6:
            return f"{a}-{pick(256)}"
        if form == 7:
            return f"{'.'.join(octets[:3])}-{pick(4)}"
        if form == 8:
            return f"{a}-{self.address4()}"
        return self._cidr4(octets)

    def _cidr4(self, octets: list[str]) -> str:
        length = self._random.choice((24, 25, 26, 28, 30, 31, 32, 23, 22, 17, 16, 15))
        number = int.from_bytes(bytes(map(int, octets)), "big")
        if self._random.random() < 0.9:
            number &= -1 << (32 - length)
        return f"{socket.inet_ntoa(number.to_bytes(4, 'big'))}/{length}"

    def _trie4(self) -> str:
        octets = self.address4().split(".")
        form = self._random.randrange(6)
        if form < 2:
            return ".".join(octets)
        return ".".join(octets[: self._random.choice((3, 3, 2))]) if form == 2 else self._cidr4(octets)

    def address6(self) -> str:
        """An address in a small world, with eight words."""
        pick = self._random.randrange
        return f"2001:db8:{pick(2):x}:{pick(3):x}:0:0:0:{pick(5):x}"

    def _trie6(self) -> str:
        a = self.address6()
        form = self._random.randrange(6)
        if form < 2:
            return a
        if form < 4:
            return ":".join(a.split(":")[: self._random.choice((3, 4, 4))])
        length = self._random.choice((48, 64, 64, 47, 126, 127, 128, 32))
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6, a), "big")
        if self._random.random() < 0.9:
            number &= -1 << (128 - length)
        return f"{socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, 'big'))}/{length}"

    def name(self) -> str:
        """A name in a small world."""
        labels = [self._random.choice("abc") for _ in range(self._random.randrange(1, 5))]
        return ".".join([*labels, self._random.choice(("com", "org"))])

    def _listed_name(self) -> str:
        return self._random.choice(("", "", ".", "*.")) + self.name()

    def subject(self, kind: str, lines: list[str]) -> str:
        """What is asked: something at or next to an entry, or anything in the small world."""
        if self._random.random() < 0.3:
            return {"4": self.address4, "6": self.address6}.get(kind[2], self.name)()
        words = self._random.choice(lines).replace("!", " ").split()
        word = words[0] if words else ""
        if kind == "dnset":
            name = word.lstrip("*.").split("\\")[0].strip(".").lower() or "a.com"
            return self._random.choice(("", "", "q.", "q.a.", "b.")) + name.replace("..", ".")
        version, bits = (socket.AF_INET, 32) if kind[2] == "4" else (socket.AF_INET6, 128)
        for text in (word.split("/")[0], word.split("-")[0], word.split("-")[-1]):
            try:
                number = int.from_bytes(socket.inet_pton(version, text), "big")
            except OSError:
                continue
            length = word.partition("/")[2]
            host = (1 << (bits - int(length))) - 1 if length.isdigit() and int(length) <= bits else 0
            number = self._random.choice((number, number | host)) + self._random.choice((-1, 0, 0, 1))
            if 0 <= number < 1 << bits:
                return socket.inet_ntop(version, number.to_bytes(bits // 8, "big"))
        return self.address4() if bits == 32 else self.address6()


def asked(subject: str, kind: str, zone: str) -> str:
    """The name to ask for."""
    if kind == "dnset":
        return f"{subject}.{zone}"
    return query_name(parse_address(subject), zone)


@pytest.mark.parametrize("kind", TYPES)
def test_both_say_the_same(kind: str, tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    writer = Writer(SEED * 1000 + TYPES.index(kind))
    left = QUESTIONS // len(TYPES)
    at = 0
    while left > 0:
        at += 1
        directory = tmp_path / f"{at}"
        directory.mkdir()
        lines = writer.lines(kind, 120)
        lines = [line for line in lines if not spoils(kind, line, directory)]
        half = len(lines) // 2
        (directory / "one").write_text("\n".join(lines[:half]) + "\n")
        (directory / "two").write_text("\n".join([*lines[half:], *PADDING[kind]]) + "\n")
        (directory / "zone.yaml").write_text(
            f"zone: {kind}.example.org\ntxt: no text\npublic_suffixes: true\n"
            f"files: [{{path: [one, two], format: {kind}}}]\n"
            if kind == "dnset"
            else f"zone: {kind}.example.org\ntxt: no text\nfiles: [{{path: [one, two], format: {kind}}}]\n"
        )
        with both(directory, kind) as (asker_ours, asker_theirs):
            for _ in range(min(left, EACH)):
                left -= 1
                subject = writer.subject(kind, lines)
                name = asked(subject, kind, f"{kind}.example.org")
                theirs, ours = asker_theirs.ask(name), asker_ours.ask(name)
                reason = reason_of(kind, subject, theirs, ours)
                assert reason is not None, f"{name}: rbldnsd says {theirs}, and we {ours}; {directory}"
                counted[("listed: " if theirs.codes else "not listed: ") + (reason or "the same")] += 1
    print(f"{kind}: {sum(counted.values()):,} questions")
    for what, count in sorted(counted.items()):
        print(f"    {count:9,} {what}")
    assert counted["listed: the same"]
    assert counted["not listed: the same"]


def spoils(kind: str, line: str, directory: Path) -> bool:
    """Whether a line is an exclusion that cannot be read, for which this server refuses the whole file."""
    if "!" not in line:
        return False
    (directory / "line").write_text(f"{line}\n")
    listing = Listing((0x7F000002,), "", 300)
    paths = [str(directory / "line")]
    reading = read_list_file(
        paths, listing, Problems(), lambda *_: None, lambda *_: True, EntryText("example.org"), FORMATS[kind]
    )
    return reading.verdict.startswith("the exclusion")


@contextmanager
def both(directory: Path, kind: str) -> Iterator[tuple[Asker, Asker]]:
    """Both servers, on the same files."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    zone = f"{kind}.example.org:{kind}:one,two"
    command: list[str | Path] = ["/usr/sbin/rbldnsd", "-n", "-w", directory, "-b", f"127.0.0.1/{port}", zone]

    def is_ready() -> bool:
        try:
            with Asker("127.0.0.1", port, 0.2) as asker:
                asker.ask(f"x.{kind}.example.org")
        except OSError:
            return False
        return True

    with (
        Daemon(command, directory / "rbldnsd.log", is_ready),
        ServerProcess(str(directory / "zone.yaml")) as server,
        Asker(*server.endpoints[0]) as ours,
        Asker("127.0.0.1", port) as theirs,
    ):
        yield ours, theirs
