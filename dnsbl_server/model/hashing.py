"""E-mail addresses as they are listed: by a hash, which is asked for as one label.

Owns the algorithms and encodings, and which of them fit together: a label has at most 63 characters. What is hashed is
the address in lower case, as SpamAssassin's HashBL and rspamd do.
"""

import hashlib
import re
from base64 import b32encode
from typing import NamedTuple

# Bytes of a hash, by the name of its algorithm.
ALGORITHMS = {"md5": 16, "sha1": 20, "sha256": 32}
ENCODINGS = ("hex", "base32")
_MAX_LABEL = 63  # RFC 1035 section 2.3.4


class MailAddress(NamedTuple):
    """An e-mail address as it can be asked for, by the hash that a list has of it; in lower case."""

    text: str

    def __str__(self) -> str:
        return self.text


class Hashing(NamedTuple):
    """How the e-mail addresses of a list are hashed: one of ALGORITHMS, and one of ENCODINGS."""

    algorithm: str
    encoding: str

    @property
    def size(self) -> int:
        """How many characters a hash has."""
        size = ALGORITHMS[self.algorithm]
        return 2 * size if self.encoding == "hex" else -(-8 * size // 5)

    @property
    def fits(self) -> bool:
        """Whether a hash is short enough for a label."""
        return self.size <= _MAX_LABEL

    def label_of(self, address: str) -> str:
        """The label of an e-mail address."""
        digest = hashlib.new(self.algorithm, address.lower().encode(), usedforsecurity=False).digest()
        return digest.hex() if self.encoding == "hex" else b32encode(digest).decode().rstrip("=").lower()

    def is_label(self, text: str) -> bool:
        """Whether a text in lower case is such a hash."""
        characters = "[0-9a-f]" if self.encoding == "hex" else "[a-z2-7]"
        return re.fullmatch(f"{characters}{{{self.size}}}", text) is not None
