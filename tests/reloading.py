"""What the tests of reloads share: zone files, servers on them, and waiting for what they come to answer."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.rcode

from tests.serving import PATIENCE, ServerProcess

ZONE = "bl.example.org"
# A poll that never comes: whatever is seen is seen because of an event.
NEVER = "1h"
_POLL = 0.01


def zone_text(*nets: str, zone: str = ZONE, extra: str = "") -> str:
    """A zone file with these entries, which may be mappings in flow style."""
    return f"zone: {zone}\n{extra}entries:\n" + "".join(f"  - {net}\n" for net in nets)


def rename_over(path: Path, text: str) -> None:
    """Replace a file in one step, as careful programs do."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.rename(path)


def swap_link(link: Path, target: str) -> None:
    """Point a symbolic link somewhere else in one step, as Kubernetes does."""
    fresh = link.with_name(f"{link.name}_tmp")
    fresh.symlink_to(target)
    fresh.rename(link)


@contextmanager
def serving(
    tmp_path: Path, *paths: Path, poll: str = NEVER, is_bound_by_modes: bool = False
) -> Iterator[ServerProcess]:
    """A server on these paths that looks at them by itself every `poll`."""
    config = tmp_path / "settings" / "server.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"poll_interval: {poll}\n")
    with ServerProcess("--config", str(config), *map(str, paths), is_bound_by_modes=is_bound_by_modes) as server:
        yield server


def is_listed(server: ServerProcess, address: str, zone: str = ZONE) -> bool:
    """Whether an IPv4 address is listed; the zone has to be in service."""
    rcode = answer_code(server, address, zone)
    assert rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), dns.rcode.to_text(rcode)
    return rcode == dns.rcode.NOERROR


def answer_code(server: ServerProcess, address: str, zone: str = ZONE) -> dns.rcode.Rcode:
    return server.ask(f"{'.'.join(reversed(address.split('.')))}.{zone}").rcode()


def serial_of(server: ServerProcess, zone: str = ZONE) -> int:
    return int(server.ask(zone, "SOA").answer[0][0].serial)


def wait_until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Look again and again until the condition holds."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(_POLL)


def count_lines(server: ServerProcess, text: str) -> int:
    return sum(text in line for line in list(server.log))


def descriptors_of(pid: int | str) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
