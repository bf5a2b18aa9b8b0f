"""Domain names: text to labels and wire form.

Owns what the name of a zone or a host may look like. Knows no zones and no messages.
"""

import re

from dnsbl_server.dns._protocol import MAX_LABEL, MAX_NAME

# The longest reversed address, 32 nibbles of two bytes each, and the zone name fill a name together.
MAX_ZONE_WIRE = MAX_NAME - 64

# Of a name, from left to right, without the root.
Labels = tuple[bytes, ...]

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
    # In wire form it has a length in front of its first label, and the root.
    if len(name) + 2 > MAX_NAME:
        raise ValueError(f"a domain name is at most {MAX_NAME - 2} characters long")
    return name


def parse_zone_name(text: str) -> str:
    """The name of a zone: a domain name with room for a reversed IPv6 address below it."""
    name = parse_name(text)
    if len(name) + 2 > MAX_ZONE_WIRE:
        raise ValueError(f"too long: below {MAX_ZONE_WIRE - 2} characters an IPv6 address still fits into a query")
    return name


def encode_name(name: str) -> bytes:
    """The wire form of a name, not compressed."""
    return b"".join(bytes([len(label)]) + label for label in labels_of(name)) + b"\0"


def labels_of(name: str) -> Labels:
    """The labels of a name in text, without the root."""
    return tuple(name.encode("ascii").split(b".")) if name else ()
