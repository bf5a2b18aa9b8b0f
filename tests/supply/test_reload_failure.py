"""What goes wrong in a reload takes nothing out of service, is told, and mends itself."""

import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.reloading import (
    ZONE,
    answer_code,
    count_lines,
    descriptors_of,
    is_listed,
    rename_over,
    serving,
    swap_link,
    wait_until,
    zone_text,
)
from tests.serving import PATIENCE, ServerProcess

pytestmark = pytest.mark.server

DYN = "dyn.example.org"
OLD, NEW, MORE = "192.0.2.1", "192.0.2.2", "192.0.2.3"
BROKEN = zone_text("10.0.0.0/33")


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """A directory with two zones that list OLD."""
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "bl.yaml").write_text(zone_text(OLD))
    (directory / "dyn.yaml").write_text(zone_text(OLD, zone=DYN))
    return directory


def test_a_broken_zone_keeps_its_last_good_version(tmp_path: Path, zones: Path) -> None:
    path = zones / "bl.yaml"
    with serving(tmp_path, zones) as server:
        path.write_text(BROKEN)
        server.wait_for(f"{path}:3:5: 10.0.0.0/33: prefix length must be 0 to 32")
        server.wait_for(f"zone {ZONE}: not reloaded; the version of ")
        rename_over(zones / "dyn.yaml", zone_text(NEW, zone=DYN))
        wait_until(lambda: is_listed(server, NEW, DYN), "the other zone")
        assert not is_listed(server, OLD, DYN)
        assert is_listed(server, OLD)
        assert server.metric("dnsbl_zone_last_reload_success", zone=ZONE) == 0
        assert server.metric("dnsbl_zone_reloads_total", zone=ZONE, result="failure") >= 1
        assert server.metric("dnsbl_zone_reloads_total", zone=ZONE, result="success") == 1
        assert server.metric("dnsbl_zone_entries", zone=ZONE, family="ipv4") == 1
        assert server.metric("dnsbl_zone_last_reload_success", zone=DYN) == 1
        assert server.metric("dnsbl_zone_reloads_total", zone=DYN, result="failure") == 0
        assert server.get("/healthz") == "ok\n"
        path.write_text(zone_text(NEW))
        wait_until(lambda: is_listed(server, NEW), "the mended zone")
        wait_until(lambda: server.metric("dnsbl_zone_last_reload_success", zone=ZONE) == 1, "success in the metrics")
        assert server.metric("dnsbl_zone_reloads_total", zone=ZONE, result="success") == 2


def test_a_broken_new_zone_is_told_and_mended(tmp_path: Path, zones: Path) -> None:
    path = zones / "new.yaml"
    with serving(tmp_path, zones) as server:
        path.write_text(zone_text("10.0.0.0/33", zone="new.example.org"))
        server.wait_for(f"{path}: not loaded; it has never been in service")
        assert answer_code(server, NEW, "new.example.org") == dns.rcode.REFUSED
        assert is_listed(server, OLD)
        path.write_text(zone_text(NEW, zone="new.example.org"))
        wait_until(lambda: answer_code(server, NEW, "new.example.org") == dns.rcode.NOERROR, "the mended zone")


def test_an_empty_directory_takes_nothing_out_of_service(tmp_path: Path, zones: Path) -> None:
    with serving(tmp_path, zones) as server:
        for path in list(zones.iterdir()):
            path.unlink()
        server.wait_for("the directory has no zone files")
        server.wait_for("not reloaded", 2)
        assert is_listed(server, OLD)
        assert is_listed(server, OLD, DYN)
        (zones / "bl.yaml").write_text(zone_text(NEW))
        wait_until(lambda: is_listed(server, NEW), "the zone that came back")


def test_a_directory_that_is_gone_takes_nothing_out_of_service(tmp_path: Path, zones: Path) -> None:
    with serving(tmp_path, zones) as server:
        zones.rename(tmp_path / "elsewhere")
        server.wait_for(" error ", patience=20.0)
        assert answer_code(server, OLD) == dns.rcode.NOERROR, "\n".join(server.log)
        assert answer_code(server, OLD, DYN) == dns.rcode.NOERROR
        (tmp_path / "elsewhere").rename(zones)
        (zones / "bl.yaml").write_text(zone_text(NEW))
        wait_until(lambda: is_listed(server, NEW), "the directory that came back")


@pytest.mark.parametrize("kind", ["nothing", "itself", "file", "fifo"])
def test_a_directory_that_becomes_something_else_takes_nothing_out_of_service(
    tmp_path: Path, zones: Path, kind: str
) -> None:
    link = tmp_path / "served"
    link.symlink_to("zones")
    (tmp_path / "file").write_text(zone_text(NEW))
    os.mkfifo(tmp_path / "fifo")
    with serving(tmp_path, link) as server:
        swap_link(link, "served" if kind == "itself" else kind)
        server.wait_for("; its zones stay in service")
        server.signal(signal.SIGHUP)
        server.wait_for("not reloaded", 4)
        assert count_lines(server, "; its zones stay in service") == 1
        assert is_listed(server, OLD)
        assert is_listed(server, OLD, DYN)
        assert not is_listed(server, NEW)
        assert server.metric("dnsbl_zone_entries", zone=ZONE) == 1
        swap_link(link, "zones")
        rename_over(zones / "bl.yaml", zone_text(NEW))
        wait_until(lambda: is_listed(server, NEW), "the directory that came back")


@pytest.mark.parametrize("is_above", [False, True])
def test_an_unreadable_directory_takes_nothing_out_of_service(tmp_path: Path, zones: Path, is_above: bool) -> None:
    locked = zones
    if is_above:
        locked = tmp_path / "above"
        locked.mkdir()
        zones = zones.rename(locked / "zones")
    with serving(tmp_path, zones, is_bound_by_modes=True) as server:
        locked.chmod(0)
        try:
            server.signal(signal.SIGHUP)
            server.wait_for(" error ", patience=20.0)
            assert answer_code(server, OLD) == dns.rcode.NOERROR, "\n".join(server.log)
        finally:
            locked.chmod(0o755)
        rename_over(zones / "bl.yaml", zone_text(NEW))
        server.signal(signal.SIGHUP)
        wait_until(lambda: is_listed(server, NEW), "the directory that can be read again")


def test_of_two_files_for_a_zone_the_one_in_service_stays(tmp_path: Path, zones: Path) -> None:
    first = zones / "a-first-by-name.yaml"
    with serving(tmp_path, zones) as server:
        first.write_text(zone_text(NEW))
        line = server.wait_for("two files for one zone")
        assert f"{first}:1:7: {ZONE}: " in line
        assert str(zones / "bl.yaml") in line
        assert is_listed(server, OLD)
        assert not is_listed(server, NEW)
        server.signal(signal.SIGHUP)
        server.wait_for(f"zone {ZONE}: reloaded")
        assert is_listed(server, OLD)
        # When the other one goes, its turn comes.
        (zones / "bl.yaml").unlink()
        wait_until(lambda: is_listed(server, NEW), "the second file")
        assert not is_listed(server, OLD)


def test_a_killed_loader_changes_nothing(tmp_path: Path, zones: Path) -> None:
    # A loader that has much to read is there long enough to be found.
    with (tmp_path / "list.txt").open("w") as stream:
        stream.writelines(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}\n" for number in range(200_000))
        stream.write(OLD)
    killed: list[int] = []
    with serving(tmp_path, zones) as server:

        def kill() -> bool:
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
                    if int(parent) == server.pid and state != "Z":
                        os.kill(int(pid), signal.SIGKILL)
                        killed.append(int(pid))
            return bool(killed)

        (zones / "bl.yaml").write_text(f"zone: {ZONE}\nfiles: [../list.txt]\n")
        wait_until(kill, "a loader")
        # Before it was at the zone file, that is nobody's fault.
        line = server.wait_for("the loader was killed by signal 9")
        assert line.endswith("; all zones stay as they are; next try in 2 seconds") or "bl.yaml: cannot be" in line
        assert is_listed(server, OLD)
        wait_until(lambda: is_listed(server, "10.0.0.9"), "the next try")
        assert server.metric("dnsbl_zone_reloads_total", zone=ZONE, result="failure") == 1
        wait_until(lambda: server.metric("dnsbl_zone_last_reload_success", zone=ZONE) == 1, "success in the metrics")


def _stamp(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _expiring(at: int) -> str:
    return zone_text("{net: 192.0.2.9, expires: '" + _stamp(at) + "'}", "192.0.2.10", extra="ttl: 1h\n")


def test_an_entry_expires_at_its_second(tmp_path: Path, zones: Path) -> None:
    name = f"9.2.0.192.{ZONE}"
    with serving(tmp_path, zones) as server:
        expires = int(time.time()) + 4
        (zones / "bl.yaml").write_text(_expiring(expires))
        wait_until(lambda: is_listed(server, "192.0.2.10"), "the zone with the entry")
        seen = 0
        while True:
            asked = time.time()
            answer = server.ask(name)
            answered = time.time()
            if answer.rcode() == dns.rcode.NOERROR:
                assert asked < expires, "listed after it expired"
                assert answer.answer[0].ttl <= expires - asked
                seen += 1
            else:
                assert answer.rcode() == dns.rcode.NXDOMAIN
                assert answered >= expires, "gone before it expired"
                break
            time.sleep(0.02)
        assert seen
        wait_until(lambda: server.metric("dnsbl_expired_entries", zone=ZONE) == 1, "the count of expired entries")
        assert server.metric("dnsbl_zone_entries", zone=ZONE, family="ipv4") == 1
        assert is_listed(server, "192.0.2.10")
        server.wait_for("reloaded, 2 -> 1 entries (0 added, 1 removed, 1 expired)")


def test_no_query_is_lost_in_twenty_reloads(tmp_path: Path, zones: Path) -> None:
    path = zones / "bl.yaml"
    path.write_text(zone_text("192.0.2.0"))
    stop = Event()
    asked: list[tuple[bool, ...]] = []
    failures: list[str] = []

    def ask(server: ServerProcess) -> None:
        # One address is listed in every state, the other only in every second one.
        always = dns.message.make_query(f"0.2.0.192.{ZONE}", "A")
        sometimes = dns.message.make_query(f"1.2.0.192.{ZONE}", "A")
        while not stop.is_set():
            try:
                first = dns.query.udp(always, server.host, PATIENCE, server.port)
                second = dns.query.udp(sometimes, server.host, PATIENCE, server.port)
            except Exception as error:
                failures.append(repr(error))
                return
            states = first.rcode(), second.rcode()
            if states not in ((dns.rcode.NOERROR, dns.rcode.NOERROR), (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)):
                failures.append(str(states))
            asked.append((first.rcode() == dns.rcode.NOERROR, second.rcode() == dns.rcode.NOERROR))

    with serving(tmp_path, zones) as server:
        thread = Thread(target=ask, args=(server,), daemon=True)
        thread.start()
        for number in range(1, 21):
            rename_over(path, zone_text("192.0.2.0", *(["192.0.2.1"] if number % 2 else [])))
            server.signal(signal.SIGHUP)
            server.wait_for(f"zone {ZONE}: reloaded", number)
            wait_until(lambda odd=number % 2: is_listed(server, "192.0.2.1") == bool(odd), "the new state")  # type: ignore[misc]
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert failures == []
        assert {(True, True), (True, False)} == set(asked)
        assert server.metric("dnsbl_queries_total", outcome="dropped") == 0


def _resident(pid: int) -> int:
    """The memory that is not shared with anybody, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def test_thirty_reloads_leave_nothing_behind(tmp_path: Path, zones: Path) -> None:
    entries = [f"10.{number >> 8}.{number & 255}.0/25" for number in range(2000)]
    (zones / "bl.yaml").write_text(zone_text(*entries))
    with serving(tmp_path, zones) as server:

        def reload(first: int, count: int) -> None:
            for number in range(first, first + count):
                server.signal(signal.SIGHUP)
                server.wait_for(f"zone {ZONE}: reloaded", number)
                server.wait_for(f"zone {DYN}: reloaded", number)

        reload(1, 4)
        descriptors, memory = descriptors_of(server.pid), _resident(server.pid)
        reload(5, 30)
        wait_until(lambda: descriptors_of(server.pid) <= descriptors, "as few descriptors as before", 10.0)
        # A table is some 100 KB; thirty of them kept would be 3 MB.
        assert _resident(server.pid) < memory + 2000
        assert count_lines(server, " error ") == 0


def test_a_file_that_fails_under_a_new_name_keeps_its_zone_to_itself(tmp_path: Path, zones: Path) -> None:
    second = zones / "second.yaml"
    with serving(tmp_path, zones) as server:
        second.write_text(zone_text(NEW))
        server.wait_for("two files for one zone")
        # Its text is well-formed, but it lists one net twice; so it goes on serving what it had.
        rename_over(zones / "bl.yaml", zone_text(MORE, MORE, zone="other.example.org"))
        server.wait_for(f"zone {ZONE}: not reloaded")
        assert is_listed(server, OLD)
        assert not is_listed(server, NEW)
        series = [line for line in server.get("/metrics").splitlines() if line.startswith("dnsbl_zone_serial{")]
        assert sum(f'zone="{ZONE}"' in line for line in series) == 1, "a series twice: no scrape works any more"
