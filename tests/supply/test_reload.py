"""Changes of zone files and list files are taken into service by a real server, however they come about."""

import os
import shutil
import signal
import time
from pathlib import Path

import dns.rcode
import pytest

from tests.reloading import (
    ZONE,
    answer_code,
    count_lines,
    is_listed,
    rename_over,
    serial_of,
    serving,
    swap_link,
    wait_until,
    zone_text,
)
from tests.serving import ServerProcess

pytestmark = pytest.mark.server

OLD, NEW, MORE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    """A directory with one zone file that lists OLD."""
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "bl.yaml").write_text(zone_text(OLD))
    return directory


def became(server: ServerProcess, listed: str, gone: str, zone: str = ZONE) -> None:
    """Wait until one address is listed, and assert that another one is not any more."""
    wait_until(lambda: is_listed(server, listed, zone), f"{listed} listed\n" + "\n".join(server.log))
    assert not is_listed(server, gone, zone)


def test_edits_of_a_zone_file(tmp_path: Path, zones: Path) -> None:
    path = zones / "bl.yaml"
    with serving(tmp_path, zones) as server:
        assert is_listed(server, OLD)
        path.write_text(zone_text(NEW))  # in place
        became(server, NEW, OLD)
        rename_over(path, zone_text(MORE))
        became(server, MORE, NEW)
        path.rename(zones / "bl.yaml~")  # an editor with a backup
        path.write_text(zone_text(OLD))
        became(server, OLD, MORE)
        assert serial_of(server) >= int(path.stat().st_ctime)


def test_a_file_given_by_name(tmp_path: Path, zones: Path) -> None:
    path = zones / "bl.yaml"
    with serving(tmp_path, path) as server:
        rename_over(path, zone_text(NEW))
        became(server, NEW, OLD)
        # Once removed, it stays in service until there is a new one: nobody said that the zone is to go.
        path.unlink()
        server.wait_for("not reloaded")
        assert is_listed(server, NEW)
        path.write_text(zone_text(MORE))
        became(server, MORE, NEW)


def test_the_log_tells_what_changed(tmp_path: Path, zones: Path) -> None:
    path = zones / "bl.yaml"
    path.write_text(zone_text(OLD, NEW, "198.51.100.0/24"))
    with serving(tmp_path, zones) as server:
        before = int(server.wait_for(f"zone {ZONE}: loaded 3 entries from {path} in ").rpartition(" ")[2])
        entries = (OLD, MORE, "203.0.113.0/24", "203.0.113.9", "{net: 192.0.2.9, expires: 2001-01-01}")
        path.write_text(zone_text(*entries))
        line = server.wait_for("reloaded")
        assert f"zone {ZONE}: reloaded, 3 -> 4 entries (3 added, 2 removed, 1 expired) in " in line
        assert line.endswith(f" s, serial {max(int(path.stat().st_ctime), before + 1)}")
        assert server.metric("dnsbl_zone_entries", zone=ZONE, family="ipv4") == 4
        assert server.metric("dnsbl_zone_reloads_total", zone=ZONE, result="success") == 2


def test_zone_files_come_and_go(tmp_path: Path, zones: Path) -> None:
    second = zones / "dyn.yml"
    with serving(tmp_path, zones) as server:
        assert answer_code(server, NEW, "dyn.example.org") == dns.rcode.REFUSED
        second.write_text(zone_text(NEW, zone="dyn.example.org"))
        server.wait_for("zone dyn.example.org: loaded 1 entries")
        assert is_listed(server, NEW, "dyn.example.org")
        second.unlink()
        server.wait_for("zone dyn.example.org: withdrawn")
        assert answer_code(server, NEW, "dyn.example.org") == dns.rcode.REFUSED
        assert is_listed(server, OLD)
        assert 'zone="dyn.example.org"' not in [
            line for line in server.get("/metrics").splitlines() if line.startswith("dnsbl_zone_")
        ]


def test_list_files(tmp_path: Path, zones: Path) -> None:
    feed = tmp_path / "feeds" / "list.txt"
    feed.parent.mkdir()
    feed.write_text(f"{OLD}\n")
    later = tmp_path / "later" / "deep" / "list.txt"
    (zones / "bl.yaml").write_text(f"zone: {ZONE}\nfiles: [../feeds/list.txt]\n")
    with serving(tmp_path, zones) as server:
        assert is_listed(server, OLD)
        feed.write_text(f"{NEW}\n")
        became(server, NEW, OLD)
        rename_over(feed, f"{OLD}\n")
        became(server, OLD, NEW)
        # A zone that names a file in a directory that is not there yet waits for it.
        (zones / "bl.yaml").write_text(f"zone: {ZONE}\nfiles: [../feeds/list.txt, ../later/deep/list.txt]\n")
        server.wait_for("not reloaded")
        assert is_listed(server, OLD)
        later.parent.mkdir(parents=True)
        later.write_text(f"{MORE}\n")
        wait_until(lambda: is_listed(server, MORE), "the list file that came later")
        assert is_listed(server, OLD)


def test_a_symlinked_zone_file(tmp_path: Path, zones: Path) -> None:
    for number, address in enumerate((OLD, NEW, MORE)):
        (tmp_path / f"data{number}").mkdir()
        (tmp_path / f"data{number}/bl.yaml").write_text(zone_text(address))
    link = zones / "bl.yaml"
    link.unlink()
    link.symlink_to("../data0/bl.yaml")
    with serving(tmp_path, zones) as server:
        swap_link(link, "../data1/bl.yaml")
        became(server, NEW, OLD)
        # The directory of the new target is watched now.
        rename_over(tmp_path / "data1/bl.yaml", zone_text(MORE))
        became(server, MORE, NEW)


def test_a_configmap(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    for version, address in (("..2026_a", OLD), ("..2026_b", NEW), ("..2026_c", MORE)):
        (volume / version).mkdir()
        (volume / version / "bl.yaml").write_text(zone_text(address))
    (volume / "..data").symlink_to("..2026_a")
    (volume / "bl.yaml").symlink_to("..data/bl.yaml")
    with serving(tmp_path, volume) as server:
        swap_link(volume / "..data", "..2026_b")
        shutil.rmtree(volume / "..2026_a")
        became(server, NEW, OLD)
        swap_link(volume / "..data", "..2026_c")
        shutil.rmtree(volume / "..2026_b")
        became(server, MORE, NEW)
        assert not count_lines(server, " error ")


def test_a_symlinked_zone_directory(tmp_path: Path, zones: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / "bl.yaml").write_text(zone_text(NEW))
    link = tmp_path / "current"
    link.symlink_to("zones")
    with serving(tmp_path, link) as server:
        swap_link(link, "second")
        became(server, NEW, OLD)
        (second / "bl.yaml").write_text(zone_text(MORE))
        became(server, MORE, NEW)


def test_a_replaced_zone_directory(tmp_path: Path, zones: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "bl.yaml").write_text(zone_text(NEW))
    with serving(tmp_path, zones) as server:
        zones.rename(tmp_path / "before")
        fresh.rename(zones)
        became(server, NEW, OLD)
        # By the time this is seen, the new directory is the one that is watched.
        (zones / "bl.yaml").write_text(zone_text(MORE))
        became(server, MORE, NEW)


def test_a_storm_of_events_is_few_reloads(tmp_path: Path, zones: Path) -> None:
    with serving(tmp_path, zones) as server:
        since = time.monotonic()
        for number in range(200):
            rename_over(zones / "bl.yaml", zone_text(OLD, f"10.0.0.{number}"))
        wait_until(lambda: is_listed(server, "10.0.0.199"), "the last content")
        server.wait_for("reloaded")  # an answer can be quicker than the line in the log
        # A machine that stalls may spread the storm; a reload needs 200 ms of quiet.
        assert 1 <= count_lines(server, "reloaded") <= 3 + 5 * (time.monotonic() - since)
        assert not is_listed(server, "10.0.0.198")


def test_sighup_loads_everything(tmp_path: Path, zones: Path) -> None:
    (zones / "dyn.yaml").write_text(zone_text(NEW, zone="dyn.example.org"))
    with serving(tmp_path, zones) as server:
        for count in (1, 2):
            server.signal(signal.SIGHUP)
            server.wait_for(f"zone {ZONE}: reloaded, 1 -> 1 entries (0 added, 0 removed, 0 expired)", count)
            server.wait_for("zone dyn.example.org: reloaded, 1 -> 1", count)
        assert is_listed(server, OLD)


def test_polling_finds_what_no_event_tells(tmp_path: Path, zones: Path) -> None:
    # A move far above the zone files touches none of the watched directories.
    deep = tmp_path / "volume" / "a" / "zones"
    fresh = tmp_path / "fresh" / "a" / "zones"
    for directory, address in ((deep, OLD), (fresh, NEW)):
        directory.mkdir(parents=True)
        (directory / "bl.yaml").write_text(zone_text(address))
    with serving(tmp_path, deep / "bl.yaml", poll="1s") as server:
        (tmp_path / "volume").rename(tmp_path / "before")
        (tmp_path / "fresh").rename(tmp_path / "volume")
        became(server, NEW, OLD)
        (deep / "bl.yaml").write_text(zone_text(MORE))
        became(server, MORE, NEW)


def test_a_zone_renamed_inside_its_file(tmp_path: Path, zones: Path) -> None:
    with serving(tmp_path, zones) as server:
        (zones / "bl.yaml").write_text(zone_text(NEW, zone="new.example.org"))
        server.wait_for(f"zone {ZONE}: withdrawn, its 1 entries are no longer served")
        assert is_listed(server, NEW, "new.example.org")
        assert answer_code(server, OLD) == dns.rcode.REFUSED
        server.wait_for("zone new.example.org: loaded 1 entries")


def test_two_zones_swap_their_files(tmp_path: Path, zones: Path) -> None:
    (zones / "dyn.yaml").write_text(zone_text(NEW, zone="dyn.example.org"))
    with serving(tmp_path, zones) as server:
        (zones / "bl.yaml").rename(tmp_path / "bl")
        (zones / "dyn.yaml").rename(zones / "bl.yaml")
        (tmp_path / "bl").rename(zones / "dyn.yaml")
        server.wait_for(f"from {zones / 'bl.yaml'}", 2)
        wait_until(lambda: answer_code(server, OLD) == dns.rcode.NOERROR, "the zone of the second file")
        wait_until(lambda: answer_code(server, NEW, "dyn.example.org") == dns.rcode.NOERROR, "that of the first")


def test_the_serial_grows_with_every_change_and_never_otherwise(tmp_path: Path, zones: Path) -> None:
    path = zones / "bl.yaml"
    with serving(tmp_path, zones) as server:
        first = serial_of(server)
        assert first == int(path.stat().st_ctime)
        # An older file, and one from the future.
        for number, (nets, at) in enumerate([((NEW,), 1000), ((MORE,), 1 << 33), ((OLD,), 1 << 33)]):
            before = serial_of(server)
            aside = tmp_path / "aside.yaml"
            aside.write_text(zone_text(*nets))
            os.utime(aside, (at, at))
            aside.rename(path)
            server.wait_for(f"zone {ZONE}: reloaded", number + 1)
            assert before < serial_of(server) <= max(before + 1, time.time())
        # Another text, and a load of everything, with the same answers.
        serial = serial_of(server)
        rename_over(path, f"# a comment\n{zone_text(OLD)}")
        server.wait_for(f"zone {ZONE}: reloaded", 4)
        server.signal(signal.SIGHUP)
        server.wait_for(f"zone {ZONE}: reloaded", 5)
        assert serial_of(server) == serial
        # A zone that was away goes on with its serial.
        (zones / "other.yaml").write_text(zone_text(OLD, zone="other.example.org"))
        server.wait_for("zone other.example.org: loaded")
        path.rename(tmp_path / "away.yaml")
        server.wait_for(f"zone {ZONE}: withdrawn")
        (tmp_path / "away.yaml").rename(path)
        server.wait_for(f"zone {ZONE}: loaded", 2)
        assert serial_of(server) == serial


def test_the_serial_does_not_go_back_when_the_file_gets_another_name(tmp_path: Path, zones: Path) -> None:
    with serving(tmp_path, zones) as server:
        first = serial_of(server)
        older = tmp_path / "older.yaml"
        older.write_text(zone_text(NEW))
        os.utime(older, (1000, 1000))
        (zones / "bl.yaml").unlink()
        older.rename(zones / "other.yaml")
        wait_until(lambda: answer_code(server, NEW) == dns.rcode.NOERROR, "the zone from its new file")
        assert serial_of(server) >= first
