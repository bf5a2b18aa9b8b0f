"""What the end-to-end tests share: the zone that everybody asks, and the server that answers it on port 53."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import ServerProcess

OURS, OURS6, THEIRS = "198.51.100.53", "2001:db8:53::53", "198.51.100.54"
MAIL, MAIL6 = "198.51.100.25", "2001:db8:25::25"
LISTED, RANGED, UNLISTED = "192.0.2.7", "192.0.2.130", "203.0.113.9"
LISTED6, UNLISTED6 = "2001:db8:bad::7", "2001:db8:900d::9"
ZONE = "bl.example.org"

# A file of the tests' own, so that they may edit it.
TEXT = """\
zone: bl.example.org
ttl: 2m
negative_ttl: 2s
ns: [ns1.example.org]
lists:
  - name: traps
    code: 127.0.0.2
    reason: unsolicited mail
    txt: "{ip} hit our spam traps: {reason}. Listed until {expires}. https://bl.example.org/?ip={ip}"
    entries:
      - 192.0.2.7
      - "2001:db8:bad::/48"
  - name: dynamic
    code: 127.0.0.10
    txt: "{ip} is in a dynamic pool"
    entries:
      - 192.0.2.128/25
"""


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    path = tmp_path / "zones" / "bl.yaml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


@pytest.fixture
def server(zone_file: Path) -> Iterator[ServerProcess]:
    """Our server on port 53, with the zone of `zone_file`."""
    listen = (f"{OURS}:53", f"[{OURS6}]:53")
    with ServerProcess(str(zone_file.parent), listen=listen) as process:
        yield process
