"""Domain names are reloaded like addresses: what changed is counted, and the serial moves with what is served alone."""

from pathlib import Path

import dns.rcode
import pytest

from tests.reloading import rename_over, serial_of, serving, wait_until
from tests.serving import ServerProcess

pytestmark = pytest.mark.server

ZONE = "dbl.example.org"
TEXT = f"zone: {ZONE}\nreason: spam\nentries: [written.example]\nfiles: [names.txt]\nexcept: [good.worse.example]\n"


def is_listed(server: ServerProcess, name: str) -> bool:
    rcode = server.ask(f"{name}.{ZONE}").rcode()
    assert rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    return rcode == dns.rcode.NOERROR


def test_names_come_and_go(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    names = zones / "names.txt"
    names.write_text("bad.example\n.worse.example\n")
    (zones / "dbl.yaml").write_text(TEXT)
    with serving(tmp_path, zones) as server:
        server.wait_for(f"zone {ZONE}: loaded 3 entries")
        assert [is_listed(server, name) for name in ("bad.example", "a.worse.example", "written.example", "test")] == [
            True
        ] * 4
        assert not is_listed(server, "a.good.worse.example")
        assert not is_listed(server, "new.example")

        rename_over(names, ".worse.example\nnew.example\nb.bad.example\n")
        wait_until(lambda: is_listed(server, "new.example"), "new.example listed")
        server.wait_for(f"zone {ZONE}: reloaded, 3 -> 4 entries (2 added, 1 removed, 0 expired)")
        assert server.metric("dnsbl_zone_entries", zone=ZONE, family="domain") == 4
        assert server.metric("dnsbl_zone_entries", zone=ZONE, family="ipv4") == 0
        # bad.example is above a listed name now.
        assert server.ask(f"bad.example.{ZONE}").answer == []

        serial = serial_of(server, ZONE)
        rename_over(names, "b.bad.example\nNEW.example.\n.worse.example  # the same in another order\n")
        server.wait_for(f"zone {ZONE}: reloaded, 4 -> 4 entries (0 added, 0 removed, 0 expired)")
        assert serial_of(server, ZONE) == serial
