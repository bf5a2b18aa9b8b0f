"""What can be listed, and which nets are worth a warning.

Owns the rule that no file lists anything in 127.0.0.0/8, whose test entries come from the codes (RFC 5782 section 5),
and the warnings of nets that may not be meant. Knows no formats.
"""

from dnsbl_server.model.address import BITS, MAPPED_FIRST, MAPPED_LAST, Net, without_loopback
from dnsbl_server.model.problem import Place, Problems

# What is larger than this may well be a slip: an IPv4 /8, an IPv6 /16.
LARGE_NET = {4: 1 << 24, 6: 1 << 112}


def can_be_listed(net: Net, text: str, place: Place, problems: Problems) -> bool:
    """Whether anything of a net can be listed; warns where only a part can, and where the net may not be meant.

    Small nets outside of 127.0.0.0/8 and ::/32 always pass: `_scan` does not ask.
    """
    parts = without_loopback(net)
    if parts != [net]:
        taken = "taken without" if parts else "left out: no file can list"
        problems.warning(place, text, f"{taken} 127.0.0.0/8, whose test entries come from the codes")
    elif net.last - net.first >= LARGE_NET[net.version]:
        bits = BITS[net.version] - LARGE_NET[net.version].bit_length() + 1
        problems.warning(place, text, f"lists more than a /{bits}; is that meant?")
    elif net.version == 6 and net.first <= MAPPED_LAST and net.last >= MAPPED_FIRST:
        message = "taken without ::ffff:0:0/96, which is looked up as IPv4; list the IPv4 addresses"
        problems.warning(place, text, message)
    return bool(parts)
