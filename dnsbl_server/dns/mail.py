"""E-mail addresses, as far as they can be listed: text to a local part and a domain.

Owns what is taken for one (RFC 5321 section 4.1.2, without quoted strings). Knows no hashes.
"""

from dnsbl_server.dns.name import parse_domain
from dnsbl_server.model.hashing import MailAddress

_MAX_LOCAL = 64  # RFC 5321 section 4.5.3.1.1


def parse_mail_address(text: str) -> MailAddress:
    """An e-mail address in lower case, its domain in A-labels. Raises ValueError."""
    local, at, domain = text.partition("@")
    if not at or "@" in domain:
        raise ValueError("not an e-mail address: one @ stands between a local part and a domain")
    if not 1 <= len(local) <= _MAX_LOCAL:
        raise ValueError(f"the local part of an e-mail address has 1 to {_MAX_LOCAL} characters")
    if not all("!" <= each <= "~" for each in local):
        raise ValueError("the local part of an e-mail address is printable ASCII without blanks")
    return MailAddress(f"{local.lower()}@{parse_domain(domain).name}")
