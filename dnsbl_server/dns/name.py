"""Domain names: text to labels and wire form.

Owns what the name of a zone or a host may look like, and what a name may that is listed or asked for. Knows no zones
and no messages.
"""

import re

from dnsbl_server.dns._protocol import MAX_LABEL, MAX_NAME
from dnsbl_server.dns.unicode import to_a_labels, to_u_labels
from dnsbl_server.model.domain import AT, BELOW, Domain, Domains

# The longest reversed address, 32 nibbles of two bytes each, and the zone name fill a name together.
MAX_ZONE_WIRE = MAX_NAME - 64

# Characters of a name as text: in wire form it has a length in front of its first label, and the root.
MAX_DOMAIN = MAX_NAME - 2

# Of a name, from left to right, without the root.
Labels = tuple[bytes, ...]

# Characters of a name as it is written: in Unicode some are dropped or joined, but not most of them.
_MAX_WRITTEN = 4 * MAX_DOMAIN
_LISTED_LABEL = re.compile(r"[a-z0-9_-]+", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?", re.ASCII)


def parse_name(text: str) -> str:
    """A domain name in lower case without its final dot: letters, digits, hyphens and underscores."""
    # Only ASCII has one lower case: other letters may become ASCII by it.
    name = (text.lower() if text.isascii() else text).removesuffix(".")
    if not name:
        raise ValueError("a domain name has at least one label")
    for label in name.split("."):
        if not label:
            raise ValueError("a domain name has no empty label")
        if not _LABEL.fullmatch(label):
            hint = "; write a mail address with a dot, like hostmaster.example.org" if "@" in label else ""
            raise ValueError(f"not a domain name: labels are letters, digits, - and _, no - at an end{hint}")
        # Only now: what is shown of a label is nothing that a terminal would obey.
        if len(label) > MAX_LABEL:
            raise ValueError(f"label {label[:20]}... is longer than {MAX_LABEL} characters")
    if len(name) > MAX_DOMAIN:
        raise ValueError(f"a domain name is at most {MAX_DOMAIN} characters long")
    return name


def parse_zone_name(text: str) -> str:
    """The name of a zone: a domain name with room for a reversed IPv6 address below it."""
    name = parse_name(text)
    if len(name) + 2 > MAX_ZONE_WIRE:
        raise ValueError(f"too long: below {MAX_ZONE_WIRE - 2} characters an IPv6 address still fits into a query")
    return name


def parse_domain(text: str) -> Domain:
    """A domain name that can be asked for: letters, digits, hyphens and underscores, or Unicode (RFC 5890).

    Raises ValueError.
    """
    return Domain(_parse_listed(text))


def parse_domains(text: str) -> Domains:
    """What an entry means: `example.com` that name, `*.example.com` all names below it, `.example.com` both.

    Raises ValueError.
    """
    if text.startswith("*."):
        return Domains(_parse_listed(text[2:]), BELOW)
    if text.startswith("."):
        return Domains(_parse_listed(text[1:]), AT | BELOW)
    return Domains(_parse_listed(text), AT)


def display_name(domain: Domain) -> str:
    """A name as people read it: its A-labels in Unicode, where that is safe to show."""
    return to_u_labels(domain.name)


def _parse_listed(text: str) -> str:
    """A name in lower case and A-labels, without its final dot.

    It need not be that of a host: labels may begin and end with hyphens, as there are such names.
    """
    # First: to look at a long text takes long.
    if len(text) > _MAX_WRITTEN:
        raise ValueError(f"a domain name is at most {MAX_DOMAIN} characters long")
    name = (text.lower() if text.isascii() else to_a_labels(text)).removesuffix(".")
    if not name:
        raise ValueError("a domain name has at least one label")
    for label in name.split("."):
        if not label:
            raise ValueError("a domain name has no empty label")
        if "*" in label:
            raise ValueError("only one *, as the whole first label: *.example.com is all names below example.com")
        if not _LISTED_LABEL.fullmatch(label):
            raise ValueError("not a domain name: labels are letters, digits, - and _")
        if len(label) > MAX_LABEL:
            raise ValueError(f"label {label[:20]}... is longer than {MAX_LABEL} characters")
    if len(name) > MAX_DOMAIN:
        raise ValueError(f"a domain name is at most {MAX_DOMAIN} characters long")
    # So no address, nor a part of one, is a name.
    if name.rpartition(".")[2].isdigit():
        raise ValueError("the last label of a domain name is no number")
    return name


def encode_name(name: str) -> bytes:
    """The wire form of a name, not compressed."""
    return b"".join(bytes([len(label)]) + label for label in labels_of(name)) + b"\0"


def labels_of(name: str) -> Labels:
    """The labels of a name in text, without the root."""
    return tuple(name.encode("ascii").split(b".")) if name else ()
