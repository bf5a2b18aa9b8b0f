"""Files that are made to hurt: `check` and `lookup` end with messages, and show nothing that they should not."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = "zone: good.example.org\nns: [ns.example.net]\nentries: [192.0.2.1]\n"
HEAD = "zone: bad.example.org\nfiles: [feed.txt]\n"
pytestmark = pytest.mark.server


def run(*arguments: "str | bytes", memory: int = 0) -> subprocess.CompletedProcess[bytes]:
    """Run the program, in so many MiB of address space."""
    limit = f"ulimit -v {memory << 10}; " if memory else ""
    command = ["sh", "-c", f'{limit}exec "$@"', "sh", sys.executable, "-m", "dnsbl_server", *arguments]
    return subprocess.run(
        command, capture_output=True, timeout=100, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(HEAD)
    return tmp_path


def check(zones: Path, *more: str, memory: int = 0) -> list[str]:
    """What `check` says is wrong; the good zone is read whatever is in the other file."""
    done = run("check", *more, str(zones), memory=memory)
    assert b"Traceback" not in done.stderr
    assert b"good.example.org" in done.stdout
    assert done.returncode == (1 if done.stderr else 0)
    return done.stderr.decode().replace(f"{zones}/", "").splitlines()


def test_an_endless_list_of_newlines_is_a_problem(zones: Path) -> None:
    with gzip.open(zones / "feed.txt", "wb", compresslevel=1) as file:
        for _ in range(101):
            file.write(b"\n" * 1_000_000)
    said = "more than 100,000,000 lines; split it into several files"
    assert check(zones, memory=1024) == [f"bad.yaml:2:9: feed.txt: {said}"]


def test_a_list_that_does_not_fit_the_memory_costs_only_its_zone(zones: Path) -> None:
    (zones / "feed.txt").write_text(
        "".join(f"{a}.{b}.{c}.1\n" for a in range(1, 60) for b in range(250) for c in range(250))
    )
    (said,) = check(zones, memory=200)
    assert said.startswith("bad.yaml")
    assert "cannot be" in said
    assert "it takes more memory than there is" in said


def test_a_zone_file_that_does_not_fit_the_memory_costs_only_itself(zones: Path) -> None:
    # It has no blocks on the disk.
    with (zones / "bad.yaml").open("wb") as file:
        file.truncate(900 << 20)
    assert check(zones, memory=512) == ["bad.yaml: cannot be read: it takes more memory than there is"]


def test_little_memory_is_enough_for_small_files(zones: Path) -> None:
    (zones / "feed.txt").write_text("192.0.2.7\n")
    assert check(zones, memory=512) == []


def test_of_a_file_that_is_no_list_little_is_shown(zones: Path) -> None:
    secrets = [f"user{number}:$y$j9T${'secret' * 20}{number}" for number in range(2_000)]
    (zones / "feed.txt").write_text("\n".join(secrets))
    said = check(zones)
    assert said.pop(0) == "bad.yaml:2:9: feed.txt: none of its lines can be read"
    assert len(said) == 6
    for number, line in enumerate(said[:5]):
        assert line.startswith(f"feed.txt:{number + 1}:1: user{number}:$y$j9T$secret")
        assert "...: not an" in line
        assert len(line) < 120
    assert said[5] == "feed.txt: and 1,995 more lines that cannot be read"


def test_list_files_can_be_confined(zones: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "feed.txt"
    outside.write_text("192.0.2.7\n")

    def said(name: str) -> list[str]:
        (zones / "bad.yaml").write_text(f"zone: bad.example.org\nfiles: ['{name}']\n")
        return check(zones, "--files-below", str(zones))

    (zones / "inside").mkdir()
    (zones / "inside" / "feed.txt").write_text("192.0.2.7\n")
    (zones / "link").symlink_to(outside)
    (zones / "inside" / "back").symlink_to(zones / "inside" / "feed.txt")
    for name in (
        str(outside),
        f"../{outside.parent.name}/feed.txt",
        "link",
        f"inside/../../{outside.parent.name}/feed.txt",
    ):
        (line,) = said(name)
        assert line.startswith("bad.yaml:2:9: ")
        assert line.endswith(f"is in no directory of files_below: {zones}")
    for name in ("inside/feed.txt", "inside/back", str(zones / "inside" / "feed.txt")):
        assert said(name) == []
    assert run("lookup", "192.0.2.7", "--files-below", str(zones), str(zones)).returncode == 0
    # A directory that only begins with the same letters.
    beside = zones.with_name(zones.name + "x")
    beside.mkdir()
    (beside / "feed.txt").write_text("192.0.2.7\n")
    (line,) = said(str(beside / "feed.txt"))
    assert "files_below" in line
    assert run("lookup", "192.0.2.7", "--files-below", str(zones), str(zones)).returncode == 2
    assert check(zones) == []


@pytest.mark.parametrize("in_file", [False, True])
def test_a_server_confines_list_files_too(zones: Path, in_file: bool) -> None:
    (zones / "feed.txt").write_text("192.0.2.7\n")
    (zones / "lists").mkdir()
    (zones / "settings").write_text(f"files_below: {zones}/lists\n")
    setting = ["--config", f"{zones}/settings"] if in_file else ["--files-below", f"{zones}/lists"]
    done = run("serve", "--listen", "127.0.0.1:0", "--metrics", "off", *setting, str(zones))
    assert done.returncode == 2
    assert f"bad.yaml:2:9: feed.txt: is in no directory of files_below: {zones}/lists" in done.stderr.decode()


NAMES = [b"new\nline", b"esc\x1b[31m", b"\xff\xfe", "\u202e".encode()]


@pytest.mark.parametrize("name", NAMES)
def test_odd_file_names_are_never_shown_raw(tmp_path: Path, name: bytes) -> None:
    directory = os.fsencode(tmp_path) + b"/d" + name
    os.mkdir(directory)
    zone = directory + b"/z" + name + b".yaml"
    with open(zone, "wb") as file:
        file.write(b"zone: bl.example.org\nfiles: [feed.txt]\n")
    with open(directory + b"/feed.txt", "wb") as file:
        file.write(b"bad\n")
    for mended in (False, True):
        if mended:
            with open(directory + b"/feed.txt", "wb") as file:
                file.write(b"192.0.2.1\n")
        for command in (["check"], ["lookup", "192.0.2.1"], ["lookup", "--json", "192.0.2.1"]):
            done = run(*command, directory)
            assert b"Traceback" not in done.stderr
            assert done.returncode == (0 if mended else 1 if command == ["check"] else 2)
            assert name not in done.stdout + done.stderr
            text = (done.stdout + done.stderr).decode()
            assert all(line.isprintable() for line in text.splitlines())
            if mended and "--json" in command:
                (found,) = json.loads(text)
                found["lists"][0]["entry"]["file"].encode()


def test_a_zone_without_name_servers_is_noted(zones: Path) -> None:
    (zones / "feed.txt").write_text("192.0.2.7\n")
    lines = run("check", str(zones)).stdout.decode().splitlines()
    note = "  no name servers (ns), which only a zone that is delegated to this server needs"
    at = lines.index(f"bad.example.org ({zones}/bad.yaml)")
    assert lines[at + 1] == note
    assert lines.count(note) == 1
