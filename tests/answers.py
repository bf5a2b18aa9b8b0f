"""What two test zones answer to what: one table that holds for every transport."""

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

ZONE = """\
zone: bl.test
ttl: 5m
negative_ttl: 1m
ns: [ns1.example.org, ns2.example.org]
soa: {mname: ns1.example.org, rname: hostmaster.example.org, refresh: 1h, retry: 10m, expire: 1w}
apex:
  a: [192.0.2.80]
  aaaa: ["2001:db8::80"]
  mx: ["10 mx.example.org"]
  txt: [A list for tests]
except: [203.0.113.25]
lists:
  - name: traps
    code: [127.0.0.2, 127.0.0.9]
    txt: "{ip}: {reason}"
    reason: spam
    entries: [192.0.2.0/24, 203.0.113.0/24, "2001:db8:bad::/48"]
    except: [192.0.2.25]
  - name: dynamic
    code: 127.0.0.10
    txt: "{ip} is dynamic"
    entries: [192.0.2.128/25]
"""

# 192.0.2.1 is in four lists with long texts, which no UDP answer holds; 192.0.2.2 in two, which need EDNS.
BIG_TEXTS = [letter * 450 for letter in "abcd"]
BIG_ZONE = "zone: big.test\nlists:\n" + "".join(
    f"  - {{name: {text[0]}, txt: {text}, entries: [{'192.0.2.1, 192.0.2.2' if text[0] < 'c' else '192.0.2.1'}]}}\n"
    for text in BIG_TEXTS
)


def reverse(address: str, zone: str = "bl.test") -> str:
    """The name that is asked for an address."""
    pointer = ip_address(address).reverse_pointer
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa") + f".{zone}"


class Case(NamedTuple):
    """A question and its answer; `answers` are types and values, in any order."""

    name: str
    qtype: str
    rcode: str = "NOERROR"
    answers: tuple[str, ...] = ()
    qclass: str = "IN"

    def __str__(self) -> str:
        return f"{self.name[-40:]} {self.qclass} {self.qtype}"

    def query(self) -> dns.message.QueryMessage:
        return dns.message.make_query(self.name, self.qtype, self.qclass)

    def check(self, reply: dns.message.Message) -> None:
        """Fail unless the reply is this case's answer, in all its parts."""
        records = [(rrset, rdata) for rrset in reply.answer for rdata in rrset]
        found = [f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}" for rrset, rdata in records]
        assert dns.rcode.to_text(reply.rcode()) == self.rcode
        if self.answers == (ANY_SOA,):
            assert [text.partition(" ")[0] for text in found] == ["SOA"]
        else:
            assert sorted(found) == sorted(self.answers)
            assert {rrset.ttl for rrset, _ in records} <= {300}
        is_ours = self.rcode in ("NOERROR", "NXDOMAIN")
        expected_flags = dns.flags.QR | dns.flags.RD | (dns.flags.AA if is_ours else 0)
        assert dns.flags.to_text(reply.flags) == dns.flags.to_text(expected_flags)
        if is_ours and not self.answers:
            (soa,) = reply.authority
            assert (soa.name.to_text(), soa.rdtype, soa.ttl) == ("bl.test.", dns.rdatatype.SOA, 60)
            assert soa[0].minimum == 60
        else:
            assert reply.authority == []
        assert reply.additional == []


ANY_SOA = "SOA"
_LISTED = ("A 127.0.0.2", "A 127.0.0.9")
_IN_BOTH = (*_LISTED, "A 127.0.0.10")
_LISTED6 = reverse("2001:db8:bad::7")
_PARTIAL6 = _LISTED6.split(".", 1)[1]

CASES = (
    Case(reverse("192.0.2.7"), "A", answers=_LISTED),
    Case(reverse("192.0.2.7"), "TXT", answers=('TXT "192.0.2.7: spam"',)),
    Case(reverse("192.0.2.7"), "ANY", answers=_LISTED),
    Case(reverse("192.0.2.7"), "AAAA"),
    Case(reverse("192.0.2.7"), "MX"),
    Case(reverse("192.0.2.7"), "TYPE65280"),
    Case(reverse("192.0.2.200"), "A", answers=_IN_BOTH),
    Case(reverse("192.0.2.200"), "TXT", answers=('TXT "192.0.2.200: spam"', 'TXT "192.0.2.200 is dynamic"')),
    Case(reverse("192.0.2.25"), "A", "NXDOMAIN"),
    Case(reverse("203.0.113.24"), "A", answers=_LISTED),
    Case(reverse("203.0.113.25"), "A", "NXDOMAIN"),
    Case(reverse("198.51.100.1"), "A", "NXDOMAIN"),
    Case(reverse("198.51.100.1"), "TXT", "NXDOMAIN"),
    Case(reverse("198.51.100.1"), "AAAA", "NXDOMAIN"),
    Case(_LISTED6, "A", answers=_LISTED),
    Case(_LISTED6.upper().replace("BL.TEST", "Bl.TesT"), "A", answers=_LISTED),
    Case(_LISTED6, "TXT", answers=('TXT "2001:db8:bad::7: spam"',)),
    Case(_LISTED6, "AAAA"),
    Case(reverse("2001:db8:bae::7"), "A", "NXDOMAIN"),
    Case(reverse("::ffff:192.0.2.7"), "A", answers=_LISTED),
    Case(reverse("::ffff:192.0.2.7"), "TXT", answers=('TXT "192.0.2.7: spam"',)),
    Case(reverse("127.0.0.2"), "A", answers=("A 127.0.0.2",)),
    Case(reverse("127.0.0.9"), "A", answers=("A 127.0.0.9",)),
    Case(reverse("::ffff:127.0.0.10"), "A", answers=("A 127.0.0.10",)),
    Case(reverse("127.0.0.1"), "A", "NXDOMAIN"),
    Case(reverse("::ffff:127.0.0.1"), "A", "NXDOMAIN"),
    Case("192.bl.test", "A"),
    Case("0.192.bl.test", "TXT"),
    Case("2.0.192.bl.test", "A"),
    Case("1.0.0.2.bl.test", "A"),
    Case("100.51.198.bl.test", "MX"),
    Case("2.bl.test", "A"),
    Case(_PARTIAL6, "A"),
    Case("7.7.2.0.192.bl.test", "A", "NXDOMAIN"),
    Case("256.2.0.192.bl.test", "A", "NXDOMAIN"),
    Case("07.2.0.192.bl.test", "A", "NXDOMAIN"),
    Case("www.bl.test", "A", "NXDOMAIN"),
    Case("_dmarc.bl.test", "TXT", "NXDOMAIN"),
    Case(f"0.{_LISTED6}", "A", "NXDOMAIN"),
    Case("bl.test", "A", answers=("A 192.0.2.80",)),
    Case("bl.test", "AAAA", answers=("AAAA 2001:db8::80",)),
    Case("bl.test", "MX", answers=("MX 10 mx.example.org.",)),
    Case("bl.test", "TXT", answers=('TXT "A list for tests"',)),
    Case("bl.test", "NS", answers=("NS ns1.example.org.", "NS ns2.example.org.")),
    Case("BL.test", "SOA", answers=(ANY_SOA,)),
    Case("bl.test", "SRV"),
    Case("bl.test", "AXFR", "REFUSED"),
    Case("bl.test", "IXFR", "REFUSED"),
    Case("test", "A", "REFUSED"),
    Case("xbl.test", "A", "REFUSED"),
    Case(reverse("192.0.2.7", "example.org"), "A", "REFUSED"),
    Case(".", "NS", "REFUSED"),
    Case("version.bind", "TXT", "REFUSED", qclass="CH"),
    Case("id.server", "TXT", "REFUSED", qclass="CH"),
    Case(reverse("192.0.2.7"), "A", "REFUSED", qclass="HS"),
)

HEADER = struct.Struct("!6H")
# The parts of messages that are put together by hand.
QUESTION = b"\x017\x012\x010\x03192\x02bl\x04test\0\0\x01\0\x01"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
OPT_VERSION_1 = b"\0\0\x29\x04\xd0\0\x01\0\0\0\0"
_RECORD = b"\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04"


def message(
    body: bytes = QUESTION, flags: int = 0, counts: tuple[int, int, int, int] = (1, 0, 0, 0), number: int = 7
) -> bytes:
    """A message with a header that says what it likes."""
    return HEADER.pack(number, flags, *counts) + body


# What is no good query, and the response code that it gets; None where it gets no answer.
MALFORMED: dict[str, tuple[bytes, int | None]] = {
    "empty": (b"", None),
    "one byte": (b"\0", None),
    "11 bytes": (message()[:11], None),
    "response": (message(flags=0x8000), None),
    "broken response": (message(b"", flags=0x8000), None),
    "header only": (message(b""), 1),
    "no question": (message(b"", counts=(0, 0, 0, 0)), 1),
    "two questions": (message(QUESTION * 2, counts=(2, 0, 0, 0)), 1),
    "question cut": (message(QUESTION[:-1]), 1),
    "name cut": (message(QUESTION[:5]), 1),
    "name of 257 bytes": (message(b"\x0fabcdefghijklmno" * 16 + b"\0\0\x01\0\x01"), 1),
    "pointer": (message(b"\xc0\x0c\0\x01\0\x01"), 1),
    "label type 01": (message(b"\x41" + b"a" * 65 + b"\0\0\x01\0\x01"), 1),
    "garbage at the end": (message(QUESTION + b"\0"), 1),
    "answer in a query": (message(QUESTION + _RECORD, counts=(1, 1, 0, 0)), 1),
    "two OPTs": (message(QUESTION + OPT * 2, counts=(1, 0, 0, 2)), 1),
    "OPT cut": (message(QUESTION + OPT[:-1], counts=(1, 0, 0, 1)), 1),
    "OPT missing": (message(QUESTION, counts=(1, 0, 0, 1)), 1),
    "option cut": (message(QUESTION + OPT[:-1] + b"\x03\0\x03\0", counts=(1, 0, 0, 1)), 1),
    "status": (message(flags=2 << 11), 4),
    "notify": (message(flags=4 << 11), 4),
    "update, broken": (message(b"\xff", flags=5 << 11), 4),
    "opcode 15": (message(flags=15 << 11), 4),
    "EDNS version 1": (message(QUESTION + OPT_VERSION_1, counts=(1, 0, 0, 1)), 16),
    "question of all 16 bits": (message(b"\0\xff\xff\xff\xff"), 5),
}


def framed(*messages: bytes) -> bytes:
    """Messages as TCP carries them (RFC 1035 section 4.2.2)."""
    return b"".join(len(each).to_bytes(2) + each for each in messages)


def unframed(data: bytes) -> Iterator[bytes]:
    """The messages of a TCP stream, which must end with the last of them."""
    while data:
        size = int.from_bytes(data[:2])
        assert len(data) >= 2 + size, "half a message"
        yield data[2 : 2 + size]
        data = data[2 + size :]
