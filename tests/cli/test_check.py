"""`check`: what goes to which stream, and the exit status."""

from pathlib import Path

import pytest

from tests.commands import BAD_LINES, make_place, run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_place(tmp_path_factory.mktemp("place"))


def test_check_good(place: Path) -> None:
    done = run(place, "check")
    assert (done.status, done.stderr) == (0, "")
    no_ns = "  no name servers (ns), which only a zone that is delegated to this server needs"
    assert done.stdout.splitlines() == [
        "bl.test (zones/bl.yaml)",
        no_ns,
        "  list traps: 4 entries",
        "  list six: 1 entry",
        "  of these expired and left out: 1",
        "  IPv4 addresses covered: 510",
        f"  IPv6 addresses covered: {2**96:.3g}",
        "other.test (zones/other.yml)",
        no_ns,
        "  list other.test: 1 entry",
        "  IPv4 addresses covered: 16,777,216",
        "2 good zones, 0 errors, 0 warnings",
    ]


def test_check_bad_shows_all_problems(place: Path) -> None:
    done = run(place, "check", "bad", "missing", "empty", "zones/bl.yaml")
    lines = [line for line in done.stderr.splitlines() if ": warning: " not in line]
    assert done.status == 1
    expected = [*(f"bad/{line}" for line in BAD_LINES), "missing: ", "empty: "]
    assert len(lines) == len(expected)
    assert all(any(line.startswith(start) for line in lines) for start in expected)
    assert done.stdout.splitlines()[-1].startswith("2 good zones, 6 errors, ")


@pytest.mark.parametrize(("arguments", "status"), [(("warned",), 0), (("warned", "--strict"), 1), (("zones",), 0)])
def test_check_warnings(place: Path, arguments: tuple[str, ...], status: int) -> None:
    done = run(place, "check", *arguments)
    warnings = 1 if "warned" in arguments else 0
    assert done.status == status
    assert done.stderr.count("warned/w.yaml:2:23: warning: 127.0.0.0/24: ") == warnings
    assert done.stdout.splitlines()[-1].endswith(f"0 errors, {warnings} warning{'' if warnings else 's'}")
