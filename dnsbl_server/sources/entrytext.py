"""The text of entries: what one list takes, and what it means.

Owns how an entry shows whether it is a net or a domain name, and the keys of a list that change what a name means. So
it is the same in a zone file, in list files and under `except`. Knows neither YAML nor formats of list files.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dnsbl_server.dns.mail import parse_mail_address
from dnsbl_server.dns.name import MAX_DOMAIN, parse_domains
from dnsbl_server.model.address import Net, parse_net
from dnsbl_server.model.domain import AT, BELOW, Domains
from dnsbl_server.model.hashing import Hashing
from dnsbl_server.model.subject import Subjects


@dataclass(frozen=True)
class EntryText:
    """How the entries of a list are read.

    zone: the name of its zone, below which a name must fit; subdomains: a plain name means those below it, too;
    takes_suffixes: an entry may mean all names under a public suffix; hashing: where entries are e-mail addresses or
    hashes of them; placeholders: those of its template; room: characters that its texts have room for in place of one;
    reason_room: characters that they have room for in place of a reason.
    """

    zone: str
    subdomains: bool = False
    takes_suffixes: bool = False
    hashing: Hashing | None = None
    placeholders: frozenset[str] = frozenset()
    room: int = MAX_DOMAIN
    reason_room: int = MAX_DOMAIN

    @property
    def longest(self) -> int:
        """How many characters a name has at most."""
        return max(0, min(self._below_zone, self.room))

    @property
    def _below_zone(self) -> int:
        """How many characters a name has at most that can be asked for."""
        return MAX_DOMAIN - 1 - len(self.zone)

    @property
    def takes_nets(self) -> bool:
        """Whether an entry may be an address, a CIDR or a range."""
        return self.hashing is None and "domain" not in self.placeholders

    @property
    def takes_names(self) -> bool:
        """Whether an entry may be a domain name."""
        return self.hashing is None and "ip" not in self.placeholders

    def parse(self, text: str) -> Subjects:
        """What an entry means. Raises ValueError."""
        if self.hashing is None and not is_name(text):
            return self._checked(_parse_net(text))
        return self._parse_name(text, parse_name_entry)

    def parse_exclusion(self, text: str) -> Subjects:
        """What an exclusion means: a plain name covers all below it. Raises ValueError."""
        if self.hashing:
            return Domains(_parse_hash(text, self.hashing), AT)
        if not is_name(text):
            return _parse_net(text)
        return _with_all_below(self._askable(parse_name_entry(text)))

    def parse_net(self, text: str) -> Net:
        """The value of `net`. Raises ValueError."""
        if self.hashing is None and is_name(text):
            raise ValueError("a domain name; write domain: instead of net:")
        found = self.parse(text)
        if isinstance(found, Domains):
            raise ValueError("stands for a name; write domain: instead of net:")
        return found

    def parse_domains(self, text: str) -> Domains:
        """The value of `domain`. Raises ValueError."""
        return self._parse_name(text, parse_domains)

    def _parse_name(self, text: str, parse: Callable[[str], Domains]) -> Domains:
        """A name, or a hash in its place; parse: how a name is written here."""
        if self.hashing:
            return self._fitting(Domains(_parse_hash(text, self.hashing), AT))
        found = self._fitting(parse(text))
        return _with_all_below(found) if self.subdomains else found

    def _checked(self, net: Net) -> Net:
        if not self.takes_nets:
            raise ValueError("the txt of this list has {domain}, which an address has not; write {what} there")
        return net

    def _fitting(self, domains: Domains) -> Domains:
        if not self.takes_names and self.hashing is None:
            raise ValueError("the txt of this list has {ip}, which a domain name has not; write {what} there")
        if len(domains.name) > self.room:
            raise ValueError(f"too long: the txt of this list has room for {self.longest} characters of a name")
        return self._askable(domains)

    def _askable(self, domains: Domains) -> Domains:
        if len(domains.name) > self._below_zone:
            message = f"too long: below {self.zone} a name has at most {self._below_zone} characters"
            raise ValueError(f"{message}, not {len(domains.name)}")
        return domains


def _with_all_below(domains: Domains) -> Domains:
    """A plain name, with the names below it; what means others is left as it is."""
    return domains._replace(scope=AT | BELOW) if domains.scope == AT else domains


def _parse_net(text: str) -> Net:
    if "@" in text:
        raise ValueError("an e-mail address, which only a list with hash can have")
    return parse_net(text)


def is_name(text: str) -> bool:
    """Whether a text is meant as a domain name, and not as an address, a CIDR or a range.

    Its last label has two characters at least and begins with a letter, and it is no address but for that, so that no
    mistyped address becomes a name.
    """
    *labels, last = text.removesuffix(".").split(".")
    if len(labels) == 3 and all(label.isascii() and label.isdigit() for label in labels):
        return False
    return len(last) > 1 and last[0].isalpha() and not any(c in ":/" or c.isspace() for c in text) and "@" not in text


def parse_name_entry(text: str) -> Domains:
    """A name, as an entry is written in a line. Raises ValueError.

    A single word is refused: it may be anything. As `.word` it is a top-level domain.
    """
    found = parse_domains(text)
    if found.scope == AT and found.labels == 1:
        raise ValueError("neither an address nor a domain name with a dot; a whole top-level domain is written .com")
    return found


def _parse_hash(text: str, hashing: Hashing) -> str:
    """The label of an e-mail address, or a label that is a hash already."""
    if "@" in text:
        return hashing.label_of(parse_mail_address(text).text)
    if hashing.is_label(text.lower()):
        return text.lower()
    kind = f"{hashing.algorithm} in {hashing.encoding} ({hashing.size} characters)"
    raise ValueError(f"neither an e-mail address nor a hash: this list has {kind}")
