"""Endpoints: an address and a port, as text and as values.

Owns how they are written. Knows no sockets.
"""

import ipaddress
from typing import NamedTuple


class Endpoint(NamedTuple):
    """An address and a port to listen on; port 0 takes any free one."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """An endpoint `192.0.2.1:53` or `[2001:db8::1]:53`; `*:53` is every IPv4 address. Raises ValueError."""
    address, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise ValueError("not ADDRESS:PORT; write 192.0.2.1:53, 0.0.0.0:53 or [::]:53")
    bracketed = address.startswith("[") and address.endswith("]")
    address = address[1:-1] if bracketed else "0.0.0.0" if address == "*" else address  # noqa: S104
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        raise ValueError("not ADDRESS:PORT; the address is numeric, like 192.0.2.1:53 or [::]:53") from None
    if bracketed != (version == 6):
        raise ValueError("an IPv6 address stands in brackets, like [::1]:53, and an IPv4 address does not")
    return Endpoint(address, int(port))
