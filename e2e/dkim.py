"""DKIM signatures of the tests' own (RFC 6376): rsa-sha256, made with OpenSSL, with simple canonicalization."""

import base64
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path


class Signer:
    """A key of a domain. `record`: what has to be in the DNS, as in a zone file."""

    def __init__(self, directory: Path, domain: str) -> None:
        self.domain = domain
        self._key = directory / f"{domain}.pem"
        # 1,024 bits, so that the key fits into one string of a TXT record.
        _openssl("genrsa", "-out", str(self._key), "1024")
        public = _openssl("rsa", "-in", str(self._key), "-pubout", "-outform", "DER")
        self.record = f's._domainkey.{domain}. TXT "v=DKIM1; p={base64.b64encode(public).decode()}"'

    def sign(self, header: Sequence[str], body: str) -> str:
        """A DKIM-Signature header. header: the lines to be signed, each a header; body: with its last line end."""
        names = ":".join(line.partition(":")[0] for line in header)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        tags = f"v=1; a=rsa-sha256; c=simple/simple; d={self.domain}; s=s; h={names}; bh={digest}; b="
        unsigned = f"DKIM-Signature: {tags}"
        text = "".join(f"{line}\r\n" for line in header) + unsigned
        signature = _openssl("dgst", "-sha256", "-sign", str(self._key), text=text.encode())
        return unsigned + base64.b64encode(signature).decode()


def _openssl(*arguments: str, text: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=True, timeout=60)
    return done.stdout
