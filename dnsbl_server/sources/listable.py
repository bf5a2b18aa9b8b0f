"""What can be listed, and what is worth a warning.

Owns the rule that no file lists what is kept for test entries, which come from the codes (RFC 5782 section 5): anything
in 127.0.0.0/8, and the names `test` and `invalid`. Also owns the warnings of what may not be meant. Knows no formats.
"""

from dnsbl_server.model.address import BITS, MAPPED_FIRST, MAPPED_LAST, Net, without_loopback
from dnsbl_server.model.domain import AT, BELOW, INVALID, TEST, Domains
from dnsbl_server.model.problem import Place, Problems
from dnsbl_server.model.subject import Subjects
from dnsbl_server.sources.suffixes import is_public

# What is larger than this may well be a slip: an IPv4 /8, an IPv6 /16.
LARGE_NET = {4: 1 << 24, 6: 1 << 112}


def can_be_listed(what: Subjects, text: str, place: Place, problems: Problems) -> bool:
    """Whether anything of a net or of names can be listed; warns where only a part can, and of what may not be meant.

    Small nets outside of 127.0.0.0/8 and ::/32 always pass, and names of two labels or more: `_scan` does not ask.
    """
    if isinstance(what, Domains):
        return _can_be_name(what, text, place, problems)
    return _can_be_net(what, text, place, problems)


def warn_of_suffix(what: Subjects, text: str, place: Place, problems: Problems) -> None:
    """Warn where an entry means all names under a public suffix."""
    if isinstance(what, Domains) and what.scope & BELOW and is_public(what.name):
        message = f"lists every name under the public suffix {what.name}; public_suffixes: true says that it is meant"
        problems.warning(place, text, message)


def _can_be_name(domains: Domains, text: str, place: Place, problems: Problems) -> bool:
    if domains.name not in (TEST, INVALID) or not domains.scope & AT:
        return True
    is_taken = bool(domains.scope & BELOW)
    taken = f"taken as *.{domains.name}" if is_taken else "left out"
    problems.warning(place, text, f"{taken}: {domains.name} itself is a test entry, which comes from the codes")
    return is_taken


def _can_be_net(net: Net, text: str, place: Place, problems: Problems) -> bool:
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
