"""E-mail addresses as they are listed: by a hash, which is asked for as one label.

Owns the algorithms and encodings, and which of them fit together: a label has at most 63 characters. What is hashed is
the address in lower case and nothing else; SpamAssassin and rspamd may change it before they hash it.
"""

import hashlib
from base64 import b32encode
from typing import NamedTuple

# Bytes of a hash, by the name of its algorithm.
ALGORITHMS = {"md5": 16, "sha1": 20, "sha256": 32}
# The characters that stand for 0 to 15, or to 31: base32 is that of RFC 4648 in lower case and without padding, as
# SpamAssassin has it; zbase32 is rspamd's, which has the bits of a hash in another order.
ALPHABETS = {
    "hex": "0123456789abcdef",
    "base32": "abcdefghijklmnopqrstuvwxyz234567",
    "zbase32": "ybndrfg8ejkmcpqxot1uwisza345h769",
}
_MAX_LABEL = 63  # RFC 1035 section 2.3.4


class MailAddress(NamedTuple):
    """An e-mail address as it can be asked for, by the hash that a list has of it; in lower case."""

    text: str

    def __str__(self) -> str:
        return self.text


class Hashing(NamedTuple):
    """How the e-mail addresses of a list are hashed. algorithm: of ALGORITHMS; encoding: of ALPHABETS."""

    algorithm: str
    encoding: str

    @property
    def alphabet(self) -> str:
        """The characters of a hash."""
        return ALPHABETS[self.encoding]

    @property
    def size(self) -> int:
        """How many characters a hash has."""
        bits = len(self.alphabet).bit_length() - 1
        return -(-8 * ALGORITHMS[self.algorithm] // bits)

    @property
    def fits(self) -> bool:
        """Whether a hash is short enough for a label."""
        return self.size <= _MAX_LABEL

    def label_of(self, address: str) -> str:
        """The label of an e-mail address."""
        digest = hashlib.new(self.algorithm, address.lower().encode(), usedforsecurity=False).digest()
        if self.encoding == "hex":
            return digest.hex()
        if self.encoding == "base32":
            return b32encode(digest).decode("ascii").rstrip("=").lower()
        # rspamd begins with the lowest bits of the first byte.
        number = int.from_bytes(digest, "little")
        return "".join(self.alphabet[number >> at & 31] for at in range(0, 8 * len(digest), 5))

    def is_label(self, text: str) -> bool:
        """Whether a text in lower case is such a hash."""
        return len(text) == self.size and set(text) <= set(self.alphabet)
