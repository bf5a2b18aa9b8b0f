"""Domain names: one that can be asked for, and the set of them that one line or entry means.

Owns `Domain` and `Domains`, as `address` owns `Address` and `Net`. How such text is read is `dns.name`'s. Knows nothing
of lists.
"""

from typing import NamedTuple

# What an entry means of a name: the name itself, and all names below it; together they are a suffix.
AT = 1
BELOW = 2

# The names in a zone of names that come from code (RFC 5782 section 5): the first is listed, the other never.
TEST = "test"
INVALID = "invalid"

_PREFIXES = {AT: "", BELOW: "*.", AT | BELOW: "."}


class Domain(NamedTuple):
    """One domain name: lower case, in A-labels, without its final dot."""

    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def labels(self) -> int:
        """How many labels it has."""
        return self.name.count(".") + 1


class Domains(NamedTuple):
    """The domain names that one entry means. name: as in `Domain`; scope: AT, BELOW or both."""

    name: str
    scope: int

    @property
    def labels(self) -> int:
        """How many labels the name has."""
        return self.name.count(".") + 1

    def holds(self, domain: Domain) -> bool:
        """Whether a name is one of them."""
        if domain.name == self.name:
            return bool(self.scope & AT)
        return bool(self.scope & BELOW) and domain.name.endswith(f".{self.name}")

    def __str__(self) -> str:
        """As an entry is written: `example.com`, `*.example.com` or `.example.com`."""
        return _PREFIXES[self.scope] + self.name
